# SPDX-License-Identifier: Apache-2.0
"""Table 1 in RTL: the block that stands for each of its rows in each place of the network, and where the bits are."""

import dataclasses
import re

from ...gen.options import BlockOptions
from ...hdl.config import Context, Order
from ...hdl.sizing import DEFAULT_LANES, lanes_within
from ..metric import parse_tile
from ..networks import load_networks
from ..tasks import Kind, Task

__all__ = ["ENOUGH", "PARTS", "Table", "TileHardware", "block_options"]

# Where the bits beyond the paper's Buffer are, and how a line names that.
PARTS = {
    "order": "what waits beside a tile as pixels come row by row", "slack": "beats that come while gates are computed",
    "sums": "the sums of tiles", "gates": "their gates", "other": "hidden vector and queues"}
# Up to this factor the memory is the paper's Buffer and little else.
ENOUGH = 1.1


@dataclasses.dataclass(frozen=True)
class TileHardware:
    """A row of Table 1 in RTL, summed over the blocks of its network.

    Attributes
    ----------
    tile : str
    lanes : int
        The most of a block.
    buffer_bits, real_bits : int
        8 bits for each element of Buffer, as the paper counts and in the real network.
    memory_bits : int
        Of all memories in the netlists without those of the weights.
    parts : dict of str to int
        ``memory_bits`` less ``buffer_bits`` by PARTS. ``order`` is less than 0 where fewer elements wait than the paper
        counts.
    multipliers, blocks, slow : int
        Over all blocks; how many these are; how many of them take less than a beat a cycle.
    """

    tile: str
    lanes: int
    buffer_bits: int
    real_bits: int
    memory_bits: int
    parts: dict
    multipliers: int
    blocks: int
    slow: int

    @property
    def over_buffer(self):
        """The memory over the paper's Buffer."""
        return self.memory_bits / self.buffer_bits

    @property
    def share(self):
        """Each of PARTS as a fraction of the paper's Buffer."""
        return {part: bits / self.buffer_bits for part, bits in self.parts.items()}

    @property
    def reasons(self):
        """The largest of PARTS, without which the memory would be ENOUGH times the paper's Buffer at most."""
        rest, found = self.over_buffer, []
        for part, share in sorted(self.share.items(), key=lambda pair: -pair[1]):
            if rest <= ENOUGH:
                break
            rest -= share
            found.append(part)
        return found

    def as_json(self):
        return dataclasses.asdict(self) | {
            "over_buffer": self.over_buffer, "share": self.share, "reasons": [PARTS[part] for part in self.reasons]}


class Table:
    """Table 1 in RTL: those :class:`.TileRow` objects of `rows` that have tiles, with one lane and with up to `lanes`.

    `sized` are options that size the hardware. ``tasks`` are the measurements that it takes.
    """

    def __init__(self, rows, lanes=DEFAULT_LANES, **sized):
        self._rows = [row for row in rows if row.buffer is not None]
        self._networks = {network.name: network for network in load_networks(",".join(
            dict.fromkeys(row.network for row in self._rows)))}
        self._lanes, self._sized = tuple(dict.fromkeys((1, lanes))), sized
        self.tasks = [task for lanes in self._lanes for row in self._rows for _, task in self._blocks(row, lanes)]

    def _blocks(self, row, lanes):
        """How many blocks of a kind there are, and the Task for it, for each kind of `row`'s network."""
        return [(block.count, Task(Kind.MEMORY, block_options(row.tile, block, lanes, **self._sized)))
                for block in self._networks[row.network].blocks]

    def rows(self, results):
        """A :class:`TileHardware` for each row and number of lanes; those that have failed are left out."""
        found = ((row, lanes, self._blocks(row, lanes)) for lanes in self._lanes for row in self._rows)
        return [_summed(row, lanes, [(count, results[task]) for count, task in blocks])
                for row, lanes, blocks in found if all(task in results for _, task in blocks)]


def block_options(tile, block, lanes, **sized):
    """The :class:`BlockOptions` of `block` with `tile`, text as in Table 1, and at most so many `lanes`.

    `sized` are options that size the hardware.
    """
    shape = dict(height=1, frames=1, width=block.width) | _tiling(tile, block)
    return BlockOptions(**shape, channels=block.channels, squeeze=block.squeeze,
                        lanes=lanes_within(block.channels, lanes), **sized)


def _tiling(text, block):
    """The options that make tiles like `text`; of two that are the same hardware, the one with fewer options."""
    if window := re.fullmatch(r"(\d+)xW-(upper|middle)", text):
        count = min(int(window[1]), block.height)
        first = (block.height - count) // 2 if window[2] == "middle" else 0
        return dict(context=Context.WINDOW, window=(first, count))
    tile = parse_tile(text)
    rows, columns = tile.within(block.height, block.width)
    if tile.rows is None and tile.columns is not None:
        return dict(order=Order.COLUMNS, k=columns, height=block.height)
    return dict(k=rows) if columns == block.width else dict(k=rows, tile_width=columns)


def _summed(row, lanes, found):
    """The :class:`TileHardware` of `row` from pairs of a count and a block's figures."""
    def total(value):
        return sum(count * value(result) for count, result in found)

    def bits(role):
        return total(lambda result: result["sram"][f"{role}_bits"])

    buffer_bits = 8 * int(row.buffer.by_rule)
    parts = {"order": bits("bound") - buffer_bits, "slack": bits("tile_buffer") - bits("bound"),
             "sums": bits("accumulator"), "gates": bits("scale_fifo"), "other": bits("other")}
    return TileHardware(
        row.tile, lanes, buffer_bits, 8 * int(row.buffer.real), bits("total_without_weights"), parts,
        total(lambda result: result["config"]["macs"]), sum(count for count, _ in found),
        sum(count for count, result in found if not result["full_rate"]))
