# SPDX-License-Identifier: Apache-2.0
"""Cycle counts of a block, exactly, from its parameters. Tests hold them to the simulation.

What each component takes is in `latency`; here it is put together.
"""

import dataclasses
import functools

from .config import Config
from .latency import MAC, MEANS, MULTIPLY, gate_latency, mid_latency, ram_latency, requantise_latency

__all__ = ["Timing"]

# From the sequencer's issue to the memory of sums' address, and from a mean to the MAC units' operand.
ISSUE, OPERAND = 1, 1
# From a layer's last input to the next layer's first at least.
LAYER_GAP = 2
# Scale, behind the memories: the deviation from zero; behind the multiplier: the rounding.
DEVIATE, ROUND = 1, 1
# Through the output queue: its memory, its register.
QUEUE = 2
# Tiles that the scale FIFO holds: one whose gates are used, one whose gates are made.
GATE_TILES = 2
# Tiles that have ended but are not delivered: those, one whose sums are held, one that waits for these to be read.
TILES_UNDER_WAY = GATE_TILES + 2


@dataclasses.dataclass(frozen=True)
class Timing:
    """Cycle counts of the block that `config` describes, while nothing stalls it."""

    config: Config

    @property
    def sums_latency(self):
        """Of the memories of sums; also from the first cycle of copying sums out to a tile's first input's issue."""
        return ram_latency(self.config.groups)

    @property
    def hidden_latency(self):
        """Of the memory of hidden values."""
        return ram_latency(self.config.squeeze)

    @property
    def issue_to_operand(self):
        """From an input's issue to the MAC units' operand: a tile mean needs that long to be made."""
        return ISSUE + self.sums_latency + MEANS + OPERAND

    @property
    def issue_to_value(self):
        """From the issue of a pass's last input to the pass's first requantised value."""
        return self.issue_to_operand + MAC + requantise_latency(self.config)

    @functools.cached_property
    def pass_cycles(self):
        """Cycles from one pass's start to the next one's, for each layer.

        A pass takes its inputs one a cycle, and one cycle in which its accumulators are moved away; these leave one a
        cycle while the next pass runs, which must not be shorter than that.
        """
        config = self.config
        inputs = (config.channels, config.squeeze)
        return tuple(n if p == 1 else max(n + 1, config.macs) for n, p in zip(inputs, config.passes, strict=True))

    @property
    def layer_cycles(self):
        """Cycles in which each layer occupies the MAC units."""
        inputs = (self.config.channels, self.config.squeeze)
        return tuple((p - 1) * cycles + n
                     for p, cycles, n in zip(self.config.passes, self.pass_cycles, inputs, strict=True))

    @property
    def gap(self):
        """Cycles from layer 1's last input to layer 2's first, at least ``LAYER_GAP``.

        Layer 2 starts while layer 1's last pass drains: input i is read just after it was written.
        """
        written = self.issue_to_value + mid_latency(self.config)
        addressed = self.issue_to_operand - OPERAND - self.hidden_latency
        return max(LAYER_GAP, written + 1 - addressed - (self.config.passes[0] - 1) * self.config.macs)

    @property
    def excite_cycles(self):
        """Cycles that a tile occupies the MAC units: tiles can't follow each other faster than that (see `period`)."""
        return self.layer_cycles[0] + self.gap - 1 + self.layer_cycles[1] + LAYER_GAP - 1

    @property
    def gates_latency(self):
        """Cycles from layer 2's last input to the tile's last gate."""
        last_pass = self.config.channels - (self.config.passes[1] - 1) * self.config.macs
        return self.issue_to_value + last_pass - 1 + gate_latency(self.config)

    def _gate_cycle(self, channel):
        """When a gate comes, counted from channel 0's."""
        number, place = divmod(channel, self.config.macs)
        return number * self.pass_cycles[1] + place

    @property
    def trigger(self):
        """The channel with whose gate reading the tile may start.

        Reading takes a group a cycle, and gates come a channel a cycle at most: if the last group's are there in time,
        then all are.
        """
        config = self.config
        earliest = self._gate_cycle(config.channels - 1) - (config.groups - 1)
        if earliest <= 0:
            return 0
        number, place = divmod(earliest, self.pass_cycles[1])
        return min(number * config.macs + min(place, config.macs), config.channels - 1)

    @property
    def lead(self):
        """Cycles that reading starts before a tile's last gate could be read."""
        return self._gate_cycle(self.config.channels - 1) - self._gate_cycle(self.trigger)

    @property
    def gates_cycles(self):
        """From layer 2's first input to the tile's first read."""
        return self.layer_cycles[1] - 1 + self.gates_latency + 1 - self.lead

    def period(self, words):
        """Cycles from one tile to the next, on average over many tiles of `words` beats, while nothing stalls them.

        Each of the scale FIFO's places is taken from the cycle before layer 2's first input to the tile's last read. A
        tile buffer that holds n full tiles makes n of them wait for what its slack is short of the latency.
        """
        pace = max(words, self.excite_cycles, (1 + self.gates_cycles + words) / GATE_TILES)
        if words != self.config.tile_words:
            return pace
        # A tile can be taken once the one n before it is read; n tiles and a latency thus pass in n periods.
        tiles = self.buffer_words // words
        rest = self.buffer_words - tiles * words
        return max(pace, (words + self.tile_latency - rest) / tiles)

    @property
    def keeps_pace(self):
        """Whether gates for tiles of k rows are made as fast as such tiles can arrive."""
        return self.period(self.config.tile_words) == self.config.tile_words

    @property
    def tile_latency(self):
        """Cycles from the one that takes a tile's last beat to the one that reads the tile's first word for output."""
        return 1 + self.sums_latency + self.layer_cycles[0] + self.gap - 1 + self.gates_cycles

    @property
    def read_latency(self):
        """From a read of tile buffer and scale FIFO to data and gates."""
        return max(ram_latency(self.buffer_words), ram_latency(GATE_TILES * self.config.groups))

    @property
    def scale_latency(self):
        """From that read to the output queue's input."""
        return self.read_latency + DEVIATE + MULTIPLY + ROUND

    @property
    def output_latency(self):
        """Cycles from the one that takes a tile's last beat to the one that offers the tile's first beat."""
        return self.tile_latency + self.scale_latency + QUEUE

    @property
    def credits(self):
        """Beats under way at full rate: read and not yet given, and the one whose credit is on its way back."""
        return self.scale_latency + QUEUE + 1

    @property
    def full_rate(self):
        """Whether tiles of k rows, back to back, are taken and given at a beat a cycle."""
        return self.keeps_pace and self.buffer_slack >= self.tile_latency

    @property
    def buffer_slack(self):
        """Words of the tile buffer beyond a tile: by default those that arrive while a tile waits for its gates."""
        return self.tile_latency if self.config.slack is None else self.config.slack

    @property
    def buffer_words(self):
        """Depth of the tile buffer."""
        return self.config.tile_words + self.buffer_slack
