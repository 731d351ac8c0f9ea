# SPDX-License-Identifier: Apache-2.0
"""Finds proofs in the components' package, or in a copy of it with a planted fault."""

import contextlib
import importlib
import importlib.util
import pathlib
import pkgutil
import shutil
import sys
from collections.abc import Iterable, Iterator

from ... import hdl
from ...cosim.scratch import scratch
from ...hdl import proofs
from ...hdl.config import ConfigError
from ...hdl.proofs.proof import Fault, Proof

__all__ = ["components", "faulty", "proofs_of", "select"]

COPY = "tiled_se_faulty"


def components() -> list[str]:
    """Names of the modules that have proofs."""
    names = sorted(module.name for module in pkgutil.iter_modules(proofs.__path__))
    return [name for name in names if hasattr(importlib.import_module(f"{proofs.__name__}.{name}"), "PROOFS")]


def proofs_of(component: str, package: str = hdl.__name__) -> tuple[Proof, ...]:
    """The proofs of a component in the package of that name."""
    return importlib.import_module(f"{package}.proofs.{component}").PROOFS


def select(only: Iterable[str] | None) -> list[tuple[str, int, Proof]]:
    """The (component, number, proof) of the names `only`, of components or proofs; all if it is None.

    Raises ConfigError ("only") for an unknown name.
    """
    every = [(component, number, proof) for component in components()
             for number, proof in enumerate(proofs_of(component))]
    for name in only or ():
        if not any(name in (component, proof.name) for component, _, proof in every):
            raise ConfigError("only", name, f"must be one of {', '.join(components())}, or a proof's name in the table")
    return [(component, number, proof) for component, number, proof in every
            if only is None or component in only or proof.name in only]


@contextlib.contextmanager
def faulty(fault: Fault) -> Iterator[str]:
    """The name of a package that is a copy of the components with `fault`; it exists inside the ``with`` block.

    Raises ValueError where the text to replace does not occur exactly once.
    """
    with scratch() as folder:
        copy = pathlib.Path(folder) / COPY
        shutil.copytree(pathlib.Path(hdl.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
        changed = copy / fault.file
        text = changed.read_text()
        if text.count(fault.old) != 1:
            raise ValueError(f"{fault.file} must have {fault.old!r} once, not {text.count(fault.old)} times")
        changed.write_text(text.replace(fault.old, fault.new))
        spec = importlib.util.spec_from_file_location(COPY, copy / "__init__.py",
                                                      submodule_search_locations=[str(copy)])
        sys.modules[COPY] = importlib.util.module_from_spec(spec)
        # An earlier copy had files of the same names.
        importlib.invalidate_caches()
        try:
            yield COPY
        finally:
            for name in [name for name in sys.modules if name.split(".")[0] == COPY]:
                del sys.modules[name]
