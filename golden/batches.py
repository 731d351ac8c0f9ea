# SPDX-License-Identifier: Apache-2.0
"""Runs a PyTorch network on batches to look at it."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from ..hdl.config import ConfigError

__all__ = ["run_batches"]


def run_batches(model: nn.Module, batches: Iterable[Any]) -> None:
    """Run `model` on each of `batches` in evaluation mode without gradients; its modes are restored.

    A batch is the model's input: a tensor, a tuple or list of arguments, or a mapping of named arguments. Raises
    ConfigError("batches") if there are none.
    """
    training = {module: module.training for module in model.modules()}
    count = 0
    try:
        model.eval()
        with torch.no_grad():
            for batch in batches:
                count += 1
                if isinstance(batch, Mapping):
                    model(**batch)
                elif isinstance(batch, (tuple, list)):
                    model(*batch)
                else:
                    model(batch)
    finally:
        for module, mode in training.items():
            module.training = mode
    if not count:
        raise ConfigError("batches", 0, "must be at least one")
