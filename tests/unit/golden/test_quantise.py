# SPDX-License-Identifier: Apache-2.0
"""The quantiser: the accuracy contract on random legal blocks, the widths it finds, and what it refuses."""

import dataclasses
import itertools
import pathlib
import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tiled_se.golden import activation, budget
from tiled_se.golden.block import DataFormat, FloatBlock
from tiled_se.golden.integer import IntegerModel
from tiled_se.golden.quantise import quantise_fixed_widths, quantise_within_error
from tiled_se.golden.reference import squeeze_excite
from tiled_se.golden.scales import RealLayer
from tiled_se.hdl.config import Config, ConfigError, DataType, Gate, GateKind, Mid
from tiled_se.hdl.data_type import INT8, UINT8
from tiled_se.hdl.parameters import Layer

DATA = pathlib.Path(__file__).parents[4] / "shared" / "data"
HARD = Gate(GateKind.HARDSIGMOID)
PADDLE = Gate(GateKind.HARDSIGMOID, 0.2, 0.5)


def random_block(rng, channels, squeeze, gain=1.0, mid=Mid.RELU, gate=Gate(), residual=False):  # noqa: B008 frozen
    return FloatBlock(rng.normal(size=(squeeze, channels)) * gain / np.sqrt(channels), rng.normal(size=squeeze) * 0.3,
                      rng.normal(size=(channels, squeeze)) * gain * 2 / np.sqrt(squeeze), rng.normal(size=channels),
                      mid, gate, residual)


def config_for(block, k=3, width=4, **more):
    squeeze, channels = block.w1.shape
    return Config(k=k, width=width, channels=channels, squeeze=squeeze, mid=block.mid, gate=block.gate,
                  residual=block.residual, hidden_frac=more.pop("hidden_frac", 6 if block.mid.tabulated else 0), **more)


def float_se(config, quantised, x):
    """The block in float64 on the real values of `quantised`; x and the result are [N, H, W, C]."""
    return np.stack([squeeze_excite(frame, quantised, config) for frame in x])


def largest_error(config, quantised, x):
    """Largest error in LSB of the integer model's outputs for the integers `x` [N, H, W, C]."""
    y = IntegerModel(config, quantised.parameters).run(x).y.numpy()
    real = float_se(config, quantised, (x - config.zero_point) * quantised.x_scale)
    return np.abs(y - config.zero_point - real / quantised.y_scale).max()


def hard_frames(rng, config, block, height):
    """Frames [N, H, W, C] at the ends of the range: constant, checkered, and such as push single values to theirs."""
    low, high = config.data.low, config.data.high
    shape = (height, config.width, config.channels)
    directions = [*block.w1[:4], *(block.w2[:3] @ block.w1)]
    frames = [rng.integers(low, high + 1, shape), rng.choice([low, high], shape), np.full(shape, low),
              np.full(shape, high), np.where(np.indices(shape).sum(axis=0) % 2, low, high),
              np.full(shape, config.zero_point)]
    for direction in directions:
        frames += [np.broadcast_to(np.where(sign * direction > 0, high, low), shape) for sign in (1, -1)]
    return np.stack(frames)


def within_a_step(block, quantised):
    # If layer 1 is all zeros, layer 2 has nothing to multiply, and a small weight of it may become 0.
    for name in ("w1", "w2") if block.w1.any() or block.b1.any() else ("w1",):
        given_weight, step = getattr(block, name), np.abs(getattr(block, name)).max(axis=1, keepdims=True) / 127
        assert (np.abs(getattr(quantised, name) - given_weight) <= step + 1e-12).all(), name


def test_reals_are_near():
    """Weights within half of their own step, which none exceeds; biases within half of theirs."""
    for seed, gate in enumerate((Gate(), HARD, PADDLE)):
        for signed in (False, True):
            block = random_block(np.random.default_rng(seed), 16, 8, gate=gate, residual=seed == 1)
            config = config_for(block, data=DataType(8, signed), zero_point=77, loadable=seed == 2)
            _, quantised = quantise_within_error(config, block, 0.1)
            for name in ("w1", "w2"):
                wanted, got = np.abs(getattr(block, name)).max(axis=1), np.abs(getattr(quantised, name)).max(axis=1)
                assert (got >= wanted * (1 - 1e-12)).all()
                assert (got <= wanted * (1 + 1 / 256)).all()
                error = np.abs(getattr(quantised, name) - getattr(block, name))
                assert (error <= got[:, None] / 127 * 0.5 * (1 + 1e-9)).all()
            assert np.abs(quantised.b1 - block.b1).max() <= quantised.hidden_scale / 128 * (1 + 1e-9)
            slope = 1 if gate.kind is GateKind.SIGMOID else gate.slope / (1 + block.residual)
            logit = 2**-10 if gate.kind is GateKind.SIGMOID else 2**-12
            assert np.abs(quantised.b2 - block.b2).max() <= logit / slope / 128 * (1 + 1e-9)


@st.composite
def cases(draw):
    """(config, block, x_scale, rng): anything legal, degenerate weights among it."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    channels, squeeze = draw(st.integers(1, 20)), draw(st.one_of(st.just(1), st.integers(1, 24)))
    gate = draw(st.sampled_from([Gate(), HARD, PADDLE, Gate(GateKind.HARDSIGMOID, 3.0, -0.7)]))
    block = random_block(rng, channels, squeeze, 10 ** draw(st.floats(-1, 1.3)), draw(st.sampled_from(Mid)), gate,
                         draw(st.booleans()))
    row1, row2 = rng.integers(squeeze), rng.integers(channels)
    degenerate = draw(st.sampled_from(["", "", "zero w1", "zero w2", "small", "tiny", "dead", "positive", "constant"]))
    if degenerate in ("small", "tiny"):
        block.w1[row1] *= 1e-6 if degenerate == "small" else 1e-20
        block.w2[row2] *= 1e-6 if degenerate == "small" else 0
    elif degenerate == "positive":
        np.abs(block.w1, out=block.w1)
    elif degenerate == "dead":
        block.b1[:] -= 40 * np.abs(block.w1).sum(axis=1)
    elif degenerate:
        block.w1[:] *= degenerate == "zero w2"
        block.w2[:] *= degenerate != "zero w2"
        block.b1[:] *= degenerate != "zero w1"
    signed = draw(st.booleans())
    zero = draw(st.one_of(st.sampled_from([-128, 127, 0]), st.integers(-128, 127))) + (0 if signed else 128)
    k, width = draw(st.one_of(st.integers(1, 9), st.integers(10, 300))), draw(st.integers(1, 10))
    config = config_for(block, k, width, data=DataType(8, signed), zero_point=zero, loadable=draw(st.booleans()))
    return config, block, 10 ** draw(st.one_of(st.floats(-3, 0), st.floats(-11, 0))), rng


def check_baked(config, quantised, frames):
    """The narrowest legal requant_bits loses nothing by its saturation, and the lists of shifts are as short as can be.

    The largest multiplier gets 16 bits and every other 9, as far as a shift of 63 allows; each shift is used.
    """
    narrow, wide = (IntegerModel(dataclasses.replace(config, requant_bits=bits), quantised.parameters).run(frames)
                    for bits in (config.requant_bits, 48))
    assert np.array_equal(narrow.hidden, wide.hidden)
    assert np.array_equal(narrow.gates, wide.gates)
    for layer, shifts in zip((quantised.parameters.layer1, quantised.parameters.layer2), config.shifts, strict=True):
        used = layer.multiplier > 0
        assert list(shifts) == sorted(set(shifts))
        if used.any():
            assert set(layer.shift[used]) == set(range(len(shifts)))
            top = np.argmax(np.ldexp(layer.multiplier.astype(float), -np.array(shifts)[layer.shift]))
            # Half of it where a scale at the edge took one shift less.
            assert shifts[layer.shift[top]] == 63 or layer.multiplier[top] >= 1 << 14
            assert shifts[-1] == 63 or layer.multiplier[used].min() >= 1 << 8


def test_contract(figure):
    """For any legal block every output is within the bound, and the bound within an LSB; worst-case data included."""
    seen = {"error": 0.0, "bound": 0.0, "share of the bound": 0.0, "operand_bits": 0}
    refused = []

    @settings(max_examples=200, deadline=None, derandomize=True, database=None)
    @given(cases(), st.integers(1, 40))
    def check(case, height):
        config, block, x_scale, rng = case
        try:
            fitted, quantised = quantise_within_error(config, block, x_scale)
        except ConfigError:
            refused.append(np.abs(block.w2).sum(axis=1).max() * np.abs(block.w1).sum(axis=1).max() * 255 * x_scale)
            return
        within_a_step(block, quantised)
        frames = hard_frames(rng, fitted, block, height)
        error = largest_error(fitted, quantised, frames)
        assert error <= quantised.error_bound_lsb <= 1
        if not config.loadable:
            check_baked(fitted, quantised, frames[:, :2])
        new = (error, quantised.error_bound_lsb, (error - 0.5) / (quantised.error_bound_lsb - 0.5), fitted.operand_bits)
        seen.update({name: max(seen[name], value) for name, value in zip(seen, new, strict=True)})

    check()
    # Only logits of many thousands are beyond the widest format.
    assert len(refused) <= 5
    assert min(refused, default=np.inf) > 1e4
    figure("largest of 200 random blocks: " + ", ".join(f"{name} {value:.4g}" for name, value in seen.items())
           + f"; {len(refused)} refused")


@pytest.mark.parametrize("name", ["text-detector-44x36x96", "selfie-segmenter-16x16x128"])
@pytest.mark.parametrize("signed", [True, False])
def test_real_block(name, signed, figure):
    """Trained blocks on the data that reached them, and on hard ones."""
    path = DATA / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"{path.name} is not beside the repository")
    with np.load(path) as file:
        block = FloatBlock(*(file[key] for key in ("w1", "b1", "w2", "b2")), Mid(str(file["mid"])),
                           {"sigmoid": Gate(), "hardsigmoid": HARD}[str(file["gate"])])
        x = file["x"][None]
    form = DataFormat.calibrate(x.min(), x.max(), DataType(8, signed))
    config = config_for(block, 7, x.shape[2], data=DataType(8, signed), zero_point=form.zero_point)
    config, quantised = quantise_within_error(config, block, form.scale)
    within_a_step(block, quantised)
    errors = [largest_error(config, quantised, data)
              for data in (form.quantise(x), hard_frames(np.random.default_rng(1), config, block, 10))]
    assert max(errors) <= quantised.error_bound_lsb <= 1
    figure(f"{name}: operand_bits {config.operand_bits}, bound {quantised.error_bound_lsb:.3f}, "
           f"largest error on its own data {errors[0]:.3f}, on hard data {errors[1]:.3f}")


def test_noise(figure):
    """The bound is on the worst element; on ordinary data noise is within 1 dB of that of correctly rounded outputs."""
    worst = 0.0
    for seed, (mid, gate, residual) in enumerate(itertools.product(Mid, [Gate(), HARD, PADDLE], [False, True])):
        rng = np.random.default_rng(seed)
        block = random_block(rng, 24, 6, 10 ** rng.uniform(-0.5, 1), mid, gate, residual)
        config = config_for(block, k=3, width=6, loadable=bool(seed % 2))
        config, quantised = quantise_within_error(config, block, 1 / 16)
        x = DataFormat(1 / 16, 0).quantise(rng.normal(0.5, 2, (2, 8, 6, 24)))
        real = float_se(config, quantised, x / 16) / quantised.y_scale
        y = IntegerModel(config, quantised.parameters).run(x).y.numpy()
        worst = max(worst, 10 * np.log10(((y - real) ** 2).sum() / ((np.rint(real) - real) ** 2).sum()))
    assert worst <= 1
    figure(f"noise on ordinary data, over that of correctly rounded outputs, worst of 30 blocks: {worst:.3f} dB")


# The data's format.


FLOATS = st.floats(-1e14, 1e14, width=64)


@given(st.tuples(FLOATS, FLOATS), st.booleans(), st.lists(st.floats(0, 1), max_size=20))
@settings(deadline=None, derandomize=True, database=None)
@example((0, 0), True, [])
@example((5e-310, 5e-310), False, [])
@example((-1e-9, 1e-14), True, [0.5])
@example((-100.5, 154.5), False, [])
@example((5, 6), False, [0.5])
@example((-6, -5), True, [0.5])
def test_calibrate(ends, signed, inside):
    """Every value is held within a step, and 0.0 exactly: one-sided, far from 0, tiny, all the same."""
    low, high = sorted(map(float, ends))
    form = DataFormat.calibrate(low, high, DataType(8, signed))
    x = np.array([low, high, *(low + (high - low) * share for share in inside)])
    q = form.quantise(x)
    assert q.min() >= form.data.low
    assert q.max() <= form.data.high
    assert (np.abs(np.clip(form.dequantise(q), low, high) - x) <= form.scale).all()
    assert form.dequantise(form.zero_point) == 0
    assert form.quantise(0.0) == form.zero_point


def test_calibrate_zeros():
    assert DataFormat.calibrate(0, 0) == DataFormat(1.0, -128)


@pytest.mark.parametrize(("low", "high", "data", "zero_point", "scale"), [
    (-3.0, 2.0, DataType(4), 0, 0.375), (-3.0, 3.0, DataType(4), 0, 3 / 7), (0.5, 6.0, DataType(3, signed=False), 1, 1),
    (-6.0, -1.0, DataType(12), 952, 0.002), (0.0, 0.0, DataType(2), 1, 1), (0, 1e-20, INT8, 0, 2.0**-40)])
def test_calibrate_about_a_zero_point(low, high, data, zero_point, scale):
    form = DataFormat.calibrate(low, high, data, zero_point)
    assert (form.zero_point, form.data) == (zero_point, data)
    assert form.scale == pytest.approx(scale, rel=1e-12, abs=0)


def test_quantise_clips():
    """Beyond the calibrated range too, where the integer would not fit 64 bits."""
    form = DataFormat(0.5, 10, UINT8)
    assert form.quantise([-1e300, -5.3, 0.6, 1e300]).tolist() == [0, 0, 11, 255]


@pytest.mark.parametrize(("make", "message"), [
    (lambda: DataFormat.calibrate(0, np.inf), "x=0..inf: must hold finite numbers only"),
    (lambda: DataFormat.calibrate(np.nan, 1), "x=nan..1: must hold finite numbers only"),
    (lambda: DataFormat.calibrate(-1.7e308, 1.7e308), "x=-1.7e+308..1.7e+308: must span less than 2**48"),
    (lambda: DataFormat.calibrate(0, 1e15), "x=0..1e+15: must span less than 2**48"),
    (lambda: DataFormat.calibrate(-1, 5, INT8, 127), "zero_point=127: leaves no integers for numbers from -1 to 5"),
    (lambda: DataFormat.calibrate(-1, 5, UINT8, 0), "zero_point=0: leaves no integers for numbers from -1 to 5"),
    (lambda: DataFormat.calibrate(-1, 5, INT8, 127, "y_zero_point"), "y_zero_point=127: leaves no integers for numbers "
     "from -1 to 5"),
    (lambda: DataFormat.calibrate(np.nan, 5, UINT8, 3), "x=nan..5: must hold finite numbers only"),
    (lambda: DataFormat.calibrate(0, 5, DataType(4), 8), "zero_point=8: must be from -8 to 7"),
    (lambda: DataFormat(1.0, 0).quantise([np.nan]), "x=not finite: must hold finite numbers only"),
    (lambda: DataFormat(0.0, 0), "x_scale=0.0: must be from 2**-40 to 2**40"),
    (lambda: DataFormat(1.0, -1, UINT8), "x_zero_point=-1: must be from 0 to 255"),
    (lambda: FloatBlock(np.zeros(3), 0, 0, 0), "w1=[3]: must have the shape [CR, C]"),
    (lambda: FloatBlock(np.zeros((0, 3)), 0, 0, 0), "w1=[0, 3]: must have the shape [CR, C]"),
    (lambda: FloatBlock(np.zeros((2, 3)), np.zeros(2), np.zeros((2, 3)), np.zeros(3)),
     "w2=[2, 3]: must have the shape [3, 2] beside w1's [2, 3]"),
    (lambda: FloatBlock(np.zeros((1, 1)), np.array([np.nan]), np.zeros((1, 1)), np.zeros(1)),
     "b1=not finite: must hold finite float32 numbers only"),
    (lambda: FloatBlock(np.array([["a"]]), 0, 0, 0), "w1=<U1: must hold real numbers"),
])
def test_refuses(make, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        make()


@pytest.mark.parametrize(("change", "message"), [
    ({"channels": 5}, "w1=[3, 6]: must have the shape [3, 5]"),
    ({"squeeze": 2}, "w1=[3, 6]: must have the shape [2, 6]"),
    ({"mid": Mid.IDENTITY}, "mid=Mid.IDENTITY: the weights are for Mid.RELU"),
    ({"residual": True}, "residual=True: the weights are for False"),
])
@pytest.mark.parametrize("function", [quantise_within_error, quantise_fixed_widths])
def test_refuses_another_blocks_config(function, change, message):
    block = random_block(np.random.default_rng(1), 6, 3)
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        function(dataclasses.replace(config_for(block), **change), block, 0.1)


# The widths.


@pytest.mark.parametrize("loadable", [False, True])
@pytest.mark.parametrize("mid", Mid)
def test_smallest_width(mid, loadable):
    """One bit less is refused, by a message that names the width `quantise_within_error` has found."""
    block = random_block(np.random.default_rng(3), 16, 4, mid=mid)
    config, quantised = quantise_within_error(config_for(block, loadable=loadable), block, 0.1)
    again = quantise_fixed_widths(config, block, 0.1)
    assert again.error_bound_lsb == quantised.error_bound_lsb
    assert np.array_equal(again.w1, quantised.w1)
    # With the general shifts, as the shortest lists may be too short for another scale.
    less = dataclasses.replace(config, operand_bits=config.operand_bits - 1, hidden_frac=max(config.hidden_frac - 1, 0),
                               shifts=Config.shifts)
    hidden = f" and hidden_frac at least {config.hidden_frac}" if mid.tabulated else ""
    pattern = rf"operand_bits={less.operand_bits}: must be at least {config.operand_bits}{hidden} to keep 1 LSB "
    with pytest.raises(ConfigError, match=rf"^{pattern}\(now \d+.\d+\)$"):
        quantise_fixed_widths(less, block, 0.1)


def test_headline_width():
    """The need of random 64-channel blocks of growing gain: a bit more or less is news."""
    widths = []
    for gain in (1, 2, 6, 20):
        block = random_block(np.random.default_rng(7), 64, 16, gain)
        widths.append(quantise_within_error(config_for(block, 7, 56), block, 17 / 255)[0].operand_bits)
    assert widths == [17, 19, 22, 26]


def test_width_grows_with_accuracy():
    block = random_block(np.random.default_rng(3), 16, 4)
    widths = [quantise_within_error(config_for(block), block, 0.1, error_lsb=error)[0].operand_bits
              for error in (4.0, 1.0, 0.7)]
    assert widths == sorted(widths)
    assert widths[0] < widths[2]
    assert quantise_within_error(config_for(block), block, 0.1, error_lsb=4.0, least_bits=20)[0].operand_bits == 20


@pytest.mark.parametrize("mid", [Mid.SILU, Mid.HARDSWISH])
def test_hidden_frac_refused(mid):
    """One bit too many overflows, too few are inaccurate; the message names the right one in both cases."""
    block = random_block(np.random.default_rng(3), 16, 4, mid=mid)
    config = dataclasses.replace(quantise_within_error(config_for(block), block, 0.1)[0], shifts=Config.shifts)
    frac = config.hidden_frac
    with pytest.raises(ConfigError, match=rf"^hidden_frac={frac + 1}: must be at most {frac} for these parameters$"):
        quantise_fixed_widths(dataclasses.replace(config, hidden_frac=frac + 1), block, 0.1)
    pattern = rf"^hidden_frac={frac - 3}: must be at least {frac} to keep 1 LSB \(now \d+\.\d+\)$"
    with pytest.raises(ConfigError, match=pattern):
        quantise_fixed_widths(dataclasses.replace(config, hidden_frac=frac - 3), block, 0.1)


def test_segment_bits_refused():
    """A table too coarse is named where a finer one would do."""
    block = random_block(np.random.default_rng(3), 64, 16, 6, mid=Mid.SILU)
    config, _ = quantise_within_error(config_for(block, 7, 14), block, 0.06)
    assert config.segment_bits > 1
    with pytest.raises(ConfigError, match=rf"^segment_bits=1: must be at least {config.segment_bits} to keep 1 LSB "):
        quantise_fixed_widths(dataclasses.replace(config, segment_bits=1), block, 0.06)


def test_requant_bits():
    """Baked: the least that biases and results need; one bit less is refused, and changes outputs."""
    block = random_block(np.random.default_rng(3), 16, 4)
    block.b2[3] = -2e4
    config, quantised = quantise_within_error(config_for(block), block, 0.1)
    assert config.requant_bits == quantised.requant_bits == 2 + 31
    with pytest.raises(ConfigError, match="^requant_bits=32: must be at least 33 for these parameters$"):
        quantise_fixed_widths(dataclasses.replace(config, requant_bits=32), block, 0.1)


def test_loadable_formats():
    """Ready for other parameters: general shifts, the default requant_bits, more only where these need it."""
    block = random_block(np.random.default_rng(3), 16, 4)
    config, _ = quantise_within_error(config_for(block, loadable=True, shifts=((3,), (4,))), block, 0.1)
    assert config.shifts == ((0, 8, 16, 24, 32, 40, 48, 56),) * 2
    assert config.requant_bits == 27
    assert quantise_within_error(config_for(block, loadable=True), block, 0.1, least_bits=20)[0].requant_bits == 29
    block.b2[3] = -2e4
    assert quantise_within_error(config_for(block, loadable=True), block, 0.1)[0].requant_bits == 33


@pytest.mark.parametrize(("change", "message"), [
    (lambda block: block.b2.__setitem__(0, 1e30), "their range has no format"),
    (lambda block: block.w2.__setitem__((0, 0), 1e12), "their range has no format"),
    (lambda block: block.w2.__imul__(3e4), r"the lowest bound reached is \d+\.\d+"),
])
def test_impossible(change, message):
    block = random_block(np.random.default_rng(3), 16, 4, 100)
    change(block)
    start = "error_lsb=1.0: no operand width up to 40 bits keeps this for these parameters; "
    with pytest.raises(ConfigError, match=f"^{start}{message}$"):
        quantise_within_error(config_for(block), block, 0.1)
    with pytest.raises(ConfigError, match=r"^error_lsb=1.0: no widths keep this for these parameters \(.*\)$"):
        quantise_fixed_widths(config_for(block), block, 0.1)


def test_relu_never_saturates():
    """The hidden scale holds the largest pre-activation there is, with less than a bit to spare."""
    rng = np.random.default_rng(4)
    for _ in range(10):
        block = random_block(rng, 7, 5)
        config, quantised = quantise_within_error(config_for(block), block, 0.1)
        stages = IntegerModel(config, quantised.parameters).run(hard_frames(rng, config, block, 3))
        top = (1 << config.hidden_bits) - 1
        assert top // 2 < stages.pre1.max() <= top


def test_relu6_ends_at_six():
    block = random_block(np.random.default_rng(4), 16, 4, 10, Mid.RELU6)
    config, quantised = quantise_within_error(config_for(block), block, 0.1)
    stages = IntegerModel(config, quantised.parameters).run(hard_frames(np.random.default_rng(1), config, block, 3))
    assert stages.hidden.max() * quantised.hidden_scale == pytest.approx(6, rel=1e-12)


def test_dead_units_cost_nothing():
    """A unit that a relu always stops adds no error, whatever layer 2 would make of it."""
    block = random_block(np.random.default_rng(4), 16, 4)
    alone, _ = quantise_within_error(config_for(block), block, 0.1)
    dead = FloatBlock(np.vstack([block.w1, block.w1[:1]]), np.append(block.b1, -100.0),
                      np.hstack([block.w2, np.full((16, 1), 30.0)]), block.b2)
    assert quantise_within_error(config_for(dead), dead, 0.1)[0].operand_bits == alone.operand_bits


@pytest.mark.parametrize(("weight", "bias"), [(3e6, -1e9), (0.1, -1e9)])
def test_extreme_dead_unit(weight, bias):
    """A unit whose multiplier or bias is far beyond the others': the hidden scale makes room for it."""
    block = random_block(np.random.default_rng(4), 16, 4, 0.3)
    block.w1[2], block.b1[2] = weight, bias
    config, quantised = quantise_within_error(config_for(block), block, 0.01)
    within_a_step(block, quantised)
    frames = hard_frames(np.random.default_rng(1), config, block, 4)
    assert largest_error(config, quantised, frames) <= quantised.error_bound_lsb <= 1


# The budget's parts against brute force.


def test_hidden_error_of_constants():
    """Units that layer 1 does not reach: what rounding leaves of their bias of 64 steps an LSB, none where it is 0."""
    bias = np.array([20, 40, 64, 0, -100])
    zeros = np.zeros(5, np.int64)
    layer = Layer(np.zeros((5, 2), np.int64), zeros, zeros, bias)
    real = RealLayer(layer, np.zeros((5, 2)), np.zeros(5), np.zeros(5))
    config = Config(k=3, width=2, channels=2, squeeze=5)
    assert budget.hidden_error(config, real, (0,)) == pytest.approx(np.array([20, 24, 0, 0, 0]) / 64)


@pytest.mark.parametrize(("k", "width", "operand_bits"), [(1, 3, 10), (2, 2, 12), (4, 1, 10), (7, 3, 12), (7, 3, 20),
                                                          (13, 40, 10), (24, 7, 18)])
def test_mean_error(k, width, operand_bits):
    """Over every possible sum: within the bound, and not much under it; within the box, and reaching its ends."""
    config = Config(k=k, width=width, channels=1, squeeze=1, operand_bits=operand_bits)
    worst, low, high = 0.0, 0, 0
    for r, (value, q) in enumerate(config.reciprocals, 1):
        total = np.arange(-128 * r * width, 127 * r * width + 1)
        means = (total * value + (1 << (q - 1))) >> q
        worst = max(worst, np.abs(means - total * (k / r) * 2.0**config.mean_frac).max())
        low, high = min(low, means.min()), max(high, means.max())
    assert budget.mean_box(config) == (low, high)
    bound = budget.mean_error(config)
    assert worst <= bound + 1e-12
    assert bound <= worst * 2 + 1e-12


@given(st.floats(0, 3000))
@settings(max_examples=30, deadline=None, derandomize=True, database=None)
def test_gate_error(delta):
    """For logits anywhere, not only on the grid's points, and beyond the table's ends."""
    for residual in (False, True):
        config = Config(k=1, width=1, channels=1, squeeze=1, residual=residual)
        bound = budget.gate_error(config, delta + 0.5)
        exact = np.linspace(-12000, 12000, 4001)
        value = 0.5 + np.tanh(exact / 2048) / 2
        for off in (-delta, -delta / 2, delta):
            got = np.clip(np.rint(exact + off), -8192, 8191).astype(np.int64)
            gates = activation.gate(got, config, activation.gate_columns(config)) / 4096
            assert np.abs(gates - ((1 + value) / 2 if residual else value)).max() <= bound
