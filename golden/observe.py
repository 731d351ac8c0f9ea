# SPDX-License-Identifier: Apache-2.0
"""Finds the data formats of a PyTorch network's quantised blocks on calibration batches."""

from collections.abc import Iterable
from typing import Any

from torch import nn

from ..hdl.config import ConfigError
from .batches import run_batches
from .quantised_module import QuantisedTiledSE
from .range_method import RangeMethod

__all__ = ["calibrate_blocks"]


def calibrate_blocks(model: nn.Module, batches: Iterable[Any], method: RangeMethod | None = None) -> None:
    """Set the formats of all :class:`.QuantisedTiledSE` blocks of `model` from the maps that they see on `batches`.

    The network runs once, with all these blocks in float: what a block sees before calibration is what the trained
    network shows it. With the blocks before it quantised, its maps would differ by about a step of theirs, which is
    small beside a range; and a network of n blocks would have to run n times. `method` decides how a range is chosen
    (:class:`.RangeMethod`); without, it has the least squared error. The formats stay fixed during training until this
    is called again.

    A batch is the model's input, as for :func:`.mean_descriptors`; the model runs in evaluation mode, and its modes are
    restored. A block that no batch reaches keeps the formats that it has, if any. Raises ConfigError, and changes no
    format: ("model") if it has no such block, ("batches") if there are none or a map is not finite, and as
    :meth:`.DataFormat.calibrate` if a range has no format.
    """
    blocks = [module for module in model.modules() if isinstance(module, QuantisedTiledSE)]
    if not blocks:
        raise ConfigError("model", type(model).__name__, "must have quantised blocks: tile_se(quantised=...)")
    try:
        for block in blocks:
            block.observe()
        run_batches(model, batches)
        found = [(block, formats) for block in blocks if (formats := block.observed(method)) is not None]
    except ConfigError as error:
        if (error.option, error.value) != ("x", "not finite"):
            raise
        raise ConfigError("batches", "not finite", "must give finite maps at every quantised block") from None
    finally:
        for block in blocks:
            block.stop_observing()
    for block, (x, y) in found:
        block.x_format = x
        if y is not None:
            block.y_format = y
