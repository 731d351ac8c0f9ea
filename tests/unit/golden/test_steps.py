# SPDX-License-Identifier: Apache-2.0
"""Weights that are integers times a step for each output, as those of a quantised network."""

import dataclasses
import re

import numpy as np
import pytest

from tiled_se.golden.block import FloatBlock
from tiled_se.golden.integer import IntegerModel
from tiled_se.golden.quantise import quantise_fixed_widths, quantise_within_error
from tiled_se.golden.reference import squeeze_excite
from tiled_se.golden.scales import exact_shifts
from tiled_se.hdl.config import GUARD_BITS, Config, ConfigError, DataType, Gate, GateKind, Mid
from tiled_se.hdl.latency import limbs

SQUEEZE, CHANNELS = 5, 12
# A step of a weight, and one of the data, by the data's bits.
X_SCALE = {4: 0.4, 8: 0.03, 16: 1.2e-4}


def block(weight_bits=8, several=True, seed=1, **form):
    """A block with such weights, and its integers; the last row of each layer uses few of the integers, one none."""
    rng, largest = np.random.default_rng(seed), 2 ** (weight_bits - 1) - 1
    layers, steps = [], []
    for shape, spread in (((SQUEEZE, CHANNELS), 2.0), ((CHANNELS, SQUEEZE), 4.0)):
        integers = rng.integers(-largest, largest + 1, shape)
        integers[-1] = np.rint(integers[-1] / 3)
        integers[1] = 0
        layers.append(integers)
        steps.append(spread / largest / np.sqrt(shape[1]) * (rng.uniform(0.2, 1, shape[0]) if several else np.ones(
            shape[0])))
    weights = [integers * step[:, None] for integers, step in zip(layers, steps, strict=True)]
    return FloatBlock(weights[0], rng.normal(size=SQUEEZE) / 3, weights[1], rng.normal(size=CHANNELS), **form,
                      w1_step=steps[0], w2_step=steps[1]), layers


def config(bits=8, weight_bits=8, **more):
    return Config(k=3, width=4, channels=CHANNELS, squeeze=SQUEEZE, lanes=4, macs=2, data=DataType(bits, signed=False),
                  zero_point=3, weight_bits=weight_bits, y_ratio=1.7, **more)


@pytest.mark.parametrize("form", [{}, {"mid": Mid.SILU}, {"gate": Gate(GateKind.HARDSIGMOID), "mid": Mid.HARDSWISH}],
                         ids=["relu", "silu", "hard"])
@pytest.mark.parametrize(("bits", "weight_bits", "several"), [
    (8, 8, True), (8, 8, False), (4, 4, False), (16, 8, True), (8, 2, True)])
def test_integers_are_kept(bits, weight_bits, several, form):
    """All of them, and the bound is against these weights, whatever multipliers make of their steps."""
    made, layers = block(weight_bits, several, **form)
    fitted, quantised = quantise_within_error(config(bits, weight_bits, **form), made, X_SCALE[bits])
    for layer, integers in zip((quantised.parameters.layer1, quantised.parameters.layer2), layers, strict=True):
        np.testing.assert_array_equal(layer.weight, integers)
    for name in ("w1", "b1", "w2", "b2"):
        np.testing.assert_allclose(getattr(quantised, name), getattr(made, name), rtol=1e-15, atol=0)
    assert largest_error(fitted, quantised, made) <= quantised.error_bound_lsb <= 1
    # The same widths give the same integers.
    again = quantise_fixed_widths(fitted, made, X_SCALE[bits])
    np.testing.assert_array_equal(again.parameters.layer2.multiplier, quantised.parameters.layer2.multiplier)


def largest_error(fitted, quantised, made):
    """The largest distance of an output from the block's own, for random data and for extremes."""
    data = fitted.data
    rng = np.random.default_rng(2)
    constant = rng.choice([data.low, data.high], (6, 1, 1, CHANNELS)).repeat(7, axis=1).repeat(4, axis=2)
    x = np.concatenate([rng.integers(data.low, data.high + 1, (2, 7, 4, CHANNELS)), constant])
    y = IntegerModel(fitted, quantised.parameters).run(x).y.numpy()
    own = [squeeze_excite((one - 3) * X_SCALE[data.bits], made, fitted) / quantised.y_scale + 3 for one in x]
    return abs(y - np.clip(own, data.low, data.high)).max()


@pytest.mark.parametrize("mid", [Mid.RELU, Mid.HARDSWISH])
@pytest.mark.parametrize("bits", [4, 8, 16])
def test_loadable_blocks_keep_the_integers(bits, mid):
    """Their multipliers and shifts suit any steps: those of other weights have the same widths."""
    prints = set()
    for seed, several in ((1, True), (2, False), (3, True)):
        made, layers = block(several=several, seed=seed, mid=mid)
        # As for any parameters, the operands' width is that of the worst.
        fitted, quantised = quantise_within_error(config(bits, loadable=True, mid=mid), made, X_SCALE[bits],
                                                  least_bits=bits + 14)
        np.testing.assert_array_equal(quantised.parameters.layer1.weight, layers[0])
        np.testing.assert_array_equal(quantised.parameters.layer2.weight, layers[1])
        assert largest_error(fitted, quantised, made) <= quantised.error_bound_lsb <= 1
        prints.add((fitted.multiplier_bits, fitted.shifts))
        quantise_fixed_widths(fitted, made, X_SCALE[bits])
    assert len(prints) == 1


def test_narrow_multipliers_cost_outputs_their_accuracy():
    """The bound says so: with 16 bits it is broken, and the message names the width that keeps it."""
    made, _ = block()
    fitted, wide = quantise_within_error(config(16), made, X_SCALE[16])
    assert fitted.multiplier_bits > 16
    narrow = dataclasses.replace(fitted, multiplier_bits=16)
    loose = quantise_fixed_widths(dataclasses.replace(narrow, shifts=tuple(
        tuple(max(shift + 16 - fitted.multiplier_bits, 0) for shift in shifts) for shifts in fitted.shifts)), made,
        X_SCALE[16], error_lsb=1e9)
    error = largest_error(loose.config, loose, made)
    assert 1 < error <= loose.error_bound_lsb
    assert largest_error(fitted, wide, made) <= wide.error_bound_lsb <= 1
    # A loadable block of the general shifts has multipliers of 16 bits.
    general = dataclasses.replace(config(16, loadable=True), operand_bits=30, requant_bits=50)
    with pytest.raises(ConfigError, match=r"^multiplier_bits=16: must be at least 32 to keep 1 LSB \(now [0-9.]+\)$"):
        quantise_fixed_widths(general, made, X_SCALE[16])


def test_multipliers_of_one_dsp_block_come_first():
    """A bit more of the operands costs less than a multiplier in two parts, with which a bit less would do."""
    made, _ = block(seed=11)
    fitted, quantised = quantise_within_error(config(), made, X_SCALE[8])
    assert (fitted.operand_bits, fitted.multiplier_bits) == (16, 16)
    assert largest_error(fitted, quantised, made) <= quantised.error_bound_lsb <= 1
    # OPERAND_BITS may ask for these.
    fewest, quantised = quantise_within_error(config(), made, X_SCALE[8], fewest_bits=True)
    assert (fewest.operand_bits, fewest.multiplier_bits) == (15, 20)
    assert largest_error(fewest, quantised, made) <= quantised.error_bound_lsb <= 1
    # Operands get no wider than that, and take no more DSP blocks.
    for bits in (4, 8, 16):
        for seed in range(1, 6):
            made, _ = block(seed=seed)
            fewest, fitted = (quantise_within_error(config(bits), made, X_SCALE[bits], fewest_bits=few)[0]
                              for few in (True, False))
            assert fitted == fewest or (fitted.multiplier_bits <= 18 < fewest.multiplier_bits
                                        and fitted.operand_bits <= fewest.operand_bits + 3
                                        and limbs(fitted.operand_bits) == limbs(fewest.operand_bits))


@pytest.mark.parametrize("loadable", [False, True])
def test_weights_without_steps_keep_the_multipliers_of_the_config(loadable):
    """Also where they take several DSP blocks: there are no others to try."""
    given, _ = block(8)
    made = dataclasses.replace(given, w1_step=None, w2_step=None)
    fitted, quantised = quantise_within_error(config(12, multiplier_bits=24, loadable=loadable), made, 2e-3)
    assert fitted.multiplier_bits == 24
    assert quantised.error_bound_lsb <= 1


@pytest.mark.parametrize(("mid", "others", "names"), [
    # Its table would be smaller with wider multipliers, but need not be.
    (Mid.SILU, {}, ["multiplier_bits"]), (Mid.HARDSWISH, dict(segment_bits=5), ["multiplier_bits"]),
    (Mid.RELU, dict(operand_bits=13), ["operand_bits", "multiplier_bits"])], ids=["silu", "hardswish", "relu"])
def test_the_widths_that_are_too_small_are_named(mid, others, names):
    """All of them and no others: with these the bound is kept, with fewer it is not."""
    made, _ = block(mid=mid)
    made = dataclasses.replace(made, w2=made.w2 * 2, w2_step=made.w2_step * 2)
    plain = dataclasses.replace(made, w1_step=None, w2_step=None)
    hardware, _ = quantise_within_error(config(loadable=True, mid=mid), plain, X_SCALE[8], least_bits=16)
    hardware = dataclasses.replace(hardware, **others)
    with pytest.raises(ConfigError) as error:
        quantise_fixed_widths(hardware, made, X_SCALE[8])
    needed = dict(re.findall(r"(\w+)(?:=\d+: must be)? at least (\d+)", str(error.value)))
    assert list(needed) == names
    shifts = tuple(range(int(needed["multiplier_bits"]) - 16, int(needed["multiplier_bits"]) + 20, 5))
    enough = dataclasses.replace(hardware, **{name: int(bits) for name, bits in needed.items()}, shifts=(shifts,) * 2)
    assert quantise_fixed_widths(enough, made, X_SCALE[8]).error_bound_lsb <= 1
    for fields in (["operand_bits"], ["multiplier_bits", "shifts"]):
        if fields[0] in names:
            less = dataclasses.replace(enough, **{name: getattr(hardware, name) for name in fields})
            with pytest.raises(ConfigError):
                quantise_fixed_widths(less, made, X_SCALE[8])


def test_loud_weights_are_refused():
    """Steps that multipliers of the most bits miss by too much, for outputs that are far finer than the input."""
    made, _ = block(seed=3)
    loud = dataclasses.replace(made, w1=made.w1 * 300, w1_step=made.w1_step * 300, w2=made.w2 * 300,
                               w2_step=made.w2_step * 300)
    message = (r"^error_lsb=1.0: no operand width up to 44 bits keeps this for these parameters; the lowest bound "
               r"reached is [0-9.]+, with multipliers of 32 bits, the most, for the given steps of the weights$")
    for loadable in (False, True):
        with pytest.raises(ConfigError, match=message):
            quantise_within_error(config(16, loadable=loadable), loud, X_SCALE[16])
    # Steps of its own it could have.
    free = dataclasses.replace(loud, w1_step=None, w2_step=None)
    assert quantise_within_error(config(16), free, X_SCALE[16])[1].error_bound_lsb <= 1


def test_other_shifts_are_named():
    """Those of a loadable block of the same widths; with them its multipliers have fewer bits."""
    made, _ = block()
    fitted, _ = quantise_within_error(config(16, loadable=True), made, X_SCALE[16])
    general = dataclasses.replace(fitted, shifts=((0, 8, 16),) * 2)
    message = r"^shifts=\(\(0, 8, 16\), \(0, 8, 16\)\): must be \(\(16, 21, .* to keep 1 LSB \(now [0-9.]+\)$"
    with pytest.raises(ConfigError, match=message):
        quantise_fixed_widths(general, made, X_SCALE[16])


def test_biases_count():
    """A bias is rounded to 2**-6 of a step of the result; of given weights this is an error, and in the bound."""
    made, _ = block()
    fitted, quantised = quantise_within_error(config(), made, X_SCALE[8])
    exact = quantise_fixed_widths(fitted, dataclasses.replace(made, b2=(
        quantised.parameters.layer2.bias * 2.0**-(GUARD_BITS + fitted.logit_frac))), X_SCALE[8])
    np.testing.assert_array_equal(exact.parameters.layer2.bias, quantised.parameters.layer2.bias)
    assert exact.error_bound_lsb < quantised.error_bound_lsb


@pytest.mark.parametrize("weight_bits", [2, 4, 8])
@pytest.mark.parametrize("loadable", [False, True], ids=["baked", "loadable"])
def test_the_least_weight(weight_bits, loadable):
    """Rows of nothing but -2**(b - 1), and nearly so, with the lowest data: within the bound, and no overflow."""
    least, shape = -(2 ** (weight_bits - 1)), dict(k=2, width=4, channels=8, squeeze=4, lanes=4, macs=2)
    weights = []
    for outputs, inputs in ((4, 8), (8, 4)):
        integers = np.random.default_rng(1).integers(least, -least, (outputs, inputs))
        integers[:2] = least
        integers[1, -1] += 1
        integers[2, 0] = least
        weights.append(integers)
    step = 4 / (least * least * 8)
    made = FloatBlock(weights[0] * step, np.zeros(4), weights[1] * step / 2, np.full(8, 1.5), mid=Mid.IDENTITY,
                      w1_step=np.full(4, step), w2_step=np.full(8, step / 2))
    # The lowest mean and the lowest hidden value are those of their formats.
    form = Config(**shape, weight_bits=weight_bits, mid=Mid.IDENTITY, loadable=loadable)
    fitted, quantised = quantise_within_error(form, made, 1 / 64)
    own = quantised.parameters.layer1.weight, quantised.parameters.layer2.weight
    for found, integers in zip(own, weights, strict=True):
        np.testing.assert_array_equal(found[1:], integers[1:])
    # All of the first rows' weights: in layer 1, whose inputs are a power of two and the most, with twice the step.
    assert (own[0][0].tolist(), own[1][0].tolist()) == ([least // 2] * 8, [least] * 4)
    np.testing.assert_array_equal(quantised.w1, made.w1)
    x = np.stack([np.full((4, 4, 8), -128), np.full((4, 4, 8), 127), np.random.default_rng(3).choice(
        [-128, 127], (4, 4, 8))])
    stages = IntegerModel(fitted, quantised.parameters).run(x)
    assert int(stages.means.min()) == -(1 << (fitted.operand_bits - 1))
    assert int(stages.acc1.max()) >= (1 << (fitted.acc_bits - 1)) - (1 << fitted.operand_bits)
    real = [squeeze_excite(one / 64.0, made, fitted) * 64 for one in x]
    assert abs(stages.y.numpy() - real).max() <= quantised.error_bound_lsb <= 1


def test_a_row_that_would_overflow_is_refused():
    fitted, quantised = quantise_within_error(Config(k=1, width=2, channels=4, squeeze=2), FloatBlock(
        np.ones((2, 4)), np.zeros(2), np.ones((4, 2)), np.zeros(4)), 0.1)
    for weight, message in ((-128, "the magnitudes of a row of layer1.weight=512: must be from 0 to 511"),
                            (-129, "layer1.weight=-129: must be from -128 to 127")):
        layer = dataclasses.replace(quantised.parameters.layer1, weight=np.full((2, 4), weight))
        with pytest.raises(ConfigError, match=f"^{message}$"):
            dataclasses.replace(quantised.parameters, layer1=layer).validate(fitted)


def test_other_steps_round_the_integers():
    """Without the steps the quantiser chooses those that use all of the range."""
    made, layers = block()
    _, quantised = quantise_within_error(config(), dataclasses.replace(made, w1_step=None, w2_step=None), X_SCALE[8])
    assert abs(quantised.parameters.layer1.weight[-1]).max() >= 126 > abs(layers[0][-1]).max()


@pytest.mark.parametrize("spread", [1, 40])
def test_shifts(spread):
    """At most eight; as many as there are ratios' powers of two, if these are no more."""
    ideal = 2.0 ** np.linspace(0, spread, 50) / 1e9
    for bits in (16, 26):
        shifts = exact_shifts(ideal, 2**bits - 1)
        assert len(shifts) == min(spread + 1, 8)
        assert 2 ** (bits - 1) <= np.ldexp(ideal.max(), min(shifts)) < 2**bits
        assert exact_shifts(np.zeros(3), 2**bits - 1) == (0,)


@pytest.mark.parametrize(("change", "message"), [
    ({"w1_step": np.ones(CHANNELS)}, r"w1_step=\[12\]: must have the shape \[5\] beside w1's \[5, 12\]"),
    ({"w2_step": np.zeros(CHANNELS)}, "w2_step=0.0: must hold positive numbers only"),
    ({"w2_step": np.full(CHANNELS, 0.3)}, "w2_step=no steps: must hold numbers of which w2 has integer multiples")],
    ids=["shape", "zero", "other"])
def test_refuses(change, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(block()[0], **change)


def test_weights_of_float32_are_near_enough():
    """Those and their steps are rounded; what is more than a thousandth of a step off was not made with these steps."""
    made, layers = block()
    rounded = {name: getattr(made, name).astype(np.float32) for name in ("w1", "w2", "w1_step", "w2_step")}
    # The roundings of another scale that was folded in, and taken out.
    rounded["w1"] = rounded["w1"] * np.float32(0.3) / np.float32(0.3)
    _, quantised = quantise_within_error(config(), dataclasses.replace(made, **rounded), X_SCALE[8])
    np.testing.assert_array_equal(quantised.parameters.layer1.weight, layers[0])
    for name in ("w1", "w2"):
        off = getattr(made, name).copy()
        off[0, 0] += 0.002 * getattr(made, f"{name}_step")[0]
        with pytest.raises(ConfigError, match=f"^{name}_step=no steps: must hold numbers of which {name} has "):
            dataclasses.replace(made, **{name: off})


def test_refuses_fewer_bits():
    message = "^weight_bits=4: must be at least 8, as w1 has integers from -12[0-9] to 12[0-9]$"
    with pytest.raises(ConfigError, match=message):
        quantise_within_error(config(weight_bits=4), block()[0], X_SCALE[8])
