# SPDX-License-Identifier: Apache-2.0
"""A network's figures, block by block and in sum, both forms side by side: what report.json holds of it."""

from ..metric import WHOLE, Tile, added_macs, buffered, tiles
from ..tasks import forms

__all__ = ["CURVE_ROWS", "FORMS", "SUMMED", "network_summary"]

FORMS = ("se", "tse")
# Figures of a form that are added up over a network's blocks.
SUMMED = ("elements", "added_macs", "memory_bits", "tile_buffer_bits", "first_output_latency")
# Figures whose reduction is given.
REDUCED = ("elements", "memory_bits", "tile_buffer_bits")
# Rows of a strip for which a network's buffering and MACs are given.
CURVE_ROWS = (1, 3, 5, 7, 9)


def network_summary(network, options, results):
    """A dict of `network`'s figures, JSON-serialisable.

    ``blocks`` has a dict for each with its shape, ``count``, and for ``se`` and ``tse``: ``rows`` and ``tiles``,
    ``elements`` that wait, ``added_macs`` (F for each tile), and what was measured, all None where that has failed:
    ``memory_bits`` without weights and ``tile_buffer_bits`` of these, ``first_output_latency`` in cycles, ``sram`` by
    role, ``config``. ``sum`` adds each block's figures up as often as the network has it, and is None where one is
    missing; ``reduction`` is how much less the tiled form takes, as a fraction. ``curve`` has elements and MACs by
    rows of a strip.
    """
    blocks = [_block(block, options, results) for block in network.blocks]
    total = {form: {name: _sum(blocks, form, name) for name in SUMMED} for form in FORMS}
    return {"name": network.name, "input": network.input and list(network.input), "source": network.source,
            "k": options.k, "blocks": blocks, "count": sum(block.count for block in network.blocks), "sum": total,
            "reduction": reductions(total),
            "curve": [_point(network, rows) for rows in sorted({*CURVE_ROWS, options.k})]}


def reductions(both):
    """1 - tiled / original, None where a figure is missing."""
    original, tiled = (both[form] for form in FORMS)
    return {name: None if None in (original[name], tiled[name]) else 1 - tiled[name] / original[name]
            for name in REDUCED}


def _block(block, options, results):
    both = {form: _form(block, tile, results.get(task))
            for form, tile, task in zip(FORMS, (WHOLE, Tile(rows=options.k)), forms(block, options), strict=True)}
    return {"name": block.name, "height": block.height, "width": block.width, "channels": block.channels,
            "squeeze": block.squeeze, "count": block.count, **both, "reduction": reductions(both)}


def _form(block, tile, result):
    measured = dict.fromkeys(("memory_bits", "tile_buffer_bits", "first_output_latency", "sram", "config"))
    if result is not None:
        sram = result["sram"]
        measured = {"memory_bits": sram["total_without_weights_bits"], "tile_buffer_bits": sram["tile_buffer_bits"],
                    "first_output_latency": result["first_output_latency"], "sram": sram, "config": result["config"]}
    rows, _ = tile.within(block.height, block.width)
    return {"rows": rows, "tiles": tiles(block, tile), "elements": buffered(block, tile),
            "added_macs": added_macs(block, tile), **measured}


def _sum(blocks, form, name):
    values = [(block["count"], block[form][name]) for block in blocks]
    return None if any(value is None for _, value in values) else sum(count * value for count, value in values)


def _point(network, rows):
    tile = Tile(rows=rows)
    return {"rows": rows, "elements": sum(block.count * buffered(block, tile) for block in network.blocks),
            "added_macs": sum(block.count * added_macs(block, tile) for block in network.blocks)}
