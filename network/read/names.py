# SPDX-License-Identifier: Apache-2.0
"""Names of blocks: the network's own scope if the exporter wrote one, else the name of the block's last node."""

import os
import re
from collections.abc import Iterable

from .graph import Graph

__all__ = ["block_name", "file_name", "folder_names", "module_name", "unique"]

# Characters of a file name. With "tse_" before it and a number after it, it is a module's name of 128 at most, as NAME
# takes it.
LONGEST = 120


def block_name(graph: Graph, weight: str, y: str, used: set[str]) -> str:
    """A name for the block with these tensors that is not in `used`, to which it is added."""
    node, scope = graph.producer[y], ""
    layers = [reader.name for reader in graph.readers.get(weight, ())]
    if layers and "/" in node.name and "/" in layers[0]:
        # The common path of the first layer's name and the last node's, as PyTorch's exporters write it.
        scope = "/".join(filter(None, os.path.commonprefix([name.split("/")[:-1] for name in (layers[0], node.name)])))
    # Several blocks may share a scope, and nodes may have no name.
    return unique(scope or node.name or y, used, "#")


def unique(name: str, used: set[str], mark: str) -> str:
    """`name`, with `mark` and a number appended if it is in `used`; the result is added to `used`."""
    candidate, count = name, 1
    while candidate in used:
        count += 1
        candidate = f"{name}{mark}{count}"
    used.add(candidate)
    return candidate


def file_name(name: str) -> str:
    """`name` as a file name: letters, digits, dots and dashes, at most LONGEST characters."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name)[:LONGEST].strip("-.") or "block"


def folder_names(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """A file name for each of `names`, none of `taken` and no two alike.

    Names are alike where they differ only in capitals, which some file systems don't tell apart, or in characters that
    an identifier of Verilog can't have: `module_name` of each is another, too.
    """
    used, found = {module_name(name).lower() for name in taken}, {}
    for name in names:
        stem = candidate = file_name(name)
        count = 1
        while module_name(candidate).lower() in used:
            count += 1
            candidate = f"{stem}-{count}"
        used.add(module_name(candidate).lower())
        found[name] = candidate
    return found


def module_name(name: str) -> str:
    """The file name `name` as the name of a Verilog module."""
    return "tse_" + re.sub(r"[^A-Za-z0-9_]", "_", name)
