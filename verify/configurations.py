# SPDX-License-Identifier: Apache-2.0
"""The named configurations that are verified: each one tests what its name says."""

import dataclasses
import functools

import numpy as np

from ..gen.verilog import generate
from ..golden.block import FloatBlock
from ..golden.quantise import quantise_within_error
from ..hdl.config import Config, Context, Gate, GateKind, Mid
from ..hdl.data_type import UINT8, DataType
from ..hdl.parameters import Parameters
from ..hdl.sizing import choose_macs

__all__ = ["CONFIGS", "HEADLINE", "NAMED", "NamedBlock", "quantised", "random_weights"]

HARD = Gate(GateKind.HARDSIGMOID)
PADDLE = Gate(GateKind.HARDSIGMOID, slope=0.2)

CONFIGS = {
    "original SE: no frame is taller than k": dict(k=40, width=6, channels=8, squeeze=3, lanes=2, slack=5),
    "K=1, CR=1": dict(k=1, width=7, channels=6, squeeze=1, lanes=2),
    "W=1, one lane, MACS=1": dict(k=3, width=1, channels=8, squeeze=2, lanes=1, macs=1),
    "LANES=C, relu6": dict(k=2, width=9, channels=5, squeeze=4, lanes=5, mid=Mid.RELU6, macs=3),
    "C/LANES=1 with a tile of one beat": dict(k=1, width=1, channels=4, squeeze=2, lanes=4),
    "two groups a pixel, MACS more than C": dict(k=2, width=5, channels=4, squeeze=9, lanes=2, macs=7),
    "three groups a pixel, CR more than C, hardswish": dict(
        k=3, width=4, channels=9, squeeze=13, lanes=3, mid=Mid.HARDSWISH, macs=5),
    "identity, loud weights that saturate the gate": dict(
        k=3, width=5, channels=12, squeeze=5, lanes=4, mid=Mid.IDENTITY, gain=20.0),
    "silu, loud, hard sigmoid x/6 + 1/2": dict(
        k=4, width=6, channels=10, squeeze=4, lanes=2, mid=Mid.SILU, gate=HARD, gain=6.0),
    "residual, hard sigmoid of slope 0.2": dict(
        k=3, width=6, channels=7, squeeze=3, lanes=7, gate=PADDLE, residual=True, gain=6.0),
    "residual, sigmoid, uint8 about 100": dict(
        k=3, width=6, channels=6, squeeze=4, lanes=3, residual=True, data=UINT8, zero_point=100),
    "int8 about -128, SLACK=0": dict(k=3, width=8, channels=16, squeeze=4, lanes=8, zero_point=-128, slack=0),
    "uint8 about 255, loadable": dict(
        k=2, width=8, channels=8, squeeze=6, lanes=2, data=UINT8, zero_point=255, loadable=True, macs=5),
    "cumulative, K=1, sums in RAM": dict(
        context=Context.CUMULATIVE, k=1, width=9, channels=10, squeeze=3, lanes=2, zero_point=-20),
    "cumulative, K=3, sums in registers, PRIOR=2, MAX_ROWS=8, loadable": dict(
        context=Context.CUMULATIVE, prior_rows=2, max_rows=8, k=3, width=4, channels=8, squeeze=3, lanes=4,
        data=UINT8, zero_point=90, loadable=True, macs=2),
    "causal, K=1, full rate": dict(
        context=Context.CAUSAL, prior_rows=1, k=1, width=20, channels=12, squeeze=3, lanes=4, mid=Mid.SILU),
    "causal, K=2, SLACK=0, PRIOR=3": dict(
        context=Context.CAUSAL, prior_rows=3, k=2, width=3, channels=10, squeeze=4, lanes=2, slack=0, gate=HARD,
        zero_point=127),
    "causal, tiles of one beat, MAX_ROWS=5, loadable": dict(
        context=Context.CAUSAL, prior_rows=1, max_rows=5, k=1, width=1, channels=3, squeeze=4, lanes=3, loadable=True,
        macs=3),
    "window from the first row": dict(
        context=Context.WINDOW, window=(0, 2), k=1, width=5, channels=6, squeeze=2, lanes=3, zero_point=55),
    "window after two rows, SLACK=0, loadable": dict(
        context=Context.WINDOW, window=(2, 3), k=1, width=4, channels=10, squeeze=3, lanes=2, slack=0, loadable=True,
        residual=True),
    "patches, the rightmost is narrower, loadable": dict(
        k=3, tile_width=2, width=5, channels=10, squeeze=3, lanes=2, loadable=True, macs=5),
    "patches of one row, SLACK=0": dict(
        k=1, tile_width=3, width=7, channels=6, squeeze=2, lanes=2, slack=0, data=UINT8, zero_point=100),
    "patches at full rate": dict(k=2, tile_width=12, width=24, channels=6, squeeze=2, lanes=1),
    "int4": dict(k=3, width=5, channels=8, squeeze=3, lanes=4, data=DataType(4), zero_point=-3, weight_bits=4,
                 loadable=True, macs=3),
    # With multipliers as given steps of weights may need them.
    "int12": dict(k=2, width=4, channels=6, squeeze=4, lanes=3, data=DataType(12), zero_point=100, mid=Mid.SILU,
                  multiplier_bits=28),
    "uint3 on 5 lanes": dict(
        k=3, width=3, channels=10, squeeze=3, lanes=5, data=DataType(3, signed=False), zero_point=3, gate=HARD,
        weight_bits=3, gain=6.0),
    # Both ends of the outputs' range are reached.
    "requantised": dict(
        k=3, width=5, channels=8, squeeze=3, lanes=2, data=UINT8, zero_point=30, y_data=DataType(6), y_zero_point=-20,
        y_ratio=0.5, gain=6.0),
    "requantised, loadable": dict(
        k=2, width=4, channels=9, squeeze=4, lanes=3, zero_point=20, y_data=DataType(6, signed=False), y_zero_point=40,
        y_ratio=0.15, residual=True, loadable=True, macs=4),
    "cumulative, int12 to uint7, loadable": dict(
        context=Context.CUMULATIVE, prior_rows=1, max_rows=6, k=1, width=5, channels=6, squeeze=3, lanes=2,
        data=DataType(12), zero_point=-300, y_data=DataType(7, signed=False), y_zero_point=64, y_ratio=0.05,
        loadable=True, macs=2),
    "patches, int16 to int5": dict(
        k=2, tile_width=2, width=5, channels=4, squeeze=3, lanes=2, data=DataType(16), zero_point=1000, mid=Mid.SILU,
        y_data=DataType(5), y_zero_point=3, y_ratio=2**-10),
}
HEADLINE = dict(k=7, width=56, channels=64, squeeze=16, lanes=8, loadable=True)
NAMED = {**CONFIGS, "headline": HEADLINE}

# The real numbers that the data span, and the scale of 8-bit data.
SPAN = 16.0
X_SCALE = SPAN / 256
# The bound for memory beyond the tile buffer, within which MACS=auto chooses `macs` where a configuration names none.
SRAM_OVERHEAD = 0.05


@dataclasses.dataclass(frozen=True, eq=False)
class NamedBlock:
    """A block to verify: a name, its Config, and the Parameters that are loaded or baked in."""

    name: str
    config: Config
    parameters: Parameters

    @property
    def baked(self):
        """The baked Parameters; None for a loadable block."""
        return None if self.config.loadable else self.parameters

    @functools.cached_property
    def design(self):
        """The generated block."""
        return generate(self.config, self.baked)


def random_weights(rng, config, gain, x_scale=X_SCALE):
    """A FloatBlock with random weights. With a small `gain` its gates are quiet, with a large one they saturate.

    If descriptors average imaginary rows, it has a random prior in the range of data of the scale `x_scale`.
    """
    channels, squeeze = config.channels, config.squeeze
    block = FloatBlock(
        rng.normal(size=(squeeze, channels)) * gain / channels**0.5, 0.3 * rng.normal(size=squeeze),
        rng.normal(size=(channels, squeeze)) * gain * 2 / squeeze**0.5, rng.normal(size=channels),
        config.mid, config.gate, config.residual)
    if not config.prior_rows:
        return block
    return dataclasses.replace(block, prior=x_scale * (rng.uniform(
        config.data.as_signed.low, config.data.as_signed.high, channels) - config.signed_zero_point))


def quantised(seed=1, gain=1.0, **shape):
    """The (Config, Parameters) of a block of a shape as above, with random weights of `seed` that `gain` scales."""
    macs = shape.pop("macs", None)
    config = Config(**shape)
    x_scale = SPAN / (config.data.steps + 1)
    block = random_weights(np.random.default_rng(seed), config, gain, x_scale)
    config, numbers = quantise_within_error(config, block, x_scale)
    return dataclasses.replace(config, macs=macs or choose_macs(config, SRAM_OVERHEAD)), numbers.parameters
