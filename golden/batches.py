# SPDX-License-Identifier: Apache-2.0
"""Runs a PyTorch network on batches to look at it."""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from ..hdl.config import ConfigError

__all__ = ["run_batches"]


def run_batches(model: nn.Module, batches: Iterable[Any],
                watch: Mapping[nn.Module, Callable[[torch.Tensor], None]] | None = None) -> None:
    """Run `model` on each of `batches` in evaluation mode without gradients; its modes are restored.

    A batch is the model's input: a tensor, a tuple or list of arguments, or a mapping of named arguments. `watch` has
    for modules of the model what is called with their first argument before they run. Raises ConfigError("batches") if
    there are none.
    """
    training = {module: module.training for module in model.modules()}
    handles = [module.register_forward_pre_hook(functools.partial(_pass_first, call), with_kwargs=True)
               for module, call in (watch or {}).items()]
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
        for handle in handles:
            handle.remove()
        for module, mode in training.items():
            module.training = mode
    if not count:
        raise ConfigError("batches", 0, "must be at least one")


def _pass_first(call: Callable[[torch.Tensor], None], module: nn.Module, args: tuple,
                kwargs: Mapping[str, Any]) -> None:
    call((*args, *kwargs.values())[0])
