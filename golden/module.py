# SPDX-License-Identifier: Apache-2.0
"""Tiled squeeze-and-excite as a PyTorch module that can replace the original."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.fx
from torch import nn
from torch.nn import functional

from ..hdl.config import ConfigError, Context, Gate, GateKind, Mid, Order, Tiling
from .block import FloatBlock

__all__ = ["ACTIVATIONS", "FORWARD_HOOKS", "TiledSE", "gate_function", "prior_values"]

# The dictionaries of a module's forward and backward hooks.
FORWARD_HOOKS = ("_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called",
                 "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_backward_hooks", "_backward_pre_hooks")

SIGMOID = Gate()
ACTIVATIONS = {
    Mid.RELU: functional.relu,
    Mid.RELU6: functional.relu6,
    Mid.SILU: functional.silu,
    Mid.HARDSWISH: functional.hardswish,
    Mid.IDENTITY: lambda x: x,
}
TABULATED_GATES = {GateKind.SIGMOID: torch.sigmoid}


def gate_function(gate: Gate, x: torch.Tensor) -> torch.Tensor:
    """The gates of logits `x` of any shape."""
    if gate.table:
        return TABULATED_GATES[gate.kind](x)
    return torch.clamp(gate.slope * x + gate.offset, 0, 1)


def prior_values(prior: npt.ArrayLike | None, channels: int, option: str = "prior") -> np.ndarray:
    """`prior` as float64 (C), None as zeros; ConfigError(option) if it is not a finite number for each channel."""
    if prior is None:
        return np.zeros(channels)
    values = np.asarray(prior.detach().cpu().double() if isinstance(prior, torch.Tensor) else prior)
    if values.shape != (channels,):
        raise ConfigError(option, list(values.shape), f"must have the shape {[channels]}")
    if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise ConfigError(option, "not finite" if values.dtype.kind == "f" else values.dtype,
                          "must hold finite real numbers")
    return values.astype(np.float64)


@torch.fx.wrap
def _sum_type(x: torch.Tensor) -> torch.dtype:
    """The precision of sums: float32 at least, as sums of thousands of rows would overflow in float16."""
    return torch.promote_types(x.dtype, torch.float32)


def _spread(gates: torch.Tensor, axis: int, size: int, x: torch.Tensor) -> torch.Tensor:
    """Each tile's gates at each of its `size` lines along `axis` of `x`; the last tile may have fewer."""
    # Not repeat_interleave, nor a size that depends on x's: those can't be exported for maps of any size.
    return gates.index_select(axis, torch.arange(x.shape[axis], device=x.device) // size)


class TiledSE(nn.Module):
    """Squeeze-and-excite with descriptors of a :class:`Tiling`: of strips of k rows, or of another context.

    ``k >= H`` is the original. A drop-in replacement for ``torchvision.ops.SqueezeExcitation``, whose state dict it
    loads unchanged.

    Parameters
    ----------
    input_channels, squeeze_channels : int
        C and CR.
    k : int or Tiling
        Which elements share a descriptor, and which elements it averages; it becomes the attribute ``tiling``. An
        integer stands for tiles of so many full rows. A frame's last tile may have fewer; its mean is over its own.
    mid, gate : Mid, Gate
    residual : bool
        ``y = x + x * gate`` instead of ``x * gate``.
    prior : array-like (C), optional
        What the imaginary rows of the tiling's prior are equal to, real values; None is zeros. A tiling without
        imaginary rows ignores it. Otherwise it becomes the buffer ``prior``, which is saved and loaded with the
        weights; it stays as it is if a state dict does not have it.

    Sums are of float32 at least. Raises ConfigError or TypeError that names a bad parameter.
    """

    # After `tile_se` the layers share the original's parameters, and `replaced` has the original module.
    fc1: Any
    fc2: Any
    replaced: Any
    prior: torch.Tensor | None

    def __init__(self, input_channels: int, squeeze_channels: int, k: int | Tiling = 7, *, mid: Mid = Mid.RELU,
                 gate: Gate = SIGMOID, residual: bool = False, prior: npt.ArrayLike | None = None) -> None:
        super().__init__()
        for name, value in {"channels": input_channels, "squeeze": squeeze_channels}.items():
            if value < 1:
                raise ConfigError(name, value, "must be at least 1")
        self.fc1 = nn.Conv2d(input_channels, squeeze_channels, 1)
        self.fc2 = nn.Conv2d(squeeze_channels, input_channels, 1)
        self.tiling = Tiling.of(k)
        self.mid, self.gate, self.residual = mid, gate, residual
        self.register_buffer("prior", None)
        if self.tiling.prior_rows:
            self.prior = torch.tensor(prior_values(prior, input_channels), dtype=self.fc1.weight.dtype)

    @property
    def k(self) -> int:
        """Rows of a tile."""
        return self.tiling.k

    def extra_repr(self) -> str:
        """The parameters that the submodules do not show; of the tiling those that are not by default."""
        changed = {field.name: getattr(self.tiling, field.name) for field in dataclasses.fields(Tiling)
                   if getattr(self.tiling, field.name) != field.default}
        changed |= {"mid": self.mid, "gate": self.gate, "residual": self.residual}
        return ", ".join(f"{name}={getattr(value, 'value', value)}" for name, value in changed.items())

    def descriptors(self, x: torch.Tensor) -> torch.Tensor:
        """What the gates of `x` (N, C, H, W) are computed from: (N, C, tiles down, tiles across)."""
        by_columns, tiling = self.tiling.order is Order.COLUMNS, self.tiling
        lines = x.transpose(2, 3) if by_columns else x
        if tiling.tile_width is not None:
            # With ceil_mode the last windows are cut at the map's edges, and their means are over the rest.
            z = functional.avg_pool2d(lines.to(_sum_type(x)), (tiling.k, tiling.tile_width), ceil_mode=True)
        else:
            # The mean of a line, (N, C, H, 1): all lines have as many elements.
            means = lines.mean(3, keepdim=True, dtype=_sum_type(x))
            if tiling.context is Context.TILE:
                z = functional.avg_pool2d(means, (tiling.k, 1), ceil_mode=True)
            elif tiling.window is not None:
                z = self._window_mean(means, *tiling.window)
            else:
                z = self._running_means(means)
        return (z.transpose(2, 3) if by_columns else z).to(x.dtype)

    def _running_means(self, means: torch.Tensor) -> torch.Tensor:
        """For each tile the mean of all rows so far, of which `means` (N, C, H, 1) has the means."""
        height, tiling = means.shape[2], self.tiling
        rows = torch.arange(0, height, tiling.k, device=means.device)
        if tiling.context is Context.CUMULATIVE:
            rows = (rows + tiling.k).clamp(max=height)
        rows = rows.clamp(max=tiling.max_rows)
        sums = torch.cat((torch.zeros_like(means[:, :, :1]), means.cumsum(2)), 2).index_select(2, rows)
        if self.prior is not None:
            sums = sums + tiling.prior_rows * self.prior.to(sums).view(-1, 1, 1)
        return sums / (rows + tiling.prior_rows).view(-1, 1)

    def _window_mean(self, means: torch.Tensor, first: int, count: int) -> torch.Tensor:
        """The mean of the rows of the window; if the frame has none of them, the prior."""
        # Not a slice: its length could not be exported for maps of any height.
        row = torch.arange(means.shape[2], device=means.device)
        inside = (row >= first) & (row < first + count)
        rows = inside.sum()
        sums = torch.where(inside.view(-1, 1), means, 0.0).sum(2, keepdim=True)
        if self.prior is not None:
            sums = sums + (rows == 0) * self.prior.to(sums).view(-1, 1, 1)
        return sums / rows.clamp(min=1)

    def scale(self, x: torch.Tensor) -> torch.Tensor:
        """Gates of the tiles of `x` (N, C, H, W): (N, C, tiles down, tiles across)."""
        return gate_function(self.gate, self.fc2(ACTIVATIONS[self.mid](self.fc1(self.descriptors(x)))))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scale `x` (N, C, H, W), any H and W; returns the same shape."""
        gates, tiling = self.scale(x), self.tiling
        sizes = None if tiling.context is Context.WINDOW else tiling.k, tiling.tile_width
        down, across = sizes if tiling.order is Order.ROWS else reversed(sizes)
        # Along the rows first, as whole rows are copied faster than single elements.
        if across is not None:
            gates = _spread(gates, 3, across, x)
        if down is not None:
            gates = _spread(gates, 2, down, x)
        return x + x * gates if self.residual else x * gates

    def _load_from_state_dict(self, state_dict: Mapping, prefix: str, local_metadata: Mapping, strict: bool,
                              missing_keys: list[str], unexpected_keys: list[str], error_msgs: list[str]) -> None:
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys,
                                      error_msgs)
        # The original has no prior, and a tiling without imaginary rows ignores one.
        for keys in (missing_keys, unexpected_keys):
            if prefix + "prior" in keys:
                keys.remove(prefix + "prior")

    @classmethod
    def from_block(cls, block: FloatBlock, k: int | Tiling = 7) -> "TiledSE":
        """A module of the weights, functions and prior of a `FloatBlock`, in torch's default precision."""
        squeeze, channels = block.w1.shape
        module = cls(channels, squeeze, k, mid=block.mid, gate=block.gate, residual=block.residual, prior=block.prior)
        with torch.no_grad():
            for layer, weight, bias in ((module.fc1, block.w1, block.b1), (module.fc2, block.w2, block.b2)):
                layer.weight.copy_(torch.as_tensor(weight)[:, :, None, None])
                layer.bias.copy_(torch.as_tensor(bias))
        return module

    def block(self) -> FloatBlock:
        """The module's weights, functions and prior as a `FloatBlock`."""
        w1, b1, w2, b2 = (tensor.detach().cpu().double().numpy() for layer in (self.fc1, self.fc2)
                          for tensor in (layer.weight[:, :, 0, 0], layer.bias))
        prior = None if self.prior is None else self.prior.cpu().double().numpy()
        return FloatBlock(w1, b1, w2, b2, self.mid, self.gate, self.residual, prior=prior)
