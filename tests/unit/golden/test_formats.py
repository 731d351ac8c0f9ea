# SPDX-License-Identifier: Apache-2.0
"""Data of 2 to 16 bits, weights of 2 to 8, outputs with a format of their own: the contract, budget, stages by hand."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.helpers.nightly import seldom
from tests.helpers.random_formats import hard_frames, pick, random_case
from tiled_se.golden import activation, budget, stages
from tiled_se.golden.block import FloatBlock
from tiled_se.golden.integer import STAGES, IntegerModel
from tiled_se.golden.quantise import quantise_fixed_widths, quantise_within_error
from tiled_se.golden.reference import squeeze_excite
from tiled_se.hdl.config import Config, ConfigError, DataType, Gate, GateKind, Mid, Order
from tiled_se.hdl.parameters import Layer, Parameters

HARD = Gate(GateKind.HARDSIGMOID)


def exact_outputs(config, quantised, x, x_scale, y_scale):
    """What the outputs for the stream's frames `x` should be, in steps of their integers: real numbers, not limited."""
    by_columns = config.order is Order.COLUMNS
    zero = config.zero_point if config.y_zero_point is None else config.y_zero_point
    real = [squeeze_excite(frame.swapaxes(0, 1) if by_columns else frame, quantised, config)
            for frame in (x.astype(np.float64) - config.zero_point) * x_scale]
    real = np.stack([frame.swapaxes(0, 1) if by_columns else frame for frame in real])
    return zero + real / y_scale


@pytest.mark.parametrize(("blocks", "reached"), seldom([(250, 0.6), (1000, 0.7)], (250, 0.6)))
def test_contract(blocks, reached, figure):
    """Many blocks of all formats and contexts: every output within the bound, which is at most an LSB."""
    worst = bound = share = 0.0
    saturated = 0
    for seed in range(blocks):
        config, block, x_scale, rng = random_case(seed)
        y_scale = x_scale * (1 + block.residual) if config.y_ratio is None else x_scale / config.y_ratio
        config, quantised = quantise_within_error(config, block, x_scale)
        assert quantised.y_scale == pytest.approx(y_scale, rel=1e-12, abs=0)
        x = hard_frames(rng, config, int(rng.integers(1, 12)))
        y = IntegerModel(config, quantised.parameters).run(x).y.numpy()
        exact, outputs = exact_outputs(config, quantised, x, x_scale, y_scale), config.outputs
        low = -2.0**(outputs.bits - 1) if outputs.signed else 0.0
        limited = np.clip(exact, low, low + 2.0**outputs.bits - 1)
        error = np.abs(y - limited).max()
        assert error <= quantised.error_bound_lsb <= 1, (seed, config)
        saturated += (np.abs(limited - exact) > 1).any()
        worst, bound = max(worst, error), max(bound, quantised.error_bound_lsb)
        share = max(share, error / quantised.error_bound_lsb)
        if seed % 4 == 0:
            again = quantise_fixed_widths(config, block, x_scale)
            assert np.array_equal(IntegerModel(config, again.parameters).run(x).y.numpy(), y)
            assert again.error_bound_lsb == quantised.error_bound_lsb
    assert 0.3 < saturated / blocks < 0.7
    assert worst > reached
    figure(f"formats: largest error of {blocks} blocks {worst:.4f}, largest bound {bound:.4f} LSB, largest share "
           f"{share:.3f}; {saturated} saturate")


def test_large_blocks(figure):
    """60 blocks of up to 30 x 56 elements a tile and 64 channels, whose accumulators and means are wide."""
    worst, elements = 0.0, 0
    for seed in range(60):
        config, block, x_scale, rng = random_case(seed, large=True)
        config, quantised = quantise_within_error(config, block, x_scale)
        x = hard_frames(rng, config, int(rng.integers(1, 40)))
        worst = max(worst, check_outputs(config, quantised, x, x_scale))
        elements = max(elements, config.k * config.columns)
    assert elements > 1024
    figure(f"formats: largest error of 60 large blocks {worst:.4f} LSB, largest tile {elements} elements a channel")


def check_outputs(config, quantised, x, x_scale):
    """The largest error of the integer model's outputs for `x`, at most the bound, which is at most an LSB."""
    y = IntegerModel(config, quantised.parameters).run(x).y.numpy()
    exact, outputs = exact_outputs(config, quantised, x, x_scale, x_scale / config.ratio), config.outputs
    error = np.abs(y - np.clip(exact, outputs.low, outputs.high)).max()
    assert error <= quantised.error_bound_lsb <= 1
    return error


@pytest.mark.parametrize("mid", [Mid.RELU, Mid.SILU])
@pytest.mark.parametrize("gate", [Gate(), HARD], ids=["sigmoid", "hardsigmoid"])
@pytest.mark.parametrize(("bits", "residual"), [(4, False), (8, True), (16, False)])
def test_hardware_takes_every_smaller_ratio(bits, residual, gate, mid):
    """Its widths and tables hold other weights with any ratio up to the largest; for the same weights only the factor
    differs. A larger ratio is refused."""
    rng = np.random.default_rng([bits, residual])
    data, most = DataType(bits), 2.0
    form = {"mid": mid, "gate": gate, "residual": residual}
    fields = {"k": 2, "width": 3, "channels": 6, "squeeze": 3, "data": data, "zero_point": 1, "loadable": True, **form}
    loud, quiet = (FloatBlock(rng.normal(size=(3, 6)) * gain, rng.normal(size=3), rng.normal(size=(6, 3)) * gain,
                              rng.normal(size=6), **form) for gain in (1.0, 0.5))
    hardware, first = quantise_within_error(Config(**fields, y_ratio=most * (1 + 1e-7)), loud, 0.03)
    x = hard_frames(rng, hardware, 5)
    bounds = []
    for ratio in (most * (1 + 1e-7), most, 1.3, 1.0, 0.5, 0.11, 2.0**-30):
        block = hardware.with_ratio(ratio)
        same, other = (quantise_fixed_widths(block, form, 0.03) for form in (loud, quiet))
        assert block.fingerprint == hardware.fingerprint
        bounds.append(same.error_bound_lsb)
        for quantised in (same, other):
            check_outputs(block, quantised, x, 0.03)
            assert quantised.y_scale == 0.03 / ratio
        assert same.parameters.factor == round(ratio * (1 + residual) * 2**hardware.gate_frac)
        for name in ("layer1", "layer2"):
            mine, its = getattr(same.parameters, name), getattr(first.parameters, name)
            assert all(np.array_equal(getattr(mine, field.name), getattr(its, field.name))
                       for field in dataclasses.fields(Layer))
        # The tables are the same, too, if the ratio is given with the hardware's largest one.
        fitted, _ = quantise_within_error(Config(**fields, y_ratio=ratio, max_ratio=most), loud, 0.03,
                                          least_bits=hardware.operand_bits)
        assert fitted.fingerprint == hardware.fingerprint
    assert bounds[0] > bounds[2] > bounds[3] > bounds[4] > bounds[5] > bounds[6]
    assert bounds[-1] < 0.54
    with pytest.raises(ConfigError, match="^y_ratio=2.1: must be from 2.32831e-10 to 2 for a max_ratio of 2$"):
        hardware.with_ratio(2.1)


@pytest.mark.parametrize("loadable", [False, True], ids=["baked", "loadable"])
@pytest.mark.parametrize("gate", [Gate(), HARD], ids=["sigmoid", "hardsigmoid"])
@pytest.mark.parametrize("bits", [8, 16])
def test_ratios_of_float32_scales(bits, gate, loadable):
    """Ratios next to a power of two: the formats of that power, and outputs that are right for the ratio itself."""
    rng = np.random.default_rng([bits, loadable])
    block = FloatBlock(rng.normal(size=(2, 4)), rng.normal(size=2), rng.normal(size=(4, 2)), [9, 0, 9, -1], gate=gate)
    for power in (0.5, 1.0, 2.0):
        for off in (-1e-5, -1e-7, 0, 1e-7, 9e-7, 1e-5):
            config = Config(k=2, width=3, channels=4, squeeze=2, data=DataType(bits, False), zero_point=0, gate=gate,
                            y_ratio=power * (1 + off), y_data=DataType(16, False), loadable=loadable)
            precision = bits + {0.5: -1, 1.0: 0, 2.0: 1}[power]
            assert config.precision == precision + (off > 1e-6)
            fitted, quantised = quantise_within_error(config, block, 0.01)
            check_outputs(fitted, quantised, hard_frames(rng, fitted, 5), 0.01)


# The budget's parts against brute force.


def gates_of(config, logits, factor):
    """The integer model's gates of int64 `logits`, as real numbers."""
    columns = torch.tensor(activation.gate_columns(config))
    return stages.gates(torch.tensor(logits), config, columns, factor).numpy() * 2.0**-config.gate_frac


def real_factor(config):
    """The factor of a block that is loaded, from its definition."""
    if not config.rescales:
        return None
    return round(config.ratio * (1 + config.residual) * 2**(config.data.bits + 4) / config.gate_top
                 * 2**config.factor_bits)


@pytest.mark.parametrize("loadable", [False, True])
@pytest.mark.parametrize("bits", range(2, 17))
def test_gate_error(bits, loadable):
    """For logits anywhere, on every point of the grid or on many of them: within the bound, and not far under it."""
    rng = np.random.default_rng([bits, loadable])
    worst = 0.0
    for _ in range(4):
        residual = bool(rng.integers(2))
        ratio = pick(rng, [None, 2.0**rng.uniform(-8, 20 - bits - residual), 2.0**(20 - bits - residual)])
        config = Config(k=1, width=1, channels=1, squeeze=1, data=DataType(bits), residual=residual, y_ratio=ratio,
                        loadable=loadable)
        step, top = 2.0**-(config.precision + 2), 1 << (config.logit_bits - 1)
        logits = np.arange(-top, top) if top <= 1 << 17 else np.unique(np.concatenate(
            [rng.integers(-top, top, 1 << 16), np.arange(-20000, 20000), [-top, 1 - top, top - 2, top - 1]]))
        gates = gates_of(config, logits, real_factor(config))
        for delta in (0.5, 0.5 + rng.exponential(3), 10**rng.uniform(1, 4)):
            bound = budget.gate_error(config, delta)
            low, high = ((logits + off) * step for off in (-delta, delta))
            # The ends of the range stand for all that is beyond them.
            low[0], high[-1] = -np.inf, np.inf
            with np.errstate(over="ignore"):
                exact = [(ratio or (0.5 if residual else 1.0)) * (residual + 1 / (1 + np.exp(-end)))
                         for end in (low, high)]
            error = max((gates - exact[0]).max(), (exact[1] - gates).max())
            assert error <= bound * (1 + 1e-9)
            worst = max(worst, error / bound)
            # The parts are added up, though they are not all largest at the same logit. With a large delta a slope of a
            # quarter is too steep.
            assert delta * step > 0.1 or (bound - error) * 2**bits < 0.15
    assert worst > 0.6


@pytest.mark.parametrize("residual", [False, True])
def test_hard_gate_error(residual):
    """Limits that are no integers cost nothing beyond half a step; the factor's rounding counts."""
    for ratio, loadable in ((1.2345, False), (0.0371, False), (0.0371, True), (3.3, True), (0.0301, True)):
        config = Config(k=1, width=1, channels=1, squeeze=1, gate=HARD, residual=residual, y_ratio=ratio,
                        loadable=loadable)
        top = config.gate_top / (1 + residual)
        exact = np.linspace(-2, 3, 70001) * top
        wanted = np.clip(exact / top, residual, 1 + residual) * ratio
        worst = 0.0
        for off in (-0.5, 0.5):
            logits = np.clip(np.floor(exact + off + 0.5), *((-1, 1) * (np.array([1, 1]) << (config.logit_bits - 1))
                                                            - [0, 1])).astype(np.int64)
            worst = max(worst, np.abs(gates_of(config, logits, real_factor(config)) - wanted).max())
        bound = budget.gate_error(config, 1.0)
        assert 0.4 * bound < worst <= bound * (1 + 1e-9)


@pytest.mark.parametrize(("frac", "segment_bits"), [(5, 1), (12, 3), (14, 7), (15, 2), (20, 7), (26, 5), (30, 4),
                                                   (30, 7)])
@pytest.mark.parametrize("mid", [Mid.SILU, Mid.HARDSWISH])
def test_mid_error(mid, frac, segment_bits):
    """Tables up to 32, on every magnitude or on a million of them, and beyond."""
    config = Config(k=1, width=1, channels=1, squeeze=1, data=DataType(12), mid=mid, operand_bits=44, hidden_frac=frac,
                    segment_bits=segment_bits)
    limit = 40 << frac
    a = np.random.default_rng(frac).integers(-limit, limit, 1 << 20) if limit > 1 << 20 else np.arange(-limit, limit)
    got = activation.mid(a, config, activation.mid_columns(mid, frac, segment_bits, 32))
    real = a * 2.0**-frac
    exact = real / (1 + np.exp(-real)) if mid is Mid.SILU else real * np.clip(real / 6 + 0.5, 0, 1)
    bound = budget.mid_error(mid, frac, segment_bits, 32)
    error = np.abs(got - exact * 2.0**frac).max()
    assert 0.5 * bound < error <= bound * (1 + 1e-9)


# Stages by hand.


def t(*values):
    return torch.tensor(values)


def test_outputs_saturate():
    """About a zero point of their own; ties up; what leaves the range stays at its end."""
    config = Config(k=2, width=2, channels=1, squeeze=1, data=DataType(4), y_data=DataType(3), y_zero_point=-2)
    assert config.gate_frac == 8
    x = t(-8, -4, -3, -1, 0, 1, 3, 7).reshape(1, 4, 2, 1)
    gates = t(128, 256).reshape(1, 2, 1)
    # -8 / 2 - 2 = -6, -4; -3 / 2 - 2 = -3.5, -1 / 2 - 2 = -2.5; then 0 - 2, 1 - 2, 3 - 2, 7 - 2.
    assert stages.outputs(x, gates, config, (0, -2)).flatten().tolist() == [-4, -4, -3, -2, -2, -1, 1, 3]


def test_gates_times_the_factor():
    """A loaded ratio of 0.3 for 4 bits: hardware for 1/2, three bits of precision, gates up to 2**7, factors up to 1.
    """
    config = Config(k=1, width=1, channels=1, squeeze=1, data=DataType(4), gate=HARD, y_ratio=0.3, loadable=True)
    assert (config.precision, config.gate_top, config.factor_bits, config.gate_bits) == (3, 128, 7, 8)
    # 0.3 * 2**8 / 2**7 = 0.6, in steps of 2**-7: 76.8.
    block = FloatBlock(np.ones((1, 1)), [0], np.ones((1, 1)), [0], gate=HARD)
    assert quantise_within_error(config, block, 0.1)[1].parameters.factor == 77
    columns = torch.tensor(activation.gate_columns(config))
    # Up to 77 of 256, which is 0.3; 1 * 77 / 128 = 0.6, 5 * 77 / 128 = 3.008, 10 * 77 / 128 = 6.02.
    assert stages.gates(t(-5, 1, 5, 10, 128, 200), config, columns, 77).tolist() == [0, 1, 3, 6, 77, 77]


@pytest.mark.parametrize(("ratio", "residual", "low", "high"), [
    (1.2345, False, 0, 316), (1.2345, True, 316, 632), (0.01, False, 0, 3), (0.001, True, 0, 1),
    (2.0, True, 512, 1024)])
def test_hard_gate_limits(ratio, residual, low, high):
    """Baked: 0 to 1, or 1 to 2 for a residual, times the ratio in steps of 2**-8, rounded."""
    config = Config(k=1, width=1, channels=1, squeeze=1, data=DataType(4), gate=HARD, y_ratio=ratio, residual=residual)
    logits = t(-(1 << (config.logit_bits - 1)), low, (1 << (config.logit_bits - 1)) - 1)
    columns = torch.tensor(activation.gate_columns(config))
    assert stages.gates(logits, config, columns).tolist() == [low, low, high]


def test_whole_block_by_hand():
    """uint4 in, uint5 out, 3-bit weights: every stage of a block of three rows, one full tile and one of a single row.
    """
    config = Config(k=2, width=1, channels=2, squeeze=1, data=DataType(4, signed=False), zero_point=10, weight_bits=3,
                    y_data=DataType(5, signed=False), y_zero_point=20, y_ratio=2.0, gate=HARD, operand_bits=6,
                    shifts=((4,), (0, 2)))
    assert (config.mean_frac, config.gate_frac, config.gate_bits) == (1, 8, 10)

    def layer(*fields):
        return Layer(*(np.array(field, np.int64) for field in fields))

    parameters = Parameters(layer([[2, -1]], [40], [0], [70]), layer([[1], [-3]], [64, 200], [0, 1], [320, 16384]), 2,
                            signed_outputs_zero_point=4)
    run = IntegerModel(config, parameters).run(np.array([[[9, 10]], [[13, 4]], [[7, 15]]]))
    # In the signed range 1, 2; 5, -4; -1, 7.
    wanted = {
        "sums": [[6, -2], [-1, 7]],
        "means": [[12, -4], [-4, 28]],
        "acc1": [[28], [-36]],
        # 28 * 40 >> 4 = 70; + 70 = 140 -> 2.2. -36 * 40 >> 4 = -90; - 20 -> -0.3.
        "pre1": [[2], [0]],
        "hidden": [[2], [0]],
        "acc2": [[2, -6], [0, 0]],
        # 2 * 64 + 320 = 448 -> 7; -6 * 200 >> 2 = -300, + 16384 = 16084 -> 251.3; the biases alone: 5, 256.
        "logits": [[7, 251], [5, 256]],
        "gates": [[7, 251], [5, 256]],
    }
    assert {name: getattr(run, name)[0].tolist() for name in wanted} == wanted
    assert [*wanted, "y"] == list(STAGES)
    # -1 * 7 / 256, 0; 3 * 7 / 256, -6 * 251 / 256 = -5.9; -3 * 5 / 256, 5: about 20.
    assert run.y.tolist() == [[[20, 20]], [[20, 14]], [[20, 25]]]
    cut = IntegerModel(config, parameters).run_beats(np.array([[9], [10], [13]]))
    # The second row has one beat: its sums are 6 and 2.
    assert cut.sums.tolist() == [[[6, 2]]]
    assert cut.y.tolist() == [[20], [20], [20]]


# Weights and refusals.


@pytest.mark.parametrize("weight_bits", range(2, 9))
def test_weights_are_near(weight_bits):
    """Within half of a row's step, of which its largest weight has 2**(bits - 1) - 1."""
    rng = np.random.default_rng(weight_bits)
    block = FloatBlock(rng.normal(size=(5, 9)), rng.normal(size=5), rng.normal(size=(9, 5)), rng.normal(size=9))
    config = Config(k=2, width=3, channels=9, squeeze=5, weight_bits=weight_bits)
    _, quantised = quantise_within_error(config, block, 0.1)
    most = 2**(weight_bits - 1) - 1
    for name, layer in (("w1", quantised.parameters.layer1), ("w2", quantised.parameters.layer2)):
        given = getattr(block, name)
        assert np.abs(layer.weight).max(axis=1).tolist() == [most] * len(given)
        step = np.abs(given).max(axis=1, keepdims=True) / most
        assert (np.abs(getattr(quantised, name) - given) <= step * 0.5 * 1.01).all()


@pytest.mark.parametrize("data", [DataType(2), DataType(5, signed=False), DataType(16)])
def test_width_that_is_needed_is_named(data):
    """One bit less is refused, whatever the data's bits are, by a message with the width that was found."""
    rng = np.random.default_rng(3)
    block = FloatBlock(rng.normal(size=(4, 16)), rng.normal(size=4), rng.normal(size=(16, 4)), rng.normal(size=16))
    config = Config(k=3, width=4, channels=16, squeeze=4, data=data, y_ratio=1.7)
    scale = 25 / (data.steps + 1)
    config, quantised = quantise_within_error(config, block, scale)
    assert config.operand_bits > data.bits + 2
    less = dataclasses.replace(config, operand_bits=config.operand_bits - 1, shifts=Config.shifts)
    with pytest.raises(ConfigError, match=rf"^operand_bits={less.operand_bits}: must be at least {config.operand_bits} "
                                          r"to keep 1 LSB \(now \d+\.\d+\)$"):
        quantise_fixed_widths(less, block, scale)


def test_no_width_is_enough():
    """Weights that 44 bits do not resolve are refused in a line with the bound that was reached, and why."""
    finest = ", with hidden values of 30 fractional bits, the most of mid=silu"
    for gain, w2, x_scale, why in ((1e3, 1e3, 1.0, ""), (0.1, 1e5, 1e-4, finest)):
        block = FloatBlock(np.full((1, 4), gain), [0], np.full((4, 1), w2), np.zeros(4), mid=Mid.SILU)
        config = Config(k=1, width=4, channels=4, squeeze=1, data=DataType(16), mid=Mid.SILU, y_ratio=16.0)
        with pytest.raises(ConfigError, match=r"^error_lsb=1.0: no operand width up to 44 bits keeps this for these "
                                              rf"parameters; the lowest bound reached is \d+\.\d+{why}$"):
            quantise_within_error(config, block, x_scale)


def test_wide_operands():
    """Steep gates of 16-bit data with a wide range take 44 bits, or a hidden vector of 30 fractional bits."""
    rng = np.random.default_rng(7)
    for w1, w2, x_scale, expected in ((1.0, 4.0, 4.0, "operand_bits"), (0.3, 1600.0, 1e-5, "hidden_frac")):
        block = FloatBlock(rng.normal(size=(3, 6)) * w1, rng.normal(size=3), rng.normal(size=(6, 3)) * w2,
                           rng.normal(size=6), Mid.SILU, residual=True)
        config = Config(k=3, width=4, channels=6, squeeze=3, data=DataType(16, False), mid=Mid.SILU, residual=True,
                        y_ratio=1.0)
        config, quantised = quantise_within_error(config, block, x_scale)
        assert getattr(config, expected) > {"operand_bits": 40, "hidden_frac": 28}[expected]
        check_outputs(config, quantised, hard_frames(rng, config, 7), x_scale)
