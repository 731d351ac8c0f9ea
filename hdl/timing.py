# SPDX-License-Identifier: Apache-2.0
"""Exact cycle counts of a block, from its parameters. Tests compare them with the simulation.

`latency` has the cycles of each component; this module adds them up.
"""

import dataclasses
import functools

from .config import Config, Context
from .latency import (
    READABLE,
    gate_latency,
    limbs,
    mac_latency,
    means_latency,
    mid_latency,
    prior_wait,
    product_latency,
    ram_latency,
    requantise_latency,
)
from .patch_period import keeps_up, row_period

__all__ = ["Timing"]

# Registers from the sequencer's issue to the address of the memory of sums, and from a mean to the MAC units' operand.
ISSUE, OPERAND = 1, 1
# Least cycles from a layer's last input to the next layer's first input.
LAYER_GAP = 2
# Scale: the deviation from zero, after the memories; after the multiplier the rounding, and the saturation of outputs
# with a format of their own.
DEVIATE, ROUND, SATURATE = 1, 1, 1
# Through the output queue: its memory and its register.
QUEUE = 2
# Tiles in the scale FIFO: one whose gates are in use, one whose gates are computed.
GATE_TILES = 2
# Bands of tiles side by side that have ended but not left: one that is read, one whose gates are computed, and one more
# for short bands.
BANDS_UNDER_WAY = 3
# Tiles that have ended but not left: those two, one whose sums excite holds, one whose sums wait for excite.
TILES_UNDER_WAY = GATE_TILES + 2


@dataclasses.dataclass(frozen=True)
class Timing:
    """Cycle counts of the block that `config` describes, while nothing stalls it."""

    config: Config

    @property
    def sums_latency(self):
        """Latency of the memories of sums."""
        return ram_latency(self.config.groups)

    @property
    def start_latency(self):
        """Cycles from the start of handing sums over to the tile's first issued input.

        The inputs follow the sums as they arrive; a division, of which each bit takes a cycle, comes before them.
        """
        return self.config.reciprocal_bits + 1 if self.config.context.running else self.sums_latency

    @property
    def hidden_latency(self):
        """Latency of the memory of hidden values."""
        return ram_latency(self.config.squeeze)

    @property
    def issue_to_operand(self):
        """From an input's issue to the MAC units' operand: as long as a tile mean takes."""
        return ISSUE + prior_wait(self.config) + self.sums_latency + means_latency(self.config) + OPERAND

    @property
    def issue_to_value(self):
        """From the issue of a pass's last input to the pass's first requantised value."""
        return self.issue_to_operand + mac_latency(self.config) + requantise_latency(self.config)

    @functools.cached_property
    def pass_cycles(self):
        """Cycles from one pass's start to the next one's, for each layer.

        A pass takes one cycle for each input, and one to move its accumulators away. These leave one a cycle while the
        next pass runs, which must not be shorter than that.
        """
        config = self.config
        inputs = (config.channels, config.squeeze)
        return tuple(n if p == 1 else max(n + 1, config.macs) for n, p in zip(inputs, config.passes, strict=True))

    @property
    def layer_cycles(self):
        """Cycles that each layer occupies the MAC units."""
        inputs = (self.config.channels, self.config.squeeze)
        return tuple((p - 1) * cycles + n
                     for p, cycles, n in zip(self.config.passes, self.pass_cycles, inputs, strict=True))

    @property
    def gap(self):
        """Cycles from layer 1's last input to layer 2's first, at least ``LAYER_GAP``.

        Layer 2 starts while the accumulators of layer 1's last pass leave: it reads input i just after it was written.
        """
        written = self.issue_to_value + mid_latency(self.config)
        addressed = self.issue_to_operand - OPERAND - self.hidden_latency
        return max(LAYER_GAP, written + 1 - addressed - (self.config.passes[0] - 1) * self.config.macs)

    @property
    def excite_cycles(self):
        """Cycles that a tile occupies the MAC units: the least period of tiles (see `period`)."""
        return self.layer_cycles[0] + self.gap - 1 + self.layer_cycles[1] + LAYER_GAP - 1

    @property
    def gates_latency(self):
        """Cycles from layer 2's last input to the tile's last gate."""
        last_pass = self.config.channels - (self.config.passes[1] - 1) * self.config.macs
        return self.issue_to_value + last_pass - 1 + gate_latency(self.config)

    def _gate_cycle(self, channel):
        """Cycles from channel 0's gate to that of `channel`."""
        number, place = divmod(channel, self.config.macs)
        return number * self.pass_cycles[1] + place

    @property
    def trigger(self):
        """The channel after whose gate reading of the tile may start.

        Reading takes one group a cycle, and at most one gate comes a cycle: if the last group's gates are in time, all
        are.
        """
        config = self.config
        earliest = self._gate_cycle(config.channels - 1) - (config.groups - 1)
        if earliest <= 0:
            return 0
        number, place = divmod(earliest, self.pass_cycles[1])
        return min(number * config.macs + min(place, config.macs), config.channels - 1)

    @property
    def lead(self):
        """Cycles that reading gains by starting at `trigger` instead of after a tile's last gate."""
        return self._gate_cycle(self.config.channels - 1) - self._gate_cycle(self.trigger)

    @property
    def gates_cycles(self):
        """Cycles from layer 2's first input to the tile's first read."""
        return self.layer_cycles[1] - 1 + self.gates_latency + 1 - self.lead

    def period(self, words):
        """Average cycles from one tile to the next, over many tiles of `words` beats, while nothing stalls them.

        A tile holds its place in the scale FIFO from the cycle before layer 2's first input to its last read. If the
        tile buffer holds n full tiles and its slack is shorter than the latency, each n tiles lose the difference once.

        Of tiles side by side it is the time from one row of them to the next; where they are held up, it is about that.
        """
        if self.config.tiles_across > 1:
            return row_period(self, words, GATE_TILES)
        pace = max(words, self.excite_cycles, (1 + self.gates_cycles + words) / GATE_TILES)
        if self.config.context.running:
            # Sums that are divided first occupy their memory for longer, and a tile is under way for longer: the last
            # but TILES_UNDER_WAY must have been read. A causal tile's sums are those of the tile before.
            under_way = TILES_UNDER_WAY + (self.config.context is Context.CAUSAL)
            pace = max(pace, self.start_latency + self.layer_cycles[0] + 1,
                       (self.tile_latency + 2 * words) / under_way)
        if words != self.config.tile_words:
            return pace
        # A tile can be taken once the n-th tile before it is read, so n tiles and a latency pass in n periods.
        tiles = self.buffer_words // words
        rest = self.buffer_words - tiles * words
        # A causal tile is read while it is taken.
        tiles += self.config.context is Context.CAUSAL
        return max(pace, (words + self.tile_latency - rest) / tiles)

    @property
    def keeps_pace(self):
        """Whether gates for tiles of k rows are computed as fast as such tiles can arrive."""
        words = self.config.tile_words
        # A causal frame's first sums, the prior's, are handed over a cycle later than others: after its first beat.
        if self.config.context is Context.CAUSAL and words < self.start_latency + self.layer_cycles[0] + 2:
            return False
        if self.period(words) != words:
            return False
        one_row = self.config.tiles_across > 1 and not self.config.banded
        return not one_row or keeps_up(self, GATE_TILES, TILES_UNDER_WAY, LAYER_GAP)

    @property
    def tile_latency(self):
        """Cycles from a tile's last input beat to the read of its first beat from the tile buffer."""
        return 1 + self.band_wait + self.start_latency + self.layer_cycles[0] + self.gap - 1 + self.gates_cycles

    @property
    def band_sums_latency(self):
        """Latency of the memory of the sums of a band."""
        return ram_latency(self.config.tiles_across * self.config.groups)

    @property
    def band_wait(self):
        """Cycles by which that memory is slower than the accumulator's; 0 if there is none."""
        return self.band_sums_latency - ram_latency(self.config.groups) if self.config.banded else 0

    @property
    def gate_places(self):
        """Tiles in the scale FIFO.

        All tiles of a band are in use until its last row is read. The next band's first tile then gets the place of
        this band's first one, if what is left of the row takes longer than its gates; else one more place.
        """
        config = self.config
        if not config.banded:
            return GATE_TILES
        rest = (config.width - config.columns) * config.groups
        return config.tiles_across + (rest <= self.gates_cycles)

    @property
    def segment_words(self):
        """Beats that a row has of a tile."""
        return self.config.columns * self.config.groups

    @property
    def sums_in_time(self):
        """Whether a band's sums are written before the next row needs them. Else the input waits a cycle for each."""
        config = self.config
        return not config.banded or (config.width - config.columns) * config.groups > self.band_sums_latency

    @property
    def read_latency(self):
        """Cycles from a read of tile buffer and scale FIFO to the data."""
        return max(ram_latency(self.buffer_words), ram_latency(self.gate_places * self.config.groups))

    @property
    def scale_latency(self):
        """Cycles from that read to the output queue's input."""
        product = product_latency(limbs(self.config.gate_bits))
        return self.read_latency + DEVIATE + product + ROUND + (SATURATE if self.config.requantised else 0)

    @property
    def output_latency(self):
        """Cycles from a tile's last input beat to the offer of its first output beat."""
        return self.tile_latency + self.scale_latency + QUEUE

    @property
    def first_output_latency(self):
        """Cycles from a frame's first input beat to its first output beat, if its last needed row comes without a
        pause and it meets an empty block.
        """
        config = self.config
        waiting = config.waiting(config.width) * config.groups
        # Where sums are not written in time, the input waits after each patch's part of a row.
        paused = 0 if self.sums_in_time else (config.k - 1) * config.tiles_across
        # A causal frame's first gates start with its first beat.
        return max(waiting, 1) - 1 + paused + self.output_latency

    @property
    def credits(self):
        """Credits for full rate: beats that are read and have not left, and one whose credit is on its way back."""
        return self.scale_latency + QUEUE + 1

    @property
    def full_rate(self):
        """Whether tiles of k rows, back to back, enter and leave at a beat a cycle.

        Of patches of several rows, which end one after the other in one row, excite must take none longer than its
        part of that row comes. (With more slack it catches up in other rows, but not before the first output.)
        """
        if self.config.banded and self.excite_cycles > self.segment_words:
            return False
        return self.keeps_pace and self.buffer_slack >= self.full_slack

    @property
    def waiting_words(self):
        """Beats that must wait for the gates of a tile; in CAUSAL, as many as a beat takes through the buffer."""
        config = self.config
        return READABLE + 1 if config.context is Context.CAUSAL else config.waiting(config.width) * config.groups

    @property
    def full_slack(self):
        """Slack for full rate: the beats that arrive while gates are computed.

        A causal frame's first gates are computed from its first beat on, which is in the buffer itself.
        """
        if self.config.context is Context.CAUSAL:
            return max(0, self.tile_latency + 1 - self.waiting_words)
        return self.tile_latency

    @property
    def buffer_slack(self):
        """Words of the tile buffer beyond those that must wait: by default what full rate takes."""
        return self.full_slack if self.config.slack is None else self.config.slack

    @property
    def buffer_words(self):
        """Depth of the tile buffer."""
        return self.waiting_words + self.buffer_slack
