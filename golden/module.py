# SPDX-License-Identifier: Apache-2.0
"""Tiled squeeze-and-excite as a PyTorch module that can replace the original."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ..hdl.config import ConfigError, Gate, GateKind, Mid
from .block import FloatBlock

__all__ = ["ACTIVATIONS", "FORWARD_HOOKS", "TiledSE", "gate_function"]

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


def gate_function(gate: Gate, x: torch.Tensor) -> torch.Tensor:
    """The gates of logits `x` of any shape."""
    if gate.kind is GateKind.SIGMOID:
        return torch.sigmoid(x)
    return torch.clamp(gate.slope * x + gate.offset, 0, 1)


class TiledSE(nn.Module):
    """Squeeze-and-excite with means over strips of k rows; ``k >= H`` is the original.

    A drop-in replacement for ``torchvision.ops.SqueezeExcitation``, whose state dict it loads unchanged.

    Parameters
    ----------
    input_channels, squeeze_channels : int
        C and CR.
    k : int
        Rows of a tile. A frame's last tile may have fewer; its mean is over its own rows.
    mid, gate : Mid, Gate
    residual : bool
        ``y = x + x * gate`` instead of ``x * gate``.
    tile_width : int, optional
        Columns of a tile; None is the whole width. ConfigError is raised for a number under 1.
    """

    # After `tile_se` the layers share the original's parameters, and `replaced` has the original module.
    fc1: Any
    fc2: Any
    replaced: Any

    def __init__(self, input_channels: int, squeeze_channels: int, k: int = 7, *, mid: Mid = Mid.RELU,
                 gate: Gate = SIGMOID, residual: bool = False, tile_width: int | None = None) -> None:
        super().__init__()
        numbers = {"channels": input_channels, "squeeze": squeeze_channels, "k": k, "tile_width": tile_width}
        for name, value in numbers.items():
            if value is not None and value < 1:
                raise ConfigError(name, value, "must be at least 1")
        self.fc1 = nn.Conv2d(input_channels, squeeze_channels, 1)
        self.fc2 = nn.Conv2d(squeeze_channels, input_channels, 1)
        self.k, self.tile_width = k, tile_width
        self.mid, self.gate, self.residual = mid, gate, residual

    def extra_repr(self) -> str:
        """The parameters that the submodules do not show."""
        return (f"k={self.k}, mid={self.mid.value}, gate={self.gate}, residual={self.residual}, "
                f"tile_width={self.tile_width}")

    def tile(self, x: torch.Tensor) -> tuple[int, int]:
        """(rows, columns) of a tile of `x` (N, C, H, W)."""
        height, width = x.shape[-2:]
        return min(self.k, height), min(self.tile_width or width, width)

    def scale(self, x: torch.Tensor) -> torch.Tensor:
        """Gates of the tiles of `x` (N, C, H, W): (N, C, tiles down, tiles across)."""
        # With ceil_mode the last windows are cut at the frame's end, and their means are over the rest.
        z = functional.avg_pool2d(x, self.tile(x), ceil_mode=True)
        return gate_function(self.gate, self.fc2(ACTIVATIONS[self.mid](self.fc1(z))))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scale `x` (N, C, H, W), any H and W; returns the same shape."""
        (down, across), (height, width) = self.tile(x), x.shape[-2:]
        gates = self.scale(x).repeat_interleave(down, dim=2)[:, :, :height]
        gates = gates.repeat_interleave(across, dim=3)[:, :, :, :width]
        return x + x * gates if self.residual else x * gates

    @classmethod
    def from_block(cls, block: FloatBlock, k: int = 7, tile_width: int | None = None) -> "TiledSE":
        """A module of the weights and functions of a `FloatBlock`, in torch's default precision."""
        squeeze, channels = block.w1.shape
        module = cls(channels, squeeze, k, mid=block.mid, gate=block.gate, residual=block.residual,
                     tile_width=tile_width)
        with torch.no_grad():
            for layer, weight, bias in ((module.fc1, block.w1, block.b1), (module.fc2, block.w2, block.b2)):
                layer.weight.copy_(torch.as_tensor(weight)[:, :, None, None])
                layer.bias.copy_(torch.as_tensor(bias))
        return module

    def block(self) -> FloatBlock:
        """The module's weights and functions as a `FloatBlock`."""
        w1, b1, w2, b2 = (tensor.detach().cpu().double().numpy() for layer in (self.fc1, self.fc2)
                          for tensor in (layer.weight[:, :, 0, 0], layer.bias))
        return FloatBlock(w1, b1, w2, b2, self.mid, self.gate, self.residual)
