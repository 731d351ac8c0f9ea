# SPDX-License-Identifier: Apache-2.0
"""A network's figures, block by block and in sum, all forms side by side: what report.json holds of it."""

from ...hdl.config import Context, Order
from ...network.plan import entry
from ..metric import WHOLE, Tile, added_macs, buffered, tiles
from ..tasks import FORMS, RUNNING, forms

__all__ = ["CURVE_ROWS", "SUMMED", "network_summary"]

# Figures of a form that are measured, beside the memories by role and the config.
MEASURED = ("memory_bits", "tile_buffer_bits", "multipliers", "first_output_latency", "full_rate")
# Figures of a form that are added up over a network's blocks.
SUMMED = ("elements", "added_macs", "memory_bits", "tile_buffer_bits", "multipliers", "first_output_latency")
# Figures whose reduction is given.
REDUCED = ("elements", "memory_bits", "tile_buffer_bits")
# Rows of a strip for which a network's buffering and MACs are given.
CURVE_ROWS = (1, 3, 5, 7, 9)


def network_summary(network, options, results):
    """A dict of `network`'s figures, JSON-serialisable.

    ``blocks`` has a dict for each with its shape, ``count``, and for each form: ``rows`` and ``tiles``, ``elements``
    that wait, ``added_macs`` (F for each tile), and what was measured, all None where that has failed: ``memory_bits``
    without weights and ``tile_buffer_bits`` of these, ``multipliers``, ``first_output_latency`` in cycles,
    ``full_rate``, ``sram`` by role, ``config``. The forms are ``se``, ``tse`` with strips of K rows, or in each block's
    own tiling (``tiling``, as a plan has it; ``k`` is then None), and ``cumulative`` and ``causal`` with one row, or as
    many as full rate takes. ``sum`` adds each block's figures up as often as the network has it, and is None where one
    is missing. ``reduction`` is how much less than SE a form takes, as a fraction: in ``cumulative`` and ``causal``
    their own, beside the forms that of ``tse``. ``curve`` has elements and MACs by rows of a strip.
    """
    rows = None if options.differs else options.k
    blocks = [_block(block, options, results) for block in network.blocks]
    total = {form: {name: _sum(blocks, form, name) for name in SUMMED} for form in FORMS}
    return {"name": network.name, "input": network.input and list(network.input), "source": network.source,
            "k": rows, "blocks": blocks, "count": sum(block.count for block in network.blocks),
            "sum": _contexts_reduced(total), "reduction": _reduction(total, "tse"),
            "curve": [_point(network, rows) for rows in sorted({*CURVE_ROWS, *([] if rows is None else [rows])})]}


def _reduction(figures, form):
    """1 - the form's / the original's, None where a figure is missing."""
    original, other = figures["se"], figures[form]
    return {name: None if None in (original[name], other[name]) else 1 - other[name] / original[name]
            for name in REDUCED}


def _contexts_reduced(figures):
    """`figures` by form, of which those in a context have their reduction."""
    return figures | {context.value: figures[context.value] | {"reduction": _reduction(figures, context.value)}
                      for context in RUNNING}


def _block(block, options, results):
    figures = {form: _form(block, form, task, results.get(task)) for form, task in forms(block, options).items()}
    return {"name": block.name, "height": block.height, "width": block.width, "channels": block.channels,
            "squeeze": block.squeeze, "count": block.count, **_contexts_reduced(figures),
            "reduction": _reduction(figures, "tse")}


def _form(block, form, task, result):
    measured, k = dict.fromkeys((*MEASURED, "sram", "config")), task.options.k
    if result is not None:
        sram, config = result["sram"], result["config"]
        k = config["k"]
        measured = {"memory_bits": sram["total_without_weights_bits"], "tile_buffer_bits": sram["tile_buffer_bits"],
                    "multipliers": config["macs"], "first_output_latency": result["first_output_latency"],
                    "full_rate": result["full_rate"], "sram": sram, "config": config}
    if form == "tse" and block.tiling is not None:
        return _in_own_tiling(block) | measured
    tile = WHOLE if form == "se" else Tile(rows=k)
    rows, _ = tile.within(block.height, block.width)
    return {"rows": rows, "tiles": tiles(block, tile),
            "elements": 0 if form == Context.CAUSAL.value else buffered(block, tile),
            "added_macs": added_macs(block, tile), **measured}


def _in_own_tiling(block):
    """What is counted of `block` in its own tiling."""
    tiling, (lines, line) = block.tiling, (block.height, block.width)
    if tiling.order is Order.COLUMNS:
        lines, line = line, lines
    count = len(tiling.strips(lines)) * tiling.across(line)
    return {"tiling": entry(tiling), "rows": min(tiling.tile_rows, lines), "tiles": count,
            "elements": min(tiling.waiting(line), lines * line) * block.channels,
            "added_macs": count * 2 * block.channels * block.squeeze}


def _sum(blocks, form, name):
    values = [(block["count"], block[form][name]) for block in blocks]
    return None if any(value is None for _, value in values) else sum(count * value for count, value in values)


def _point(network, rows):
    tile = Tile(rows=rows)
    return {"rows": rows, "elements": sum(block.count * buffered(block, tile) for block in network.blocks),
            "added_macs": sum(block.count * added_macs(block, tile) for block in network.blocks)}
