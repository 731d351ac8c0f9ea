# SPDX-License-Identifier: Apache-2.0
"""Makes the :class:`TiledSE` of one squeeze-and-excite block, and the block of the :class:`TiledSE`."""

import dataclasses
import itertools
from collections.abc import Iterable
from typing import Any

import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from ..hdl.config import Tiling
from .fold import fold
from .module import FORWARD_HOOKS, TiledSE, prior_values
from .recognise import SEBlock

__all__ = ["obstacle", "restore", "tiled_form"]


@dataclasses.dataclass(frozen=True)
class Replaced:
    """The module that a :class:`TiledSE` has replaced, and how."""

    module: nn.Module
    block: SEBlock

    def rename(self, tiled: TiledSE, state: dict[str, torch.Tensor], prefix: str) -> list[str]:
        """Give tensors of the original in `state`, whose names begin with `prefix`, their names in `tiled`.

        Batch normalisations are folded, and a bias that the original lacks is 0. Returns the names that a fold misses.
        `state` stays as it is if it is not the original's.
        """
        found = {name: state[prefix + name] for name in self.module.state_dict() if prefix + name in state}
        first, second = (found.get(names[0]) for names in self.block.layers)
        # An original may call its first layer what is the second's name here.
        if first is None or second is None or first.shape[:2] != (self.block.squeeze, self.block.channels):
            return []
        folds = {name for norms in self.block.norms for norm in norms for name in norm.names}
        # What is folded has no normalisations: a tiled block's own names, in a plain dictionary without versions.
        own = (prefix + name for name in tiled.state_dict() if name.startswith("fc"))
        if folds and not folds & found.keys() and all(name in state for name in own):
            return []
        for name in found:
            del state[prefix + name]
        missing = [prefix + name for name in sorted(folds - found.keys())]
        if folds and not missing:
            self.module.load_state_dict(found, strict=False)
        for place, (layer, names, norms) in zip(("fc1.", "fc2."), _layers(tiled), strict=True):
            weight, bias = found[names[0]], found.get(names[1])
            if any(norms):
                if missing:
                    continue
                folded = _folded(self.module, names, norms)
                weight, bias = folded.weight.detach(), folded.bias.detach()
            elif names[1] is None:
                bias = state.get(prefix + place + "bias", weight.new_zeros(len(weight)))
            name = "matrix" if isinstance(layer, SharedMatrix) else "weight"
            state[prefix + place + name] = weight
            if bias is not None:
                state[prefix + place + "bias"] = bias
        return missing


class SharedMatrix(nn.Module):
    """A 1x1 convolution with the parameters of a layer that is no 2D convolution.

    The parameter is `matrix`, (outputs, inputs) or with one axis more; `weight` has a convolution's shape.
    """

    bias: torch.Tensor

    def __init__(self, matrix: nn.Parameter) -> None:
        super().__init__()
        self.matrix = matrix

    def extra_repr(self) -> str:
        """Inputs and outputs."""
        return f"{self.matrix.shape[1]}, {self.matrix.shape[0]}"

    @property
    def weight(self) -> torch.Tensor:
        """(outputs, inputs, 1, 1), a view of the parameter."""
        return self.matrix.flatten(1)[:, :, None, None]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` (N, inputs, H, W) to (N, outputs, H, W)."""
        # All arguments, as the quantised operator, which tools put here, has no defaults.
        return functional.conv2d(x, self.weight, self.bias, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1)


def tiled_form(module: nn.Module, block: SEBlock, k: int | Tiling, prior: npt.ArrayLike | None = None) -> TiledSE:
    """The :class:`TiledSE` that shares `module`'s parameters and hooks.

    A layer with batch normalisations gets weights of its own.
    """
    with torch.device("meta"):  # weights that are replaced below
        tiled = TiledSE(block.channels, block.squeeze, k, mid=block.mid, gate=block.gate, residual=block.residual)
    if tiled.prior is not None:
        weight = module.get_parameter(block.layers[0][0])
        tiled.prior = torch.tensor(prior_values(prior, block.channels), dtype=weight.dtype, device=weight.device)
    tiled.fc1, tiled.fc2 = (_folded(module, names, norms) if any(norms) else _shared(module, names)
                            for names, norms in zip(block.layers, block.around, strict=True))
    # The same dictionaries, so that handles of hooks continue to work.
    for name in (*FORWARD_HOOKS, "_is_full_backward_hook"):
        tiled.__dict__[name] = getattr(module, name)
    tiled.replaced = Replaced(module, block)
    return tiled.train(module.training)


def _shared(module: nn.Module, names: tuple[str, str | None]) -> nn.Module:
    """A 1x1 convolution with `module`'s parameter objects, weight and bias; no bias means a buffer of zeros."""
    weight, bias = module.get_parameter(names[0]), module.get_parameter(names[1]) if names[1] else None
    if weight.ndim == 4:
        layer: Any = nn.Conv2d(weight.shape[1], weight.shape[0], 1, device="meta")
        layer.weight = weight
        del layer.bias
    else:
        layer = SharedMatrix(weight)
    if bias is None:
        layer.register_buffer("bias", weight.new_zeros(len(weight)))
    else:
        layer.bias = bias
    return layer


def _tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _folded(module: nn.Module, names: tuple, norms: tuple) -> nn.Module:
    """A 1x1 convolution with weights of its own: `module`'s layer with the normalisations (before, after) folded."""
    original = module.get_parameter(names[0])
    weight, bias = (tensor.to(original) for tensor in fold(_tensors(module), names, *norms))
    layer: Any = nn.Conv2d(weight.shape[1], weight.shape[0], 1, device="meta")
    layer.weight = nn.Parameter(weight[:, :, None, None], original.requires_grad)
    layer.bias = nn.Parameter(bias, original.requires_grad)
    return layer


def _layers(tiled: TiledSE) -> Iterable[tuple[Any, tuple, tuple]]:
    """Each layer of `tiled`, the names of the original's parameters, and its normalisations (before, after)."""
    block = tiled.replaced.block
    return zip((tiled.fc1, tiled.fc2), block.layers, block.around, strict=True)


def obstacle(tiled: TiledSE) -> str | None:
    """Why `tiled`'s original can't have the weights that `tiled` has now, or None if it can."""
    for layer, names, norms in _layers(tiled):
        if any(norms):
            again = _folded(tiled.replaced.module, names, norms)
            # In whatever precision the layer is now.
            if not all(torch.equal(old.to(new).nan_to_num(), new.nan_to_num())
                       for old, new in ((again.weight, layer.weight), (again.bias, layer.bias))):
                return "has other weights now in a layer that batch normalisation was folded into; this can't be undone"
        elif names[1] is None and layer.bias.any():
            return "has a bias now that its original has no place for"
    return None


def restore(tiled: TiledSE) -> nn.Module:
    """The module that `tiled` has replaced, with the parameters and the mode that `tiled` has now."""
    module = tiled.replaced.module
    for layer, (weight, bias), norms in _layers(tiled):
        matrix = layer.matrix if isinstance(layer, SharedMatrix) else layer.weight
        if any(norms):
            tensors = _tensors(module)
            if (tensors[weight].dtype, tensors[weight].device) != (matrix.dtype, matrix.device):
                # `to` has not reached the original.
                for name in (weight, bias, *(name for norm in itertools.chain(*norms) for name in norm.names)):
                    if name:
                        tensors[name].data = tensors[name].data.to(matrix)
            continue
        # Usually the same objects, but `to` and `load_state_dict(assign=True)` may replace parameters.
        for name, parameter in ((weight, matrix), (bias, layer.bias)):
            if name:
                owner, _, attribute = name.rpartition(".")
                setattr(module.get_submodule(owner), attribute, parameter)
    module._is_full_backward_hook = tiled._is_full_backward_hook
    if module.training != tiled.training:
        module.train(tiled.training)
    return module
