# SPDX-License-Identifier: Apache-2.0
"""Weights that are integers times a step for each output, as those of a quantised network."""

import dataclasses

import numpy as np
import pytest

from tiled_se.golden.block import FloatBlock
from tiled_se.golden.integer import IntegerModel
from tiled_se.golden.quantise import quantise_fixed_widths, quantise_within_error
from tiled_se.golden.reference import squeeze_excite
from tiled_se.golden.scales import exact_shifts
from tiled_se.hdl.config import Config, ConfigError, DataType, Gate, GateKind, Mid

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
    """All of them, and their steps to 2**-16. That costs an output under a step at 16 bits, and little at fewer."""
    made, layers = block(weight_bits, several, **form)
    fitted, quantised = quantise_within_error(config(bits, weight_bits, **form), made, X_SCALE[bits])
    for layer, integers in zip((quantised.parameters.layer1, quantised.parameters.layer2), layers, strict=True):
        np.testing.assert_array_equal(layer.weight, integers)
    for real, weight in ((quantised.w1, made.w1), (quantised.w2, made.w2)):
        np.testing.assert_allclose(real, weight, rtol=2.0**-16)
    assert quantised.error_bound_lsb <= 1
    x = np.random.default_rng(2).integers(0, 2 ** bits, (2, 7, 4, CHANNELS))
    y = IntegerModel(fitted, quantised.parameters).run(x).y.numpy()
    own, near = (np.clip([squeeze_excite((one - 3) * X_SCALE[bits], weights, fitted) / quantised.y_scale + 3
                          for one in x], 0, 2 ** bits - 1) for weights in (made, quantised))
    assert abs(y - near).max() <= 1
    assert abs(own - near).max() < (1 if bits == 16 else 0.01)
    # The same widths give the same integers.
    again = quantise_fixed_widths(fitted, made, X_SCALE[bits])
    np.testing.assert_array_equal(again.parameters.layer2.multiplier, quantised.parameters.layer2.multiplier)


def test_loadable_blocks_keep_the_integers():
    """Their steps are those of the general shifts, which are coarser."""
    made, layers = block()
    _, quantised = quantise_within_error(config(loadable=True), made, X_SCALE[8])
    np.testing.assert_array_equal(quantised.parameters.layer1.weight, layers[0])
    np.testing.assert_array_equal(quantised.parameters.layer2.weight, layers[1])
    np.testing.assert_allclose(quantised.w2, made.w2, rtol=2.0**-8)


def test_other_steps_round_the_integers():
    """Without the steps the quantiser chooses those that use all of the range."""
    made, layers = block()
    _, quantised = quantise_within_error(config(), dataclasses.replace(made, w1_step=None, w2_step=None), X_SCALE[8])
    assert abs(quantised.parameters.layer1.weight[-1]).max() >= 126 > abs(layers[0][-1]).max()


@pytest.mark.parametrize("spread", [1, 40])
def test_shifts(spread):
    """At most eight; as many as there are ratios' powers of two, if these are no more."""
    ideal = 2.0 ** np.linspace(0, spread, 50) / 1e9
    shifts = exact_shifts(ideal)
    assert len(shifts) == min(spread + 1, 8)
    assert 2**15 <= np.ldexp(ideal.max(), min(shifts)) < 2**16
    assert exact_shifts(np.zeros(3)) == (0,)


@pytest.mark.parametrize(("change", "message"), [
    ({"w1_step": np.ones(CHANNELS)}, r"w1_step=\[12\]: must have the shape \[5\] beside w1's \[5, 12\]"),
    ({"w2_step": np.zeros(CHANNELS)}, "w2_step=0.0: must hold positive numbers only")], ids=["shape", "zero"])
def test_refuses(change, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(block()[0], **change)


def test_refuses_fewer_bits():
    with pytest.raises(ConfigError, match="weight_bits=4: must be at least 8, as w1 has integers up to 12[0-9]"):
        quantise_within_error(config(weight_bits=4), block()[0], X_SCALE[8])
