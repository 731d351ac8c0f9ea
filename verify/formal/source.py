# SPDX-License-Identifier: Apache-2.0
"""Where proofs come from: the package of the components, or a copy of it that has a fault."""

import contextlib
import importlib
import importlib.util
import pathlib
import pkgutil
import shutil
import sys
import tempfile

from ... import hdl
from ...hdl import proofs

__all__ = ["components", "faulty", "proofs_of"]

COPY = "tiled_se_faulty"


def components():
    """Names of the modules that have proofs."""
    names = sorted(found.name for found in pkgutil.iter_modules(proofs.__path__))
    return [name for name in names if hasattr(importlib.import_module(f"{proofs.__name__}.{name}"), "PROOFS")]


def proofs_of(component, package=hdl.__name__):
    """The proofs of a component, of the package of that name."""
    return importlib.import_module(f"{package}.proofs.{component}").PROOFS


@contextlib.contextmanager
def faulty(fault):
    """A copy of the components with that fault: the name of its package, which exists inside the block.

    Raises
    ------
    ValueError
        Where the source has no such text, or more than one.
    """
    with tempfile.TemporaryDirectory(prefix="tiled-se-fault-") as folder:
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
        # The copy before it had files of the same names.
        importlib.invalidate_caches()
        try:
            yield COPY
        finally:
            for name in [name for name in sys.modules if name.split(".")[0] == COPY]:
                del sys.modules[name]
