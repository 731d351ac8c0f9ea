# SPDX-License-Identifier: Apache-2.0
"""Squeeze-and-excite blocks of any PyTorch network swapped for tiled ones that share their weights, and back."""

import dataclasses
import numbers
from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from ..hdl.config import ConfigError
from .module import TiledSE
from .recognise import FORWARD_HOOKS, SEBlock, recognise

__all__ = ["SEBlock", "find_se", "tile_se", "untile_se"]


@dataclasses.dataclass(frozen=True)
class Replaced:
    """What a :class:`TiledSE` has to remember to be undone: the original module, and which parameters are shared."""

    module: nn.Module
    layers: tuple


class SharedMatrix(nn.Module):
    """A 1x1 convolution that computes with another layer's own parameters, whose weight has no 1x1 kernel behind it.

    The parameter itself is `matrix`, (outputs, inputs) or with one axis more; `weight` has a convolution's shape.
    """

    def __init__(self, matrix):
        super().__init__()
        self.matrix = matrix

    def extra_repr(self):
        """Inputs and outputs."""
        return f"{self.matrix.shape[1]}, {self.matrix.shape[0]}"

    @property
    def weight(self):
        """(outputs, inputs, 1, 1), a view of the parameter."""
        return self.matrix.flatten(1)[:, :, None, None]

    def forward(self, x):
        """`x` (N, inputs, H, W) to (N, outputs, H, W)."""
        return functional.conv2d(x, self.weight, self.bias)


def find_se(model):
    """The :class:`SEBlock` descriptions of `model`'s blocks by the modules' names, as ``named_modules`` has them.

    Nothing is changed, and no weight's value is looked at. A block is told by what it computes, see
    :func:`~tiled_se.golden.recognise.recognise`: a plain one, or ``x + x * gate``, whose module then holds nothing but
    the two layers. Blocks that are tiled already are not in it, nor what is written out in the forward function of a
    larger module instead of in one of its own. `model`'s own name is "".
    """
    return {name: block for name, _, block in _blocks(model)}


def tile_se(model, k=7, *, select=None):
    """Put a :class:`TiledSE` with the same weights in the place of `model`'s squeeze-and-excite blocks.

    Parameters
    ----------
    model : nn.Module
        Changed in place. A block that is registered at several places is replaced at all of them by one module.
    k : int, or mapping of str to int
        Rows of a tile; or those of each block by its name, the other blocks staying as they are. So do blocks that
        are tiled already, whose `k` is an attribute.
    select : optional callable (name, module) -> bool, or iterable of names
        Which blocks are replaced; all by default.

    Returns
    -------
    nn.Module
        `model`, or the :class:`TiledSE` if `model` is a block itself.

    Raises
    ------
    ConfigError
        For a `k` that is no integer of at least 1, a name that no block has, and a block with forward or backward hooks
        on the layers inside. Nothing has been changed by then.

    Parameters are not copied: the new modules have the very same ones, so optimisers, training and ``to`` go on as
    before, whether they began with the original or the tiled form. A bias that a layer lacks is a buffer of zeros.
    Hooks of the block itself stay with it. Names in the state dict change (``fc1``, ``fc2``), so load checkpoints of
    the original before, and dropout inside a block is dropped. :func:`untile_se` undoes it.
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


def untile_se(model):
    """Put back what :func:`tile_se` has replaced: the modules themselves, with the weights as they are by now.

    Changes `model` in place and returns it, or the original block if `model` is a :class:`TiledSE` itself. A
    :class:`TiledSE` that has not come from :func:`tile_se` stays. ConfigError("model") where a bias that the original
    lacks has got another value than 0; nothing has been changed by then.
    """
    tiled = {name: module for name, module in model.named_modules()
             if isinstance(module, TiledSE) and hasattr(module, "replaced")}
    for name, module in tiled.items():
        for layer, (_, bias) in zip((module.fc1, module.fc2), module.replaced.layers, strict=True):
            if bias is None and layer.bias.any():
                raise ConfigError("model", name or "TiledSE", "has a bias now that its original has no place for")
    return _put(model, {module: _original(module) for module in tiled.values()})


def _blocks(model):
    """(name, module, description) of each block, in the order of ``named_modules``."""
    found = {}
    # Parts before what holds them, so that a block's own module is found before any wrapper of it.
    for name, module in sorted(model.named_modules(), key=lambda named: sum(1 for _ in named[1].modules())):
        if (block := recognise(module)) is None:
            continue
        inner = [part for part in module.modules() if part in found]
        # A wrapper is the block only where it makes it the residual one. The model itself can't be changed in place,
        # so it is replaced only where no part of it can be; a part that is used elsewhere too is the one to replace.
        if inner and not (name and block.residual and not found[inner[0]][2].residual
                          and len(_places(model, inner[0])) == 1):
            continue
        for part in inner:
            del found[part]
        found[module] = name, module, block
    return [found[module] for module in model.modules() if module in found]


def _places(model, module):
    """(parent, attribute) of each place where `module` is registered below `model`."""
    return [(parent, name) for parent in model.modules() for name, child in parent._modules.items() if child is module]


def _put(model, replacements):
    """`model` with modules replaced wherever they are registered; the replacement if it is one of them itself."""
    for module, replacement in replacements.items():
        for parent, name in _places(model, module):
            setattr(parent, name, replacement)
    return replacements.get(model, model)


def _rows(k, known):
    """Rows of a tile by the names of the blocks that `k` is for."""
    rows = dict(k) if isinstance(k, Mapping) else dict.fromkeys(known, k)
    _check_names("k", rows, known)
    for value in rows.values() if isinstance(k, Mapping) else [k]:
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
            raise ConfigError("k", value, "must be an integer of at least 1")
    return {name: int(value) for name, value in rows.items()}


def _check_names(option, names, known):
    for name in names:
        if name not in known:
            listed = ", ".join(known) or "there are none"
            raise ConfigError(option, name, f"must name squeeze-and-excite blocks of the model: {listed}")


def _tiled(module, block, k):
    """The :class:`TiledSE` that shares `module`'s parameters and hooks."""
    with torch.device("meta"):  # its own weights are never used
        tiled = TiledSE(block.channels, block.squeeze, k, mid=block.mid, gate=block.gate, residual=block.residual)
    tiled.fc1, tiled.fc2 = (_layer(*(name and module.get_parameter(name) for name in names)) for names in block.layers)
    # The same dictionaries, so that the handles of hooks go on working.
    for name in (*FORWARD_HOOKS, "_is_full_backward_hook"):
        tiled.__dict__[name] = getattr(module, name)
    tiled.replaced = Replaced(module, block.layers)
    return tiled.train(module.training)


def _layer(weight, bias):
    """A 1x1 convolution that has these very parameters, and zeros for no bias."""
    if weight.ndim == 4:
        layer = nn.Conv2d(weight.shape[1], weight.shape[0], 1, device="meta")
        layer.weight = weight
        del layer.bias
    else:
        layer = SharedMatrix(weight)
    if bias is None:
        layer.register_buffer("bias", weight.new_zeros(len(weight)))
    else:
        layer.bias = bias
    return layer


def _original(tiled):
    """The module that `tiled` has replaced, with the parameters that `tiled` has now and in its mode."""
    module, layers = tiled.replaced.module, tiled.replaced.layers
    for layer, (weight, bias) in zip((tiled.fc1, tiled.fc2), layers, strict=True):
        matrix = layer.matrix if isinstance(layer, SharedMatrix) else layer.weight
        # Mostly the very same; `to` and `load_state_dict(assign=True)` may have put others in their place.
        for name, parameter in ((weight, matrix), (bias, layer.bias)):
            if name:
                owner, _, attribute = name.rpartition(".")
                setattr(module.get_submodule(owner), attribute, parameter)
    module._is_full_backward_hook = tiled._is_full_backward_hook
    return module if module.training == tiled.training else module.train(tiled.training)
