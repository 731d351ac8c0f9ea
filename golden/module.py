# SPDX-License-Identifier: Apache-2.0
"""Tiled squeeze-and-excite as a PyTorch module that can replace the original."""

import copy
import dataclasses

import numpy as np
import numpy.typing as npt
import torch
import torch.fx
from torch import nn

from ..hdl.config import ConfigError, Context, Gate, GateKind, Mid, Order, Tiling
from .block import FloatBlock
from .descriptors import running_means, spread, tile_means, window_mean

__all__ = ["ACTIVATIONS", "FORWARD_HOOKS", "TiledSE", "gate_function", "prior_values"]

# The dictionaries of a module's forward and backward hooks.
FORWARD_HOOKS = ("_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called",
                 "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_backward_hooks", "_backward_pre_hooks")

SIGMOID = Gate()
ACTIVATIONS = {
    Mid.RELU: nn.ReLU(),
    Mid.RELU6: nn.ReLU6(),
    Mid.SILU: nn.SiLU(),
    Mid.HARDSWISH: nn.Hardswish(),
    Mid.IDENTITY: nn.Identity(),
}
TABULATED_GATES = {GateKind.SIGMOID: nn.Sigmoid()}

# Each is a node of torch.fx, so that what depends on sizes is computed for each map anew.
for _name in ("running_means", "spread", "tile_means", "window_mean"):
    torch.fx.wrap(_name)


class HardSigmoid(nn.Module):
    """``clip(slope * x + offset, 0, 1)``"""

    def __init__(self, slope: float, offset: float) -> None:
        super().__init__()
        self.slope, self.offset = slope, offset

    def extra_repr(self) -> str:
        """Slope and offset."""
        return f"{self.slope:g}, {self.offset:g}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The gates of logits `x` of any shape."""
        return torch.clamp(self.slope * x + self.offset, 0, 1)


def _gate_module(gate: Gate) -> nn.Module:
    return copy.deepcopy(TABULATED_GATES[gate.kind]) if gate.table else HardSigmoid(gate.slope, gate.offset)


def gate_function(gate: Gate, x: torch.Tensor) -> torch.Tensor:
    """The gates of logits `x` of any shape."""
    return _gate_module(gate)(x)


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

    Maps are (N, C, H, W) or (C, H, W). After `tile_se` the layers share the original's parameters, and the attribute
    ``replaced`` knows the original, whose state dict is loaded, too.
    """

    prior: torch.Tensor | None
    # What torch.jit.script leaves out.
    __jit_unused_properties__ = ["gate", "k", "mid", "tiling"]
    # A state dict of this version has the names of this class, not those of an original.
    _version = 2

    def __init__(self, input_channels: int, squeeze_channels: int, k: int | Tiling = 7, *, mid: Mid = Mid.RELU,
                 gate: Gate = SIGMOID, residual: bool = False, prior: npt.ArrayLike | None = None) -> None:
        super().__init__()
        for name, value in {"channels": input_channels, "squeeze": squeeze_channels}.items():
            if value < 1:
                raise ConfigError(name, value, "must be at least 1")
        self.fc1 = nn.Conv2d(input_channels, squeeze_channels, 1)
        self.fc2 = nn.Conv2d(squeeze_channels, input_channels, 1)
        self.tiling = Tiling.of(k)
        self._mid, self._gate, self.residual = mid, gate, residual
        self.activation = copy.deepcopy(ACTIVATIONS[mid])
        self.scale_activation = _gate_module(gate)
        self.register_buffer("prior", None)
        if self.tiling.prior_rows:
            self.prior = torch.tensor(prior_values(prior, input_channels), dtype=self.fc1.weight.dtype)

    @property
    def tiling(self) -> Tiling:
        """Which elements share a descriptor; another one may be set."""
        return self._tiling

    @tiling.setter
    def tiling(self, tiling: Tiling) -> None:
        self._tiling = tiling
        # Plain values, as the forward pass is for tools that know no enums.
        self._k, self._width = tiling.k, tiling.tile_width or 0
        self._by_columns = tiling.order is Order.COLUMNS
        self._in_tile, self._cumulative = tiling.context is Context.TILE, tiling.context is Context.CUMULATIVE
        self._prior_rows, self._max_rows = tiling.prior_rows, tiling.max_rows
        self._first, self._count = tiling.window or (0, 0)

    @property
    def k(self) -> int:
        """Rows of a tile."""
        return self.tiling.k

    @property
    def mid(self) -> Mid:
        """The function between the layers, which the module `activation` computes."""
        return self._mid

    @property
    def gate(self) -> Gate:
        """The function after the layers, which the module `scale_activation` computes."""
        return self._gate

    def extra_repr(self) -> str:
        """The parameters that the submodules do not show; of the tiling those that are not by default."""
        changed = {field.name: getattr(self.tiling, field.name) for field in dataclasses.fields(Tiling)
                   if getattr(self.tiling, field.name) != field.default}
        changed |= {"mid": self.mid, "gate": self.gate, "residual": self.residual}
        return ", ".join(f"{name}={getattr(value, 'value', value)}" for name, value in changed.items())

    def descriptors(self, x: torch.Tensor) -> torch.Tensor:
        """What the gates of `x` (N, C, H, W) are computed from: (N, C, tiles down, tiles across)."""
        return self._descriptors(x, False)

    def _descriptors(self, x: torch.Tensor, spare: bool) -> torch.Tensor:
        """The descriptors; if `spare`, there may be a tile more on each axis."""
        lines = x.transpose(-1, -2) if self._by_columns else x
        if self._in_tile:
            z = tile_means(lines, self._k, self._width, spare)
        elif self._count:
            z = window_mean(lines, self._first, self._count, self.prior)
        else:
            z = running_means(lines, self._k, self._cumulative, self.prior, self._prior_rows, self._max_rows, spare)
        return z.transpose(-1, -2) if self._by_columns else z

    def gates(self, z: torch.Tensor) -> torch.Tensor:
        """Gates (N, C, ...) of the descriptors `z` of the same shape."""
        return self.scale_activation(self.fc2(self.activation(self.fc1(z))))

    def scale(self, x: torch.Tensor) -> torch.Tensor:
        """Gates of the tiles of `x` (N, C, H, W): (N, C, tiles down, tiles across)."""
        return self.gates(self.descriptors(x))

    def apply_gates(self, x: torch.Tensor, gates: torch.Tensor) -> torch.Tensor:
        """`x` (N, C, H, W) scaled by its tiles' `gates`, of which there may be more than tiles."""
        down, across = (-1, -2) if self._by_columns else (-2, -1)
        # Along the rows first, as whole rows are copied faster than single elements.
        if self._by_columns and not self._count:
            gates = spread(gates, down, self._k, x)
        if self._width:
            gates = spread(gates, across, self._width, x)
        if not self._by_columns and not self._count:
            gates = spread(gates, down, self._k, x)
        return x + x * gates if self.residual else x * gates

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scale `x` (N, C, H, W) or (C, H, W), any H and W; returns the same shape."""
        return self.apply_gates(x, self.gates(self._descriptors(x, True)))

    def _load_from_state_dict(self, state_dict: dict, prefix: str, local_metadata: dict, strict: bool,
                              missing_keys: list[str], unexpected_keys: list[str], error_msgs: list[str]) -> None:
        if "replaced" in vars(self) and local_metadata.get("version", 1) < self._version:
            missing_keys += self.replaced.rename(self, state_dict, prefix)
        for name, tensor in [*self.fc1.named_parameters("fc1"), *self.fc2.named_parameters("fc2")]:
            value = state_dict.get(prefix + name)
            # A linear layer's weights are those of a 1x1 convolution.
            if value is not None and value.shape[:2] == tensor.shape[:2] and value.numel() == tensor.numel():
                state_dict[prefix + name] = value.reshape(tensor.shape)
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
