# SPDX-License-Identifier: Apache-2.0
"""Replaces the squeeze-and-excite blocks of a PyTorch network by tiled ones that share their weights, and back."""

import numbers
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt
from torch import nn

from ..hdl.config import ConfigError, Tiling
from .block_formats import DEFAULT, BlockFormats
from .check import difference
from .explain import explain as almost
from .module import FORWARD_HOOKS, TiledSE, prior_values
from .quantised_module import QuantisedTiledSE
from .recognise import SEBlock, recognise
from .replace import obstacle, restore, tiled_form

__all__ = ["SEBlock", "find_se", "quantise_se", "tile_se", "untile_se"]

HOOKS = "has hooks on its inner layers, which would be lost; remove them first"


@overload
def find_se(model: nn.Module, *, explain: Literal[False] = ..., check: bool = ...) -> dict[str, SEBlock]: ...


@overload
def find_se(model: nn.Module, *, explain: Literal[True],
            check: bool = ...) -> tuple[dict[str, SEBlock], dict[str, str]]: ...


def find_se(model: nn.Module, *, explain: bool = False, check: bool = True) -> Any:
    """The :class:`SEBlock` descriptions of `model`'s blocks, by the modules' names as in ``named_modules``.

    Nothing is changed. A block is recognised by the function that it computes, see
    :func:`~tiled_se.golden.recognise.recognise`; ``x + x * gate`` counts, too. Not included: tiled blocks, and blocks
    that are not a module of their own but written out in a larger module's ``forward``. `model`'s own name is "".

    With `check`, each block's copy is run beside the :class:`TiledSE` that would replace it. A block that differs, or
    that can't be run, is left out with a warning. Blocks on the meta device, and blocks with hooks on their inner
    layers, which :func:`tile_se` refuses, are not run.

    With `explain`, the result is ``(blocks, left_out)``. ``left_out`` says by name, in one line each, why a module that
    averages a map and multiplies a map by what follows is no block, or why :func:`tile_se` would not take it: it
    differs, or has hooks on its inner layers. The smallest module that does it is named. There is no warning then.
    """
    found, left_out, blocks = {}, {}, _blocks(model)
    for name, module, block in blocks:
        if _has_inner_hooks(module):
            reason = HOOKS if explain else None
        else:
            reason = _difference(module, block) if check else None
        if reason is None:
            found[name] = block
        elif explain:
            left_out[name] = reason
        else:
            _warn(name, module, reason)
    if not explain:
        return found
    left_out |= almost(model, [name for name, _, _ in blocks])
    return found, {name: left_out[name] for name, _ in model.named_modules() if name in left_out}


def tile_se(model: nn.Module, k: int | Tiling | Mapping[str, int | Tiling] = 7, *,
            select: Callable[[str, nn.Module], bool] | Iterable[str] | None = None, check: bool = True,
            priors: Mapping[str, npt.ArrayLike] | None = None, quantised: bool | BlockFormats = False) -> nn.Module:
    """Replace `model`'s squeeze-and-excite blocks by :class:`TiledSE` modules with the same weights.

    Parameters
    ----------
    model : nn.Module
        Changed in place. A block that is registered at several places is replaced at all of them by one module.
    k : int or Tiling, or mapping of str to int or Tiling
        Rows of a tile, or any :class:`Tiling`; or those of each block by its name, and blocks that are not in the
        mapping stay. Tiled blocks stay, too; their `tiling` is an attribute.
    select : optional callable (name, module) -> bool, or iterable of names
        The blocks to replace; all by default.
    check : bool
        Before anything is changed, run a copy of each block beside its :class:`TiledSE` with k >= H, in evaluation
        mode, with random maps of several sizes and scales. A block that differs by more than rounding, or that can't
        be run, stays with a warning that says by how much; if it was chosen by `k` or `select`, it is an error.
    priors : mapping of str to array-like (C), optional
        For each block by its name what the imaginary rows of its tiling are equal to, as :func:`mean_descriptors`
        gives it. A block without one has zeros. A tiling without imaginary rows takes no prior.
    quantised : bool or BlockFormats
        The new blocks are :class:`.QuantisedTiledSE` with these formats; True stands for int8 data and 8-bit weights.
        Calibrate them before use: :func:`.calibrate_blocks`. :func:`quantise_se` does the same to tiled blocks.

    Returns `model`, or the :class:`TiledSE` if `model` is a block itself. Raises ConfigError, with `model` unchanged,
    if `k` is no integer of at least 1, no block has a given name, a prior is not a finite number for each channel, a
    block's inner layers have hooks, or a chosen block differs.

    Parameters are not copied: the new modules have the same parameter objects, so optimisers, training and ``to`` work
    as before. A missing bias becomes a buffer of zeros. The exception is a layer with batch normalisation before or
    after it: the normalisation is folded with the statistics of evaluation mode, and the folded layer owns its weight
    and bias. So an optimiser that was made before does not train it, and training uses no batch statistics.

    Hooks of a block are kept. Names in the state dict change to ``fc1`` and ``fc2``, so load checkpoints of the
    original first. Dropout inside a block is dropped. Blocks on the meta device are not checked, as they have no
    numbers. :func:`untile_se` undoes the replacement.
    """
    blocks = _blocks(model)
    known = [name for name, _, _ in blocks]
    tilings = _tilings(k, known)
    explicit = select is not None or isinstance(k, Mapping)
    if select is None:
        select = known
    if not callable(select):
        select = [select] if isinstance(select, str) else list(select)
        _check_names("select", select, known)
    priors = _checked(priors or {}, model, blocks)
    chosen = [(name, module, block) for name, module, block in blocks
              if name in tilings and (select(name, module) if callable(select) else name in select)]
    for name, module, block in chosen:
        if any(tensor.is_meta for tensor in module.parameters()):
            lost = "batch normalisation can't be folded" if any(block.norms) else "a prior has no numbers"
            if any(block.norms) or name in priors and tilings[name].prior_rows:
                raise ConfigError("model", name or type(model).__name__, f"is on the meta device, where {lost}")
        if _has_inner_hooks(module):
            raise ConfigError("model", name or type(model).__name__, HOOKS)
    different = {name: reason for name, module, block in chosen if check and (reason := _difference(module, block))}
    if different and explicit:
        name, reason = next(iter(different.items()))
        raise ConfigError("model", name or type(model).__name__, reason)
    for name, module, _ in chosen:
        if name in different:
            _warn(name, module, different[name])
    unused = [name for name, _, _ in chosen
              if name in priors and tilings[name].context.running and not tilings[name].prior_rows]
    if unused:
        warnings.warn(f"priors are not used, as prior_rows is 0 in the tiling of {', '.join(map(repr, unused))}",
                      stacklevel=2)
    replacements = {module: tiled_form(module, block, tilings[name], priors.get(name))
                    for name, module, block in chosen if name not in different}
    if quantised:
        replacements = _quantised(model, replacements, DEFAULT if quantised is True else quantised)
    return _put(model, replacements)


def _quantised(model: nn.Module, replacements: Mapping[nn.Module, TiledSE],
               formats: BlockFormats) -> dict[nn.Module, nn.Module]:
    """The quantised forms of `replacements`, with a warning where `model` has float blocks that are tiled already."""
    if stay := [name for name, module in model.named_modules() if type(module) is TiledSE]:
        warnings.warn(f"tiled blocks stay float; quantise_se quantises them: {', '.join(map(repr, stay))}",
                      stacklevel=3)
    return {module: QuantisedTiledSE.of(tiled, formats) for module, tiled in replacements.items()}


def quantise_se(model: nn.Module, formats: BlockFormats | Mapping[str, BlockFormats] = DEFAULT) -> nn.Module:
    """Replace `model`'s tiled blocks by :class:`.QuantisedTiledSE` modules with the same parameters and tilings.

    Changes `model` in place and returns it, or the quantised block if `model` is a :class:`TiledSE` itself. `formats`
    are those of all blocks, or of each by its name; blocks that are not in the mapping stay. A block that is quantised
    gets the new formats, and none of its old scales. Raises ConfigError("formats") if no tiled block has a given name.
    """
    tiled = {name: module for name, module in model.named_modules() if isinstance(module, TiledSE)}
    given = dict(formats) if isinstance(formats, Mapping) else dict.fromkeys(tiled, formats)
    _check_names("formats", given, list(tiled), "tiled blocks")
    return _put(model, {tiled[name]: QuantisedTiledSE.of(tiled[name], own) for name, own in given.items()})


def _has_inner_hooks(module: nn.Module) -> bool:
    inner = (part for part in module.modules() if part is not module)
    return any(getattr(part, hooks, None) for part in inner for hooks in FORWARD_HOOKS)


def _difference(module: nn.Module, block: SEBlock) -> str | None:
    return difference(module, lambda copy: tiled_form(copy, block, 1))


def _warn(name: str, module: nn.Module, reason: str) -> None:
    warnings.warn(f"{name or type(module).__name__}: {reason}; it is left as it is", stacklevel=3)


def untile_se(model: nn.Module) -> nn.Module:
    """Put back the modules that :func:`tile_se` has replaced, with the current weights.

    Changes `model` in place and returns it, or the original block if `model` is a :class:`TiledSE` itself. A
    :class:`TiledSE` that is not from :func:`tile_se` stays. Batch normalisations that were folded come back as they
    were. Raises ConfigError("model"), and changes nothing, if a bias that the original lacks is no longer 0, or the
    weights of a folded layer have changed since.
    """
    tiled = {name: module for name, module in model.named_modules()
             if isinstance(module, TiledSE) and hasattr(module, "replaced")}
    for name, module in tiled.items():
        if reason := obstacle(module):
            raise ConfigError("model", name or "TiledSE", reason)
    return _put(model, {module: restore(module) for module in tiled.values()})


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


def _tilings(k: int | Tiling | Mapping[str, int | Tiling], known: list[str]) -> dict[str, Tiling]:
    """The tilings, by the names of the blocks that `k` applies to."""
    given: dict = dict(k) if isinstance(k, Mapping) else dict.fromkeys(known, k)
    _check_names("k", given, known)
    for value in given.values() if isinstance(k, Mapping) else [k]:
        if isinstance(value, Tiling):
            continue
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
            raise ConfigError("k", value, "must be an integer of at least 1")
    return {name: Tiling.of(value) for name, value in given.items()}


def _checked(priors: Mapping[str, npt.ArrayLike], model: nn.Module,
             blocks: list[tuple[str, nn.Module, SEBlock]]) -> dict[str, np.ndarray]:
    """The priors as arrays. Those of blocks that stay may be among them, and so may those of tiled blocks."""
    channels = {name: module.fc1.weight.shape[1] for name, module in model.named_modules()
                if isinstance(module, TiledSE)}
    channels |= {name: block.channels for name, _, block in blocks}
    _check_names("priors", priors, list(channels))
    return {name: prior_values(prior, channels[name], f"priors[{name!r}]") for name, prior in priors.items()}


def _check_names(option: str, names: Iterable[str], known: list[str],
                 what: str = "squeeze-and-excite blocks") -> None:
    for name in names:
        if name not in known:
            listed = ", ".join(known) or "there are none"
            raise ConfigError(option, name, f"must name {what} of the model: {listed}")
