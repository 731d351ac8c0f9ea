# SPDX-License-Identifier: Apache-2.0
"""WEIGHTS and INPUT files: what they hold, checked, as the objects that the quantiser takes."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from ..golden.block import DataFormat, FloatBlock
from ..hdl.config import ConfigError, DataType, Gate, Mid
from ..hdl.data_type import INT8
from . import npz
from .fields import shortened
from .formats import gate, middle
from .options import DataOptions

__all__ = ["MORE", "Input", "Weights", "input_bytes", "load_input", "load_weights", "weights_bytes", "weights_of"]

# Most elements of all frames, and weights of one layer, that are read or made.
MOST_ELEMENTS, MOST_WEIGHTS = 1 << 28, 1 << 24

Stored: TypeAlias = dict[str, np.ndarray]

# Arrays of WEIGHTS; those of MORE may be missing.
LAYERS, MORE = ("w1", "b1", "w2", "b2"), ("prior", "w1_step", "w2_step")
FUNCTIONS, OUTPUTS = ("mid", "gate", "residual"), ("y_scale", "y_zero_point")
WEIGHTS_HOLD = "must hold float w1 (CR, C), b1 (CR), w2 (C, CR) and b2 (C)"
INPUT_HOLDS = "must hold float x, or integer x_q with x_scale and x_zero_point"


@dataclasses.dataclass(frozen=True)
class Weights:
    """A WEIGHTS file.

    ``arrays`` are w1 (CR, C), b1 (CR), w2 (C, CR), b2 (C) and, where the file has them, prior (C) and the steps of
    integer weights, w1_step (CR) and w2_step (C): float64, of consistent shapes, finite. ``y_scale`` and
    ``y_zero_point`` are the outputs'. Of these two and of ``mid``, ``gate`` and ``residual`` those are None that the
    file does not have.
    """

    path: str
    arrays: dict[str, Any]
    mid: Mid | None
    gate: Gate | None
    residual: bool | None
    y_scale: float | None = None
    y_zero_point: int | None = None


@dataclasses.dataclass(frozen=True)
class Input:
    """An INPUT file: frames of integers (N, H, W, C) in the numpy type of `format`, and the array they came from."""

    path: str
    name: str
    x: np.ndarray
    format: DataFormat


def load_weights(path: str) -> Weights:
    """The :class:`Weights` in file `path`; ConfigError ("weights") says what is wrong with it."""
    stored = npz.read("weights", path, (*LAYERS, *MORE, *FUNCTIONS, *OUTPUTS), MOST_WEIGHTS)
    missing = [name for name in LAYERS if name not in stored]
    if missing:
        raise ConfigError("weights", path, f"lacks {', '.join(missing)}; {WEIGHTS_HOLD}")
    arrays: dict[str, Any] = {
        name: npz.floats("weights", path, name, stored[name]) for name in (*LAYERS, *MORE) if name in stored}
    try:
        FloatBlock(**arrays)
    except ConfigError as error:
        raise ConfigError("weights", path, f"{error.option} is {error.value}, {error.allowed}") from None
    residual = stored.get("residual")
    if residual is not None and (residual.size != 1 or residual.dtype.kind not in "biu" or
                                 int(residual.reshape(())) not in (0, 1)):
        raise ConfigError("weights", path, "residual must be one bool")
    y_scale, y_zero_point = (npz.scalar("weights", path, name, stored[name]) if name in stored else None
                             for name in OUTPUTS)
    if y_scale is not None and y_scale <= 0:
        raise ConfigError("weights", path, f"y_scale is {y_scale:g}; must be a positive number")
    return Weights(path, arrays, _named(path, "mid", stored, middle), _named(path, "gate", stored, gate),
                   None if residual is None else bool(residual.reshape(())), y_scale,
                   None if y_zero_point is None else _whole("weights", path, "y_zero_point", y_zero_point))


def weights_of(block: FloatBlock, y_format: DataFormat | None = None) -> Weights:
    """The :class:`Weights` of a block, without a file. `y_format` has the outputs' scale and zero point."""
    arrays = {name: getattr(block, name) for name in (*LAYERS, *MORE) if getattr(block, name) is not None}
    return Weights("", arrays, block.mid, block.gate, block.residual, *(
        (None, None) if y_format is None else (y_format.scale, y_format.zero_point)))


def weights_bytes(block: FloatBlock, y_format: DataFormat | None = None) -> bytes:
    """A WEIGHTS file of a block, with the outputs' scale and zero point if `y_format` is given."""
    outputs = {} if y_format is None else dict(zip(OUTPUTS, (y_format.scale, y_format.zero_point), strict=True))
    return npz.npz_bytes(weights_of(block).arrays | outputs | {
        "mid": block.mid.value, "gate": str(block.gate), "residual": block.residual})


def input_bytes(x_q: np.ndarray, data_format: DataFormat) -> bytes:
    """An INPUT file of integer frames (N, H, W, C)."""
    return npz.npz_bytes({"x_q": x_q, "x_bits": data_format.data.bits, "x_scale": data_format.scale,
                      "x_zero_point": data_format.zero_point})


def _whole(option: str, path: str, name: str, value: float) -> int:
    """`value` as an integer."""
    if value != round(value):
        raise ConfigError(option, path, f"{name} is {value:g}; must be an integer")
    return int(value)


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
    stored = npz.read("input", path, ("x", "x_q", "x_scale", "x_zero_point", "x_bits"), MOST_ELEMENTS)
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
    """x, quantised by its range; with a given zero point the range only decides the scale.

    DTYPE tells the type, or x_bits: then it is signed.
    """
    x = npz.floats("input", path, "x", stored["x"])
    bits = _bits(path, stored)
    data = DataType.parse(options.dtype) if options.dtype else DataType(bits) if bits else INT8
    if bits not in (None, data.bits):
        raise _other_bits(path, bits, data)
    data_format = DataFormat.calibrate(x.min(), x.max(), data, options.zero_point)
    return data_format.quantise(x), data_format


def _integer(path: str, stored: Stored, options: DataOptions) -> tuple[np.ndarray, DataFormat]:
    """x_q as it is."""
    missing = [name for name in ("x_scale", "x_zero_point") if name not in stored]
    if missing:
        raise ConfigError("input", path, f"lacks {', '.join(missing)}; {INPUT_HOLDS}")
    x = stored["x_q"]
    if x.dtype.kind not in "iu":
        raise ConfigError("input", path, f"x_q is {x.dtype}; must be of an integer type")
    scale = npz.scalar("input", path, "x_scale", stored["x_scale"])
    zero = _whole("input", path, "x_zero_point", npz.scalar("input", path, "x_zero_point", stored["x_zero_point"]))
    low, high = int(x.min()), int(x.max())
    data = _data_type(path, stored, min(low, zero), max(high, zero), options)
    if options.zero_point not in (None, zero):
        raise ConfigError("zero_point", options.zero_point, f"must be {zero}, as x_zero_point of INPUT={path} is")
    if low < data.low or high > data.high:
        told = ", as DTYPE says" if options.dtype else ", as x_bits says" if "x_bits" in stored else \
            ", or DTYPE or x_bits must tell another type"
        raise ConfigError("input", path, f"x_q goes from {low} to {high}; must fit {data}{told}")
    return x, DataFormat(scale, zero, data)


def _data_type(path: str, stored: Stored, low: int, high: int, options: DataOptions) -> DataType:
    """The type of x_q, whose integers and zero point go from `low` to `high`.

    DTYPE or the file's x_bits tell its bits; 8 otherwise. If neither DTYPE nor the type of the array tells the sign, it
    is unsigned where the integers fit an unsigned type only.
    """
    given, array = DataType.parse(options.dtype) if options.dtype else None, stored["x_q"].dtype
    bits = _bits(path, stored)
    if given and bits not in (None, given.bits):
        raise _other_bits(path, bits, given)
    signed = DataType(bits) if bits else INT8 if given is None else given.as_signed
    unsigned = DataType(signed.bits, signed=False)
    exact = unsigned if array.kind == "u" else signed
    # An array of just that width tells the sign, or the smallest one for x_bits; a wider signed one is used for both.
    if (array.name == exact.numpy or array.kind == "u") if bits else array.itemsize * 8 == signed.bits:
        if given not in (None, exact):
            raise ConfigError("dtype", given, f"must be {exact}, as x_q of INPUT={path} is")
        return exact
    return given or (unsigned if low >= 0 and high > signed.high else signed)


def _bits(path: str, stored: Stored) -> int | None:
    """The file's x_bits, if it has them."""
    if "x_bits" not in stored:
        return None
    bits = _whole("input", path, "x_bits", npz.scalar("input", path, "x_bits", stored["x_bits"]))
    try:
        return DataType(bits).bits
    except ConfigError as error:
        raise ConfigError("input", path, f"x_bits is {bits}; {error.allowed}") from None


def _other_bits(path: str, bits: int, data: DataType) -> ConfigError:
    return ConfigError("dtype", data, f"must have {bits} bits, as x_bits of INPUT={path} says")
