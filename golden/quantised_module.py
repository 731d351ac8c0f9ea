# SPDX-License-Identifier: Apache-2.0
"""Tiled squeeze-and-excite as a PyTorch module that computes the hardware's integers, for training."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NoReturn

import numpy.typing as npt
import torch
import torch.fx

from ..hdl.config import ConfigError, Gate, Mid, Order, Tiling
from .block import DataFormat, FloatBlock, within_ratios
from .block_formats import DEFAULT, BlockFormats
from .calibration import Histogram
from .fitted import Fits, Fitted, block_config
from .module import SIGMOID, TiledSE
from .quantised import Quantised
from .range_method import RangeKind, RangeMethod
from .straight_through import StraightThrough, run

__all__ = ["QuantisedTiledSE"]

# A scale that calibration has not found yet.
UNKNOWN = math.nan


class QuantisedTiledSE(TiledSE):
    """A :class:`TiledSE` whose outputs are those of the hardware, bit for bit, and which can be trained.

    ``y`` is ``y_scale * (y_q - y_zero_point)``, rounded to x's precision, where y_q are the integers that
    :class:`.IntegerModel` gives for x, rounded and clamped to its format. The gradient is described at
    :class:`.StraightThrough`. The weights stay float; the integers are made from them anew when they change.

    In evaluation mode the widths are the least that keep the error bound, as the commands choose them: `sim`,
    `verilog` and `build` make hardware with the same integers of the same weights. In training mode the last widths are
    kept as long as they keep the bound. In both, the outputs are those of :meth:`quantised`.

    Before the first use the ranges of the data must be known: see :func:`.calibrate_blocks`, or set ``x_format`` (and
    ``y_format``). They are the buffers ``x_scale`` (float64) and ``x_zero_point`` (int64), and ``y_scale`` and
    ``y_zero_point`` if y has a format of its own, which are saved and loaded with the weights, stay float64 whatever
    ``to`` or ``half`` say, and are not trained.

    The integers depend on the length of the stream's lines, W or with ``Order.COLUMNS`` H: those of up to 16 lengths
    are kept. `torch.compile` leaves the module as it is, and compiles what is around it. Tracing, scripting and
    exporting it are refused: export a :class:`TiledSE`. State dicts know the types of x's and y's integers, whose
    scales are refused by a block of others.

    Parameters
    ----------
    input_channels, squeeze_channels, k, mid, gate, residual, prior
        Those of :class:`TiledSE`.
    formats : BlockFormats
        The number formats; int8 and 8-bit weights by default.
    """

    x_scale: torch.Tensor
    x_zero_point: torch.Tensor
    y_scale: torch.Tensor
    y_zero_point: torch.Tensor

    def __init__(self, input_channels: int, squeeze_channels: int, k: int | Tiling = 7, *,
                 formats: BlockFormats = DEFAULT, mid: Mid = Mid.RELU, gate: Gate = SIGMOID,
                 residual: bool = False, prior: npt.ArrayLike | None = None) -> None:
        super().__init__(input_channels, squeeze_channels, k, mid=mid, gate=gate, residual=residual, prior=prior)
        self._quantise(formats)

    def _quantise(self, formats: BlockFormats) -> None:
        if not isinstance(formats, BlockFormats):
            raise TypeError(f"formats={formats!r}: must be BlockFormats")
        self._formats = formats
        for name in ("x_scale", "x_zero_point", "y_scale", "y_zero_point"):
            self._buffers.pop(name, None)
        device = self.fc1.weight.device
        for stream in self._streams:
            self.register_buffer(f"{stream}_scale", torch.tensor(UNKNOWN, dtype=torch.float64, device=device))
            self.register_buffer(f"{stream}_zero_point", torch.tensor(0, device=device))
        self._fits = Fits()
        self._seen: dict[str, Histogram] | None = None

    @classmethod
    def of(cls, module: TiledSE, formats: BlockFormats = DEFAULT) -> "QuantisedTiledSE":
        """The quantised form of a :class:`TiledSE`, which shares its parameters, layers, hooks and mode."""
        quantised = cls.__new__(cls)
        # The inside of a module: its layers, buffers, hooks, and what is set on it. Dictionaries of hooks are the same
        # objects, so that their handles continue to work.
        quantised.__dict__.update({
            name: dict(value) if name in ("_parameters", "_buffers", "_modules") else value
            for name, value in vars(module).items()})
        quantised._non_persistent_buffers_set = set(module._non_persistent_buffers_set)
        quantised._quantise(formats)
        return quantised

    @property
    def _streams(self) -> tuple[str, ...]:
        """The streams that have a format of their own."""
        return ("x",) if self.formats.outputs is None else ("x", "y")

    def extra_repr(self) -> str:
        """That of :class:`TiledSE`, and the formats that are not by default."""
        changed = [f"{field.name}={getattr(self.formats, field.name)}" for field in dataclasses.fields(BlockFormats)
                   if getattr(self.formats, field.name) != field.default]
        return ", ".join([super().extra_repr(), *changed])

    # Formats.

    @property
    def formats(self) -> BlockFormats:
        """The number formats. Scales are for these; who sets others must calibrate again."""
        return self._formats

    @formats.setter
    def formats(self, formats: BlockFormats) -> None:
        self._quantise(formats)

    @property
    def x_format(self) -> DataFormat:
        """Scale, zero point and type of x's integers; ConfigError ("x_scale") if there are none yet."""
        return self._format("x", self.formats.data)

    @x_format.setter
    def x_format(self, form: DataFormat) -> None:
        self._set_format("x", form, self.formats.data)

    @property
    def y_format(self) -> DataFormat:
        """Those of y's integers, which without a format of their own follow from x's."""
        if self.formats.outputs is not None:
            return self._format("y", self.formats.outputs)
        x = self.x_format
        return dataclasses.replace(x, scale=x.scale * (2 if self.residual else 1))

    @y_format.setter
    def y_format(self, form: DataFormat) -> None:
        if self.formats.outputs is None:
            raise ConfigError("y_format", form.scale, "must not be set, as outputs have the format of x")
        self._set_format("y", form, self.formats.outputs)

    def _format(self, stream: str, data: Any) -> DataFormat:
        scale = getattr(self, f"{stream}_scale").item()
        if math.isnan(scale):
            raise ConfigError(f"{stream}_scale", "unknown", "must be calibrated first, with calibrate_blocks, or set")
        return DataFormat(scale, getattr(self, f"{stream}_zero_point").item(), data)

    def _set_format(self, stream: str, form: DataFormat, data: Any) -> None:
        if form.data != data:
            raise ConfigError(f"{stream}_format", form.data, f"must be {data}, as the block's formats say")
        getattr(self, f"{stream}_scale").fill_(form.scale)
        getattr(self, f"{stream}_zero_point").fill_(form.zero_point)

    # Calibration.

    def observe(self) -> None:
        """From now on compute in float and collect the ranges of x and y, until :meth:`stop_observing`."""
        self._seen = {stream: Histogram() for stream in self._streams}

    def stop_observing(self) -> None:
        """From now on compute in integers."""
        self._seen = None

    def observed(self, method: RangeMethod | None = None) -> tuple[DataFormat, DataFormat | None] | None:
        """The formats of x, and of y if it has its own, for what was seen since :meth:`observe`; None if nothing was.

        Without `method` they have the least squared error. Scales are rounded up to float32, as ONNX stores them.
        Raises ConfigError as :meth:`.DataFormat.calibrate` does.
        """
        if self._seen is None or not self._seen["x"].count:
            return None
        method, formats = method or RangeMethod(RangeKind.MSE), self.formats
        x = _as_float32(self._seen["x"].format(method, formats.data, formats.x_zero_point))
        if formats.outputs is None:
            return x, None
        y = _as_float32(self._seen["y"].format(method, formats.outputs, formats.y_zero_point))
        # The limits depend on the data and the residual only.
        return x, within_ratios(y, x, block_config(self.block(), self.tiling, 1, formats, x, None).ratio_limits)

    # Integers.

    def block(self) -> FloatBlock:
        """That of :class:`TiledSE`, with the prior limited to the range of x, as x is."""
        block = super().block()
        if block.prior is None or math.isnan(self.x_scale.item()):
            return block
        form = self.x_format
        return dataclasses.replace(block, prior=block.prior.clip(*form.dequantise([form.data.low, form.data.high])))

    def quantised(self, height: int, width: int) -> Quantised:
        """The integers of the block for maps of this size, with their config and their real values."""
        return self._fitted(height, width).quantised

    def codes(self, x: torch.Tensor) -> torch.Tensor:
        """y's integers, int32, for real maps `x`, (N, C, H, W) or (C, H, W)."""
        maps = self._checked(x)
        if not len(maps):
            return torch.empty_like(x, dtype=torch.int32)
        with torch.no_grad():
            y = self._lines(run(self._fitted(*maps.shape[2:]), self._lines(maps), None).y)
        return y if x.ndim == 4 else y.squeeze(0)

    def _fitted(self, height: int, width: int) -> Fitted:
        own = None if self.formats.outputs is None else self.y_format
        length = height if self.tiling.order is Order.COLUMNS else width
        return self._fits.get(self.block(), self.tiling, length, self.formats, self.x_format, own, self.training)

    def _checked(self, x: torch.Tensor) -> torch.Tensor:
        """`x` as (N, C, H, W)."""
        channels = self.fc1.weight.shape[1]
        if x.ndim not in (3, 4) or x.shape[-3] != channels or 0 in x.shape[-2:]:
            raise ConfigError("x", list(x.shape), f"must have the shape [N, C, H, W] or [C, H, W] with C = {channels}")
        if not x.is_floating_point():
            raise ConfigError("x", x.dtype, "must hold real numbers of a floating-point type")
        return x if x.ndim == 4 else x.unsqueeze(0)

    def _lines(self, x: torch.Tensor) -> torch.Tensor:
        """Maps (N, C, H, W) in the order of the stream, or the reverse."""
        return x.transpose(2, 3) if self.tiling.order is Order.COLUMNS else x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scale `x` (N, C, H, W) or (C, H, W), any H and W; returns the same shape."""
        if torch.compiler.is_dynamo_compiling():
            # Without it, the compiler would look into the integer model for minutes.
            return torch.compiler.disable(self._run)(x)
        if isinstance(x, torch.fx.Proxy) or torch.jit.is_tracing() or torch.compiler.is_compiling():
            self.__prepare_scriptable__()
        return self._run(x)

    def __prepare_scriptable__(self) -> NoReturn:
        """What `torch.jit.script` calls; ConfigError."""
        raise ConfigError("model", type(self).__name__, "must not be traced, scripted or exported; a TiledSE can be")

    def _run(self, x: torch.Tensor) -> torch.Tensor:
        maps = self._checked(x)
        # Maps of no image have no integers, but each parameter must get a gradient, of zeros.
        if self._seen is not None or not len(maps):
            return self._in_float(x)
        layers = (tensor for layer in (self.fc1, self.fc2) for tensor in (layer.weight, layer.bias))
        y = self._lines(StraightThrough.apply(self._lines(maps), *layers, self._fitted(*maps.shape[2:])))
        return y if x.ndim == 4 else y.squeeze(0)

    def _in_float(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x)
        for stream, histogram in (self._seen or {}).items():
            histogram.add({"x": x, "y": y}[stream].detach().cpu().double().numpy())
        return y

    # What nn.Module does with the buffers.

    def _apply(self, fn: Callable, recurse: bool = True) -> "QuantisedTiledSE":
        scales = {f"{stream}_scale": getattr(self, f"{stream}_scale") for stream in self._streams}
        super()._apply(fn, recurse)
        for name, scale in scales.items():
            moved = getattr(self, name)
            if moved.dtype != scale.dtype:
                setattr(self, name, scale.to(moved.device))
        return self

    @property
    def _types(self) -> dict[str, str]:
        """The types of the streams' integers, as state dicts have them."""
        return {"x": str(self.formats.data), "y": str(self.formats.outputs)}

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]]["types"] = self._types

    def _load_from_state_dict(self, state_dict: dict, prefix: str, local_metadata: dict, strict: bool,
                              missing_keys: list[str], unexpected_keys: list[str], error_msgs: list[str]) -> None:
        names = {prefix + f"{stream}_{part}" for stream in self._streams for part in ("scale", "zero_point")}
        types = local_metadata.get("types", self._types)
        if types != self._types and names & state_dict.keys():
            error_msgs.append(f"the scales of {prefix[:-1] or type(self).__name__} are for integers of types {types}, "
                              f"not {self._types}; leave them out and calibrate, or use quantise_se after loading")
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys,
                                      error_msgs)
        # A float block has no formats; it may be loaded before calibration.
        if not names & state_dict.keys():
            missing_keys[:] = [name for name in missing_keys if name not in names]


def _as_float32(form: DataFormat) -> DataFormat:
    """`form` with the next scale up that float32 holds."""
    scale = torch.tensor(form.scale, dtype=torch.float32)
    if scale.item() < form.scale:
        scale = torch.nextafter(scale, torch.tensor(math.inf))
    return dataclasses.replace(form, scale=scale.item())
