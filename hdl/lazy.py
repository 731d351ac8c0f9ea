# SPDX-License-Identifier: Apache-2.0
"""A package's public names, each imported from its module when it is first used."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["lazy"]


def lazy(package: str, homes: Mapping[str, str]) -> tuple[list[str], Callable[[str], Any]]:
    """``__all__`` and ``__getattr__`` of `package`; `homes` has the modules, each with its names, spaces between.

    Importing the package thus imports neither torch nor amaranth.
    """
    modules = {name: module for module, names in homes.items() for name in names.split()}

    def get(name: str) -> Any:  # a type checker can't know more
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{modules[name]}"), name)

    return sorted(modules), get
