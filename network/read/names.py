# SPDX-License-Identifier: Apache-2.0
"""Names for blocks: those that the network's own scopes give, else the name of the node that ends the block."""

import re

__all__ = ["block_names", "file_name", "unique"]

LONGEST = 200


def block_names(graph, ends):
    """A unique name for each of `ends`, which are (weight tensor, output tensor)."""
    names, used = [], set()
    for weight, y in ends:
        node = graph.producer[y]
        name = _scope(graph, weight, node) or node.name or y
        # Different blocks of one scope, or of nodes without names.
        names.append(unique(name, used, "#"))
    return names


def unique(name, used, mark):
    """`name`, or with `mark` and a number the first one that is not in the set `used`, to which it is added."""
    found, count = name, 1
    while found in used:
        count += 1
        found = f"{name}{mark}{count}"
    used.add(found)
    return found


def _scope(graph, weight, node):
    """What the paths of the first layer and of the last node have in common, as exporters of PyTorch name them."""
    layers = [reader.name for reader in graph.readers.get(weight, ())]
    if not layers or "/" not in node.name or "/" not in layers[0]:
        return None
    common = []
    for a, b in zip(layers[0].split("/")[:-1], node.name.split("/")[:-1], strict=False):
        if a != b:
            break
        common.append(a)
    return "/".join(filter(None, common)) or None


def file_name(name):
    """`name` as a folder's: letters, digits, dots, dashes, and no longer than file systems take with an ending."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name)[:LONGEST].strip("-.") or "block"
