# SPDX-License-Identifier: Apache-2.0
"""A block's float weights, and the format of its data."""

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from ..hdl.config import Config, ConfigError, DataType, Gate, Mid
from ..hdl.data_type import INT8

__all__ = ["DataFormat", "FloatBlock", "bits_of", "check_scale", "check_zero_point", "within_ratios"]

# Between these scales every requantisation multiplier is representable (docs/design.md, "Scales").
SMALLEST_SCALE = 2.0**-40
LARGEST_SCALE = 2.0**40
# Weights are used as float32 elsewhere, where larger float64 numbers would overflow.
LARGEST_WEIGHT = float(np.finfo(np.float32).max)
# How far weights may be from integers, in their steps. With float32 a weight of 128 steps may be 2**-16 of a step off;
# a few roundings more come from what is folded into a layer.
NEAR = 1e-3


@dataclasses.dataclass(frozen=True, eq=False)
class FloatBlock:
    """The weights of one squeeze-and-excite block: w1 (CR, C), b1 (CR), w2 (C, CR), b2 (C), converted to float64.

    ``prior`` (C), float64 too, is the descriptor that stands for the rows before a frame, as real values; None stands
    for zeros. Tilings without imaginary rows ignore it. ``w1_step`` (CR) and ``w2_step`` (C) are those of weights that
    are integers times a step for each output, as in a quantised network: the quantiser keeps these integers. With None
    it chooses steps. Raises ConfigError that names the array with a wrong shape or wrong values.
    """

    w1: np.ndarray
    b1: np.ndarray
    w2: np.ndarray
    b2: np.ndarray
    mid: Mid = Mid.RELU
    gate: Gate = Gate()
    residual: bool = False
    prior: np.ndarray | None = None
    w1_step: np.ndarray | None = None
    w2_step: np.ndarray | None = None

    def __post_init__(self) -> None:
        arrays = [name for name in ("w1", "b1", "w2", "b2", "prior", "w1_step", "w2_step")
                  if getattr(self, name) is not None]
        for name in arrays:
            value = np.asarray(getattr(self, name))
            if value.dtype.kind not in "iuf":
                raise ConfigError(name, value.dtype, "must hold real numbers")
            object.__setattr__(self, name, value.astype(np.float64))
        if self.w1.ndim != 2 or not self.w1.size:
            raise ConfigError("w1", list(self.w1.shape), "must have the shape [CR, C]")
        squeeze, channels = self.w1.shape
        shapes = {"b1": [squeeze], "w2": [channels, squeeze], "b2": [channels], "prior": [channels],
                  "w1_step": [squeeze], "w2_step": [channels]}
        for name in arrays[1:]:
            shape = shapes[name]
            if list(getattr(self, name).shape) != shape:
                raise ConfigError(name, list(getattr(self, name).shape),
                                  f"must have the shape {shape} beside w1's {[squeeze, channels]}")
        for name in arrays:
            if not (np.abs(getattr(self, name)) <= LARGEST_WEIGHT).all():
                raise ConfigError(name, "not finite", "must hold finite float32 numbers only")
        for name in arrays:
            if name.endswith("_step"):
                self._check_steps(name, getattr(self, name))

    def _check_steps(self, name: str, steps: np.ndarray) -> None:
        if (steps <= 0).any():
            raise ConfigError(name, steps.min(), "must hold positive numbers only")
        weight = name.removesuffix("_step")
        with np.errstate(over="ignore"):
            integers = getattr(self, weight) / steps[:, None]
        if not (np.abs(integers - np.rint(integers)) <= NEAR).all():
            raise ConfigError(name, "no steps", f"must hold numbers of which {weight} has integer multiples")

    def check(self, config: Config) -> None:
        """Raise ConfigError unless `config` describes a block of this shape and these functions."""
        if self.w1.shape != (config.squeeze, config.channels):
            raise ConfigError("w1", list(self.w1.shape), f"must have the shape {[config.squeeze, config.channels]}")
        for name in ("mid", "gate", "residual"):
            if getattr(self, name) != getattr(config, name):
                raise ConfigError(name, getattr(config, name), f"the weights are for {getattr(self, name)}")
        for name, weight, step in (("w1", self.w1, self.w1_step), ("w2", self.w2, self.w2_step)):
            if step is None:
                continue
            integers = np.rint(weight / step[:, None])
            low, high = int(integers.min()), int(integers.max())
            if low < config.least_weight or high > config.largest_weight:
                raise ConfigError("weight_bits", config.weight_bits, f"must be at least {bits_of(low, high)}, as "
                                  f"{name} has integers from {low} to {high}")


def bits_of(low: int, high: int) -> int:
    """The fewest bits, 2 at least, with which signed integers hold `low` and `high`."""
    return max(2, *(1 + (~end if end < 0 else end).bit_length() for end in (low, high)))


def check_scale(scale: float) -> None:
    """Raise ConfigError unless `scale` is a legal scale of the data."""
    if not SMALLEST_SCALE <= scale <= LARGEST_SCALE:
        raise ConfigError("x_scale", scale, "must be from 2**-40 to 2**40")


def check_zero_point(option: str, zero_point: int, data: DataType) -> None:
    """Raise ConfigError (`option`) unless `zero_point` is one of these integers."""
    if not data.low <= zero_point <= data.high:
        raise ConfigError(option, zero_point, f"must be from {data.low} to {data.high}")


@dataclasses.dataclass(frozen=True)
class DataFormat:
    """The real value of a stream's integers: ``real = scale * (q - zero_point)``. ConfigError: out of range."""

    scale: float
    zero_point: int
    data: DataType = INT8

    def __post_init__(self) -> None:
        check_scale(self.scale)
        check_zero_point("x_zero_point", self.zero_point, self.data)

    def quantise(self, x: npt.ArrayLike) -> np.ndarray:
        """int64 array: `x` (any shape, real), rounded and clipped; ConfigError if a number is not finite."""
        x = np.asarray(x, np.float64)
        if not np.isfinite(x).all():
            raise ConfigError("x", "not finite", "must hold finite numbers only")
        # Clipped before the conversion, too, as numbers beyond int64 would wrap.
        steps = np.clip(np.rint(x / self.scale), -(1 << 18), 1 << 18).astype(np.int64)
        return np.clip(steps + self.zero_point, self.data.low, self.data.high)

    def dequantise(self, q: npt.ArrayLike) -> np.ndarray:
        """float64 array: the real values of the integers `q`."""
        return (np.asarray(q, np.float64) - self.zero_point) * self.scale

    @classmethod
    def calibrate(cls, low: float, high: float, data: DataType = INT8, zero_point: int | None = None,
                  option: str = "zero_point") -> "DataFormat":
        """The finest format for numbers from `low` to `high`, and 0, which is exact; with `zero_point`, if given.

        With a given zero point every number is within half a step of its integer. One that is chosen is rounded, so
        that an end may be half a step outside of the range: every number is within a step. The scale is at least
        2**-40; if all numbers are 0 it is 1. Raises ConfigError: ("x") if `low` or `high` is not finite or the span is
        too large, (`option`) for a zero point that is none of `data` or leaves no integers on one side.
        """
        low, high = float(low), float(high)
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ConfigError("x", f"{low:g}..{high:g}", "must hold finite numbers only")
        low, high = min(low, 0.0), max(high, 0.0)
        if high / data.steps - low / data.steps > LARGEST_SCALE:
            raise ConfigError("x", f"{low:g}..{high:g}", f"must span less than 2**{40 + data.bits}")
        scale = (high - low) / data.steps
        if zero_point is not None:
            check_zero_point(option, zero_point, data)
            below, above = zero_point - data.low, data.high - zero_point
            if (low < 0 and below == 0) or (high > 0 and above == 0):
                raise ConfigError(option, zero_point, f"leaves no integers for numbers from {low:g} to {high:g}")
            scale = max(-low / below if low < 0 else 0.0, high / above if high > 0 else 0.0)
        scale = max(scale, SMALLEST_SCALE) if high > low else 1.0
        return cls(scale, round(-low / scale) + data.low if zero_point is None else zero_point, data)


def within_ratios(y: DataFormat, x: DataFormat, limits: tuple[float, float]) -> DataFormat:
    """`y` with the nearest scale whose ratio, x's to it, is within `limits`: ``Config.ratio_limits``."""
    least, most = limits
    scale = min(max(y.scale, x.scale / most, SMALLEST_SCALE), x.scale / least, LARGEST_SCALE)
    return dataclasses.replace(y, scale=scale)
