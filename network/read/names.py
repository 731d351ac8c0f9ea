# SPDX-License-Identifier: Apache-2.0
"""Names of blocks: the network's own scope if the exporter wrote one, else the name of the block's last node."""

import os
import re

from .graph import Graph

__all__ = ["block_name", "file_name", "unique"]

# Characters of a file name: file systems allow 255, and an ending follows.
LONGEST = 200


def block_name(graph: Graph, weight: str, y: str, used: set[str]) -> str:
    """A name for the block with these tensors that is not in `used`, to which it is added."""
    node = graph.producer[y]
    # Several blocks may share a scope, and nodes may have no name.
    return unique(_scope(graph, weight, node) or node.name or y, used, "#")


def unique(name: str, used: set[str], mark: str) -> str:
    """`name`, with `mark` and a number appended if it is in `used`; the result is added to `used`."""
    candidate, count = name, 1
    while candidate in used:
        count += 1
        candidate = f"{name}{mark}{count}"
    used.add(candidate)
    return candidate


def _scope(graph, weight, node):
    """The common path of the first layer's name and the last node's, as PyTorch's exporters write it; or None."""
    layers = [reader.name for reader in graph.readers.get(weight, ())]
    if not layers or "/" not in node.name or "/" not in layers[0]:
        return None
    common = os.path.commonprefix([name.split("/")[:-1] for name in (layers[0], node.name)])
    return "/".join(filter(None, common)) or None


def file_name(name: str) -> str:
    """`name` as a file name: letters, digits, dots and dashes, at most LONGEST characters."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name)[:LONGEST].strip("-.") or "block"
