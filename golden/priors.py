# SPDX-License-Identifier: Apache-2.0
"""Measures the priors of a PyTorch network's squeeze-and-excite blocks on calibration images."""

import functools
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import nn

from ..hdl.config import ConfigError
from .batches import run_batches
from .convert import find_se
from .module import TiledSE

__all__ = ["mean_descriptors"]


def mean_descriptors(model: nn.Module, batches: Iterable[Any]) -> dict[str, np.ndarray]:
    """The mean descriptor of each block: float64 (C), by the block's name, as ``tile_se(priors=...)`` takes it.

    A descriptor is the mean of a block's input over H and W. It is averaged over all images, whatever their sizes, and
    over all uses of a block that is used several times. A block that no image reaches is left out. Tiled blocks are
    among the blocks: they see what they would see untiled only if the blocks before them are not tiled.

    Each of `batches` is the model's input: a tensor, a tuple or list of arguments, or a mapping of named arguments. The
    model runs in evaluation mode without gradients; its modes are restored. Raises ConfigError("batches") if there are
    none, or if a descriptor is not finite.
    """
    found, modules = find_se(model, check=False), dict(model.named_modules())
    sums: dict[str, np.ndarray] = {}
    images = dict.fromkeys(modules, 0)

    def add(name: str, x: torch.Tensor) -> None:
        means = x.mean((2, 3), dtype=torch.promote_types(x.dtype, torch.float32)).double().cpu()
        sums[name] = sums.get(name, 0) + means.sum(0).numpy()
        images[name] += len(x)

    run_batches(model, batches, {module: functools.partial(add, name) for name, module in modules.items()
                                 if name in found or isinstance(module, TiledSE)})
    for name, total in sums.items():
        if not np.isfinite(total).all():
            raise ConfigError("batches", "not finite", f"must give finite maps at the block {name!r}")
    return {name: sums[name] / images[name] for name in modules if images[name]}
