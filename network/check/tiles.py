# SPDX-License-Identifier: Apache-2.0
"""Runs each tiled block of a network on random maps, beside the reference in float64.

The blocks of the original are checked apart (:mod:`.blocks`); this finds what is wrong with their tiles.
"""

import math
from collections.abc import Iterable, Mapping

import numpy as np
import onnx

from ...golden.reference import descriptors, excite
from ...hdl.tiling import Order, Tiling
from ..match.bounds import ANY, computed_bounds
from ..match.match import NetworkBlock
from ..match.ranges import Ranges
from ..read.graph import Graph
from ..tile import tilings_by_name
from .blocks import LARGEST, LARGEST_MEAN, gate_error, noise, within
from .runtime import runner
from .subgraph import Subgraph, constant_error

__all__ = ["wrong_tiles"]

# Pixels of a line where only its mean counts, and most lines of a map that the network leaves open.
LINE, MOST_LINES = 9, 512
# Elements of a map whose size may be chosen, if that is not too few for two tiles.
ELEMENTS = 1 << 18
# Of the vectors before the activation: about its corners, and beyond them.
SIZES = (0.5, 8.0)


def wrong_tiles(model: onnx.ModelProto, blocks: Iterable[NetworkBlock],
                k: Tiling | Mapping[str, Tiling]) -> str | None:
    """The first of `blocks`, tiled in `model` as `k` says, that computes something else, and by how much.

    `k` is the tiling of all blocks, or that of each by name.

    None if there is none. Blocks are run in float32, whatever type they have. One whose map has more than LARGEST
    elements is not run.
    """
    graph, blocks = Graph(model), list(blocks)
    tilings, maps = tilings_by_name(blocks, k), computed_bounds(graph)
    for block in blocks:
        tiling = tilings[block.name]
        subgraph = Subgraph(graph, block.x, block.y, Ranges())
        error = constant_error(graph, subgraph.nodes)
        for height, width in _sizes(block, tiling):
            shape = (1, block.channels, height, width)
            if math.prod(shape) > LARGEST:
                continue
            fed = (1, height, width, block.channels) if block.channels_last else shape
            run = runner(subgraph.model([block.y], fed), [block.y], threads=1)
            for size in SIZES:
                # A quantiser may cut off numbers that the network's own maps never have.
                for bounds in dict.fromkeys((ANY, (maps.get(block.x, ANY)[0], np.inf))):
                    x = within(_random_map(block, size, height, width), bounds)
                    (y,) = run({block.x: x[None] if block.channels_last else x.transpose(2, 0, 1)[None]})
                    y = y[0] if block.channels_last else y[0].transpose(1, 2, 0)
                    difference, allowed = _difference(block, tiling, x, y, error)
                    if difference <= allowed:
                        break
                else:
                    return f"the gates of {block.name} differ by {difference:.2g}"
    return None


def _sizes(block, tiling):
    """Heights and widths of maps to run: the block's own, several where they are open."""
    columns = tiling.order is Order.COLUMNS
    own = block.fixed_size[::-1] if columns else block.fixed_size
    # So many that the last tile is a part of one, no more of them count, or the window ends before.
    several = {1, 2 * tiling.k + 1, tiling.k + tiling.most_rows, sum(tiling.window or (0,)) + 1}
    most = min(max(2 * tiling.k + 1, ELEMENTS // (LINE * block.channels)), MOST_LINES)
    lines = [own[0]] if own[0] else sorted({min(count, most) for count in several})
    if tiling.tile_width:
        line = own[1] or 2 * tiling.tile_width + 1
    else:
        # Narrower maps show the same, as the nodes don't depend on the width.
        line = min(max(2, ELEMENTS // (lines[-1] * block.channels)), own[1] or LINE, LINE)
    return [(line, count) if columns else (count, line) for count in lines]


def _random_map(block, size, height, width):
    """float32 (H, W, C) whose rows and columns differ in their means; `size` is that of the vectors which they lead to.
    """
    rows, columns = (noise((count, block.channels)) for count in (height, width + 1))
    led = rows[:MOST_LINES] @ block.float_block.w1.T
    x = noise((height, width, block.channels)) + rows[:, None] + columns[None, 1:]
    scale = min(size / (np.sqrt(np.mean(led**2)) or 1.0), LARGEST_MEAN)
    return (x * np.float32(scale)).astype(np.float32)


def _difference(block, tiling, x, y, error):
    """``(difference, allowed)`` of the gates in `y` (H, W, C) from the reference's, where it is furthest from allowed.
    """
    if x.shape != y.shape:
        return np.inf, 0.0
    form = block.float_block
    prior = np.zeros(block.channels) if form.prior is None else form.prior
    frame = x.astype(np.float64)
    if tiling.order is Order.COLUMNS:
        frame, y = frame.swapaxes(0, 1), y.swapaxes(0, 1)
    means, tiles = descriptors(frame, prior, tiling)
    hidden, gates = excite(means, form.w1, form.b1, form.w2, form.b2, form.mid, form.gate, block.ranges.stages)
    sizes = descriptors(np.abs(frame), np.abs(prior), tiling)[0] @ np.abs(form.w1.T) + np.abs(form.b1)
    allowed = gate_error(form, hidden, sizes, error)[tiles]
    change = np.abs(y - frame * (gates + form.residual)[tiles])
    difference = change / np.maximum(np.abs(frame).max(axis=(0, 1)), 1e-30)
    difference = np.where(np.isnan(difference), np.inf, difference)
    at = np.argmax(difference / allowed)
    return float(difference.flat[at]), float(allowed.flat[at])
