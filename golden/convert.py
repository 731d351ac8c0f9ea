# SPDX-License-Identifier: Apache-2.0
"""Replaces the squeeze-and-excite blocks of a PyTorch network by tiled ones that share their weights, and back."""

import dataclasses
import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ..hdl.config import ConfigError
from .module import TiledSE
from .recognise import FORWARD_HOOKS, SEBlock, recognise

__all__ = ["SEBlock", "find_se", "tile_se", "untile_se"]


@dataclasses.dataclass(frozen=True)
class Replaced:
    """The module that a :class:`TiledSE` has replaced, and the names of the shared parameters."""

    module: nn.Module
    layers: tuple


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
        return functional.conv2d(x, self.weight, self.bias)


def find_se(model: nn.Module) -> dict[str, SEBlock]:
    """The :class:`SEBlock` descriptions of `model`'s blocks, by the modules' names as in ``named_modules``.

    Nothing is changed. A block is recognised by the function that it computes, whatever its weights, see
    :func:`~tiled_se.golden.recognise.recognise`; ``x + x * gate`` counts, too. Not included: tiled blocks, and blocks
    that are not a module of their own but written out in a larger module's ``forward``. `model`'s own name is "".
    """
    return {name: block for name, _, block in _blocks(model)}


def tile_se(model: nn.Module, k: int | Mapping[str, int] = 7, *,
            select: Callable[[str, nn.Module], bool] | Iterable[str] | None = None) -> nn.Module:
    """Replace `model`'s squeeze-and-excite blocks by :class:`TiledSE` modules with the same weights.

    Parameters
    ----------
    model : nn.Module
        Changed in place. A block that is registered at several places is replaced at all of them by one module.
    k : int, or mapping of str to int
        Rows of a tile, or the rows of each block by its name; blocks that are not in the mapping stay. Tiled blocks
        stay, too; their `k` is an attribute.
    select : optional callable (name, module) -> bool, or iterable of names
        The blocks to replace; all by default.

    Returns `model`, or the :class:`TiledSE` if `model` is a block itself. Raises ConfigError, with `model` unchanged,
    if `k` is no integer of at least 1, no block has a given name, or a block's inner layers have hooks.

    Parameters are not copied: the new modules have the same parameter objects, so optimisers, training and ``to`` work
    as before. A missing bias becomes a buffer of zeros. Hooks of a block are kept. Names in the state dict change to
    ``fc1`` and ``fc2``, so load checkpoints of the original first. Dropout inside a block is dropped.
    :func:`untile_se` undoes the replacement.
    """
    blocks = _blocks(model)
    known = [name for name, _, _ in blocks]
    rows = _rows(k, known)
    if select is None:
        select = known
    if not callable(select):
        select = [select] if isinstance(select, str) else list(select)
        _check_names("select", select, known)
    chosen = [(name, module, block) for name, module, block in blocks
              if name in rows and (select(name, module) if callable(select) else name in select)]
    for name, module, _ in chosen:
        inner = (part for part in module.modules() if part is not module)
        if any(getattr(part, hooks, None) for part in inner for hooks in FORWARD_HOOKS):
            raise ConfigError("model", name or type(model).__name__,
                              "has hooks on its inner layers, which would be lost; remove them first")
    return _put(model, {module: _tiled(module, block, rows[name]) for name, module, block in chosen})


def untile_se(model: nn.Module) -> nn.Module:
    """Put back the modules that :func:`tile_se` has replaced, with the current weights.

    Changes `model` in place and returns it, or the original block if `model` is a :class:`TiledSE` itself. A
    :class:`TiledSE` that is not from :func:`tile_se` stays. Raises ConfigError("model"), and changes nothing, if a bias
    that the original lacks is no longer 0.
    """
    tiled = {name: module for name, module in model.named_modules()
             if isinstance(module, TiledSE) and hasattr(module, "replaced")}
    for name, module in tiled.items():
        for layer, (_, bias) in zip((module.fc1, module.fc2), module.replaced.layers, strict=True):
            if bias is None and layer.bias.any():
                raise ConfigError("model", name or "TiledSE", "has a bias now that its original has no place for")
    return _put(model, {module: _original(module) for module in tiled.values()})


def _blocks(model: nn.Module) -> list[tuple[str, nn.Module, SEBlock]]:
    """(name, module, description) of each block, in the order of ``named_modules``."""
    found: dict[nn.Module, tuple[str, nn.Module, SEBlock]] = {}
    # Inner modules first, so that a block's own module is found before a wrapper of it.
    for name, module in sorted(model.named_modules(), key=lambda named: sum(1 for _ in named[1].modules())):
        if (block := recognise(module)) is None:
            continue
        inner = [part for part in module.modules() if part in found]
        # A wrapper is the block only if it adds the residual and the inner module is used nowhere else. The model
        # itself can't be replaced in place, so an inner module goes first.
        if inner and not (name and block.residual and not found[inner[0]][2].residual
                          and len(_places(model, inner[0])) == 1):
            continue
        for part in inner:
            del found[part]
        found[module] = name, module, block
    return [found[module] for module in model.modules() if module in found]


def _places(model: nn.Module, module: nn.Module) -> list[tuple[nn.Module, str]]:
    """(parent, attribute) of each place where `module` is registered below `model`."""
    return [(parent, name) for parent in model.modules() for name, child in parent._modules.items() if child is module]


def _put(model: nn.Module, replacements: Mapping[nn.Module, nn.Module]) -> nn.Module:
    """Replace modules wherever they are registered; returns `model`, or its own replacement."""
    for module, replacement in replacements.items():
        for parent, name in _places(model, module):
            setattr(parent, name, replacement)
    return replacements.get(model, model)


def _rows(k: int | Mapping[str, int], known: list[str]) -> dict[str, int]:
    """Rows of a tile, by the names of the blocks that `k` applies to."""
    rows = dict(k) if isinstance(k, Mapping) else dict.fromkeys(known, k)
    _check_names("k", rows, known)
    for value in rows.values() if isinstance(k, Mapping) else [k]:
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
            raise ConfigError("k", value, "must be an integer of at least 1")
    return {name: int(value) for name, value in rows.items()}


def _check_names(option: str, names: Iterable[str], known: list[str]) -> None:
    for name in names:
        if name not in known:
            listed = ", ".join(known) or "there are none"
            raise ConfigError(option, name, f"must name squeeze-and-excite blocks of the model: {listed}")


def _tiled(module: nn.Module, block: SEBlock, k: int) -> TiledSE:
    """The :class:`TiledSE` that shares `module`'s parameters and hooks."""
    with torch.device("meta"):  # weights that are replaced below
        tiled = TiledSE(block.channels, block.squeeze, k, mid=block.mid, gate=block.gate, residual=block.residual)
    tiled.fc1, tiled.fc2 = (_layer(*(name and module.get_parameter(name) for name in names)) for names in block.layers)
    # The same dictionaries, so that handles of hooks continue to work.
    for name in (*FORWARD_HOOKS, "_is_full_backward_hook"):
        tiled.__dict__[name] = getattr(module, name)
    tiled.replaced = Replaced(module, block.layers)
    return tiled.train(module.training)


def _layer(weight: nn.Parameter, bias: nn.Parameter | None) -> nn.Module:
    """A 1x1 convolution with these parameter objects; no bias means a buffer of zeros."""
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


def _original(tiled: TiledSE) -> nn.Module:
    """The module that `tiled` has replaced, with the parameters and the mode that `tiled` has now."""
    module, layers = tiled.replaced.module, tiled.replaced.layers
    for layer, (weight, bias) in zip((tiled.fc1, tiled.fc2), layers, strict=True):
        matrix = layer.matrix if isinstance(layer, SharedMatrix) else layer.weight
        # Usually the same objects, but `to` and `load_state_dict(assign=True)` may replace parameters.
        for name, parameter in ((weight, matrix), (bias, layer.bias)):
            if name:
                owner, _, attribute = name.rpartition(".")
                setattr(module.get_submodule(owner), attribute, parameter)
    module._is_full_backward_hook = tiled._is_full_backward_hook
    return module if module.training == tiled.training else module.train(tiled.training)
