# SPDX-License-Identifier: Apache-2.0
"""Cycle counts of a block, exactly, from its parameters. Tests hold them to the simulation.

The latencies here are what the components are built with; a component that changes its pipeline changes its constant.
"""

import dataclasses
import functools

from .config import Config, GateKind

__all__ = ["Timing"]

# Excite, counted from the cycle in which the sequencer issues an input of a layer.
ISSUE_TO_READ = 3  # until weights and hidden vector are addressed: a tile mean needs that long to be made
ISSUE_TO_DRAIN = 7  # until a pass's first accumulator leaves the MAC array, for the pass's last input
# Requantise, from an accumulator's arrival to the rounded value.
REQUANTISE = 5
# Accumulate: from the first cycle of copying out to the first cycle in which excite can read that word.
FLUSH_TO_ISSUE = 2
# Scale: from issuing a read of the tile buffer to a word in the output FIFO's reach, and what the FIFO itself takes.
SCALE = 4
# Beats under way at full rate: issued, in the pipeline, in the FIFO, and the one whose credit is on its way back.
CREDITS = SCALE + 1
# Tiles that the scale FIFO holds: one whose gates are used, one whose gates are made.
GATE_TILES = 2
# Tiles that have ended but are not delivered: those, one whose sums are held, one that waits for these to be read.
TILES_UNDER_WAY = GATE_TILES + 2


@dataclasses.dataclass(frozen=True)
class Timing:
    """Cycle counts of the block that `config` describes, while nothing stalls it."""

    config: Config

    @property
    def mid_latency(self):
        """From a requantised value to the hidden memory's write."""
        return 6 if self.config.mid.tabulated else 1

    @property
    def gate_latency(self):
        """From a requantised value to the gate."""
        return 4 if self.config.gate.kind is GateKind.SIGMOID else 1

    @functools.cached_property
    def pass_cycles(self):
        """Cycles from one pass's start to the next one's, for each layer.

        A pass takes its inputs one a cycle; its accumulators leave one a cycle while the next pass runs, which must not
        be shorter than that.
        """
        config = self.config
        inputs = (config.channels, config.squeeze)
        return tuple(n if p == 1 else max(n, config.macs) for n, p in zip(inputs, config.passes, strict=True))

    @property
    def layer_cycles(self):
        """Cycles in which each layer occupies the MAC units."""
        inputs = (self.config.channels, self.config.squeeze)
        return tuple((p - 1) * cycles + n
                     for p, cycles, n in zip(self.config.passes, self.pass_cycles, inputs, strict=True))

    @property
    def gap(self):
        """Cycles from layer 1's last input to layer 2's first, at least 1.

        Layer 2 starts while layer 1's last pass drains: input i is read just after it was written.
        """
        written = ISSUE_TO_DRAIN + REQUANTISE + self.mid_latency
        return max(1, written + 1 - ISSUE_TO_READ - (self.config.passes[0] - 1) * self.config.macs)

    @property
    def excite_cycles(self):
        """Cycles that a tile occupies the MAC units: tiles can't follow each other faster than that (see `period`)."""
        return self.layer_cycles[0] + self.gap - 1 + self.layer_cycles[1]

    @property
    def gates_latency(self):
        """Cycles from layer 2's last input to the tile's last gate."""
        last_pass = self.config.channels - (self.config.passes[1] - 1) * self.config.macs
        return ISSUE_TO_DRAIN + last_pass - 1 + REQUANTISE + self.gate_latency

    def period(self, words):
        """Cycles from one tile to the next, on average over many tiles of `words` beats, while nothing stalls them.

        Each of the scale FIFO's places is taken from layer 2's first input to the tile's last read.
        """
        place = self.layer_cycles[1] + self.gates_latency + words
        return max(words, self.excite_cycles, place / GATE_TILES)

    @property
    def keeps_pace(self):
        """Whether gates for tiles of k rows are made as fast as such tiles can arrive."""
        return self.period(self.config.tile_words) == self.config.tile_words

    @property
    def tile_latency(self):
        """Cycles from the one that takes a tile's last beat to the one that reads the tile's first word for output."""
        return 1 + FLUSH_TO_ISSUE + self.excite_cycles - 1 + self.gates_latency + 1

    @property
    def output_latency(self):
        """Cycles from the one that takes a tile's last beat to the one that offers the tile's first beat."""
        return self.tile_latency + SCALE

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
