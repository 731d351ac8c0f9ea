# SPDX-License-Identifier: Apache-2.0
"""WEIGHTS and INPUT files: what they hold, checked, as the objects that the quantiser takes."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from ..golden.block import DataFormat, FloatBlock
from ..hdl.config import ConfigError, DataType, Gate, Mid
from . import npz
from .fields import shortened
from .files import npz_bytes
from .formats import gate, middle
from .options import DataOptions

__all__ = ["Input", "Weights", "input_bytes", "load_input", "load_weights", "weights_bytes", "weights_of"]

# Most elements of all frames, and weights of one layer, that are read or made.
MOST_ELEMENTS, MOST_WEIGHTS = 1 << 28, 1 << 24

Stored: TypeAlias = dict[str, np.ndarray]

# Arrays of WEIGHTS; the prior may be missing.
LAYERS, PRIOR = ("w1", "b1", "w2", "b2"), "prior"
WEIGHTS_HOLD = "must hold float w1 (CR, C), b1 (CR), w2 (C, CR) and b2 (C)"
INPUT_HOLDS = "must hold float x, or integer x_q with x_scale and x_zero_point"


@dataclasses.dataclass(frozen=True)
class Weights:
    """A WEIGHTS file.

    ``arrays`` are w1 (CR, C), b1 (CR), w2 (C, CR), b2 (C) and, where the file has it, prior (C): float64, of consistent
    shapes, finite. Of ``mid``, ``gate`` and ``residual`` those are None that the file does not have.
    """

    path: str
    arrays: dict[str, Any]
    mid: Mid | None
    gate: Gate | None
    residual: bool | None


@dataclasses.dataclass(frozen=True)
class Input:
    """An INPUT file: frames of integers, (N, H, W, C), int8 or uint8 as `format` says, and the array it came from."""

    path: str
    name: str
    x: np.ndarray
    format: DataFormat


def load_weights(path: str) -> Weights:
    """The :class:`Weights` in file `path`; ConfigError ("weights") says what is wrong with it."""
    stored = npz.read("weights", path, (*LAYERS, PRIOR, "mid", "gate", "residual"), MOST_WEIGHTS)
    missing = [name for name in LAYERS if name not in stored]
    if missing:
        raise ConfigError("weights", path, f"lacks {', '.join(missing)}; {WEIGHTS_HOLD}")
    arrays: dict[str, Any] = {
        name: npz.floats("weights", path, name, stored[name]) for name in (*LAYERS, PRIOR) if name in stored}
    try:
        FloatBlock(**arrays)
    except ConfigError as error:
        raise ConfigError("weights", path, f"{error.option} is {error.value}, {error.allowed}") from None
    residual = stored.get("residual")
    if residual is not None and (residual.size != 1 or residual.dtype.kind not in "biu" or
                                 int(residual.reshape(())) not in (0, 1)):
        raise ConfigError("weights", path, "residual must be one bool")
    return Weights(path, arrays, _named(path, "mid", stored, middle), _named(path, "gate", stored, gate),
                   None if residual is None else bool(residual.reshape(())))


def weights_of(block: FloatBlock) -> Weights:
    """The :class:`Weights` of a block, without a file."""
    arrays = {name: getattr(block, name) for name in (*LAYERS, PRIOR) if getattr(block, name) is not None}
    return Weights("", arrays, block.mid, block.gate, block.residual)


def weights_bytes(block: FloatBlock) -> bytes:
    """A WEIGHTS file of a block."""
    weights = weights_of(block)
    return npz_bytes(weights.arrays | {"mid": block.mid.value, "gate": str(block.gate), "residual": block.residual})


def input_bytes(x_q: np.ndarray, data_format: DataFormat) -> bytes:
    """An INPUT file of integer frames (N, H, W, C)."""
    return npz_bytes({"x_q": x_q, "x_scale": data_format.scale, "x_zero_point": data_format.zero_point})


def _named(path: str, name: str, stored: Stored, convert: Callable[[str], Any]) -> Any:
    """The activation that the file names, or None."""
    if name not in stored:
        return None
    value = npz.text("weights", path, name, stored[name])
    try:
        return convert(value)
    except ValueError as error:
        raise ConfigError("weights", path, f"{name} is {shortened(repr(value))}: {error}") from None


def load_input(path: str, options: DataOptions) -> Input:
    """The :class:`Input` in file `path`, quantised if it is float; `options` may fix ``dtype`` and ``zero_point``.

    Raises ConfigError, which says what is wrong with the file ("input"), or which option contradicts it.
    """
    stored = npz.read("input", path, ("x", "x_q", "x_scale", "x_zero_point"), MOST_ELEMENTS)
    if ("x" in stored) == ("x_q" in stored):
        raise ConfigError("input", path, f"has both x and x_q; {INPUT_HOLDS}" if "x" in stored
                          else f"lacks x; {INPUT_HOLDS}")
    name = "x" if "x" in stored else "x_q"
    array = stored[name]
    if array.ndim not in (3, 4) or not array.size:
        raise ConfigError("input", path, f"{name} has the shape {list(array.shape)}; must be (H, W, C) or (N, H, W, C)")
    try:
        x, data_format = (_float if name == "x" else _integer)(path, stored, options)
    except ConfigError as error:
        if error.option in ("x", "x_scale", "x_zero_point"):
            raise ConfigError("input", path, f"{error.option} is {error.value}; {error.allowed}") from None
        raise
    x = x.astype(data_format.data.numpy)
    return Input(path, name, x.reshape((-1,) + x.shape[-3:]), data_format)


def _float(path: str, stored: Stored, options: DataOptions) -> tuple[np.ndarray, DataFormat]:
    """x, quantised by its range; with a given zero point the range only decides the scale."""
    x = npz.floats("input", path, "x", stored["x"])
    data = DataType.parse(options.dtype or "int8")
    low, high = min(x.min(), 0.0), max(x.max(), 0.0)
    if options.zero_point is None:
        data_format = DataFormat.calibrate(low, high, data)
    else:
        data_format = _around_zero(path, low, high, options.zero_point, data)
    return data_format.quantise(x), data_format


def _around_zero(path: str, low: float, high: float, zero_point: int, data: DataType) -> DataFormat:
    """The finest format with this zero point that holds data from `low` to `high`."""
    if not data.low <= zero_point <= data.high:
        raise ConfigError("zero_point", zero_point, f"must be from {data.low} to {data.high}")
    below, above = zero_point - data.low, data.high - zero_point
    if (low < 0 and not below) or (high > 0 and not above):
        raise ConfigError("zero_point", zero_point,
                          f"leaves no integers for INPUT={path}, which goes from {low:g} to {high:g}")
    scale = max(-low / below if low < 0 else 0.0, high / above if high > 0 else 0.0)
    return DataFormat(scale or 1.0, zero_point, data)


def _integer(path: str, stored: Stored, options: DataOptions) -> tuple[np.ndarray, DataFormat]:
    """x_q as it is; its type, else its values, tell int8 from uint8."""
    missing = [name for name in ("x_scale", "x_zero_point") if name not in stored]
    if missing:
        raise ConfigError("input", path, f"lacks {', '.join(missing)}; {INPUT_HOLDS}")
    x = stored["x_q"]
    if x.dtype.kind not in "iu":
        raise ConfigError("input", path, f"x_q is {x.dtype}; must be int8 or uint8")
    scale = npz.scalar("input", path, "x_scale", stored["x_scale"])
    zero = npz.scalar("input", path, "x_zero_point", stored["x_zero_point"])
    if zero != round(zero):
        raise ConfigError("x_zero_point", zero, "must be an integer")
    dtype = _dtype(path, x, zero, options)
    if options.zero_point is not None and options.zero_point != zero:
        raise ConfigError("zero_point", options.zero_point, f"must be {zero:.0f}, as x_zero_point of INPUT={path} is")
    data_format = DataFormat(scale, int(zero), DataType.parse(dtype))
    low, high = int(x.min()), int(x.max())
    if low < data_format.data.low or high > data_format.data.high:
        raise ConfigError("input", path, f"x_q goes from {low} to {high}; must fit {dtype}")
    return x, data_format


def _dtype(path: str, x: np.ndarray, zero: float, options: DataOptions) -> str:
    name = x.dtype.name
    if name not in ("int8", "uint8"):
        if options.dtype:
            return options.dtype
        return "uint8" if x.min() >= 0 and zero >= 0 and (x.max() > 127 or zero > 127) else "int8"
    if options.dtype not in (None, name):
        raise ConfigError("dtype", options.dtype, f"must be {name}, as x_q of INPUT={path} is")
    return name
