# SPDX-License-Identifier: Apache-2.0
"""The schedule of patches of several rows: when `PatchIngress` takes beats, and `PatchScale` reads them."""

import dataclasses
import itertools

import numpy as np

from .config import Config
from .timing import BANDS_UNDER_WAY, LAYER_GAP, Timing

__all__ = ["NEVER", "PatchRun", "one_a_cycle"]

# A time before every event.
NEVER = -(1 << 40)


def one_a_cycle(earliest):
    """The cycles of events of which each has an `earliest` one and comes after the event before it."""
    index = np.arange(len(earliest))
    return np.maximum.accumulate(earliest - index) + index


@dataclasses.dataclass(frozen=True)
class _Band:
    """Rows of patches side by side, of which `first` is the first beat; `segments` has each patch's beats of a row."""

    config: Config
    first: int
    rows: int
    segments: list[tuple[int, int]]

    @property
    def early(self):
        return self.rows < self.config.k

    def segment(self, row, patch):
        """The beats of a patch in a row: the first one, and the first one after them."""
        start = self.first + row * self.config.width * self.config.groups
        first, stop = self.segments[patch]
        return start + first, start + stop


class PatchRun:
    """Cycles in which each beat is ``taken``, and in which it is ``read`` from the tile buffer: int64 arrays.

    A patch is *sent* in the cycle before excite starts with it. What is sent when depends on the beats that come, and
    when those come depends on what was sent before: both are computed in turns.
    """

    def __init__(self, config, count):
        self.config, self.timing = config, Timing(config)
        self.segments = [(first * config.groups, stop * config.groups) for first, stop in config.spans(config.width)]
        self.taken, self.read = np.empty(count, np.int64), np.full(count, NEVER)
        # Beats taken, the first cycle for the next one; beats read.
        self.count, self.after, self.known = 0, 0, 0
        # When patches give back their places for gates, and when bands have been read.
        self.released, self.bands, self.bands_read = [], 0, []
        # Of the patch that was sent last: when it was, when its sums were read last, when its last input was issued.
        self.sent, self.sums_read, self.issued, self.patches = NEVER, NEVER, NEVER, 0
        # The last cycle in which its sums were read from the memory of the band.
        self.reading = NEVER
        # Patches that wait for excite: band, number in it, and the cycle from which it waits.
        self.pending = []
        # Since then: cycles with a beat after which a first pixel in a later row comes, and flushes.
        self.held, self.flushes = set(), []

    def frame(self, height, pause):
        """Take the beats of a frame."""
        config = self.config
        for start in range(0, height, config.k):
            band = _Band(config, self.count, min(config.k, height - start), self.segments)
            if self.count and not start:
                self.after = max(self.after, int(self.taken[self.count - 1]) + 1 + pause)
            # Two registers lie between a band's release and the input: the count of bands, and ready itself.
            if self.bands >= BANDS_UNDER_WAY:
                self.after = max(self.after, self.bands_read[self.bands - BANDS_UNDER_WAY] + 2)
            for row, patch in itertools.product(range(band.rows), range(config.tiles_across)):
                self._segment(band, row, patch)
            self.bands += 1

    def finish(self):
        """Read the beats that were not read yet."""
        while self.pending:
            self._send()

    def _segment(self, band, row, patch):
        config = self.config
        first, stop = band.segment(row, patch)
        beat = self._first_pixel(first) if row else first
        self._know(stop - 1)
        depth, index = self.timing.buffer_words, np.arange(beat, stop)
        earliest, replaces = np.full(len(index), self.after), index >= depth
        earliest[replaces] = np.maximum(self.after, self.read[index[replaces] - depth] + 1)
        self.taken[beat:stop] = one_a_cycle(earliest)
        self.count, end = stop, int(self.taken[stop - 1])
        last_row, last_patch = row == band.rows - 1, patch == config.tiles_across - 1
        if (row or last_patch) and not (last_row and last_patch):
            self.held.add(end)
        while self.pending and self._candidate() < end:
            self._send()
        flush = self._flush(row, patch, end)
        self.after = max(flush, 0 if self.timing.sums_in_time else end + 2)
        if last_row and not band.early:
            if not self.pending and end > self.sums_read:
                self._start(band, patch, end)
            else:
                self.pending.append((band, patch, end + 1))
        elif last_row and last_patch:
            # All patches of a band that ends early wait, once those of the band before have been sent.
            self.finish()
            load = max(flush, self.sent + 1)
            self.pending = [(band, number, load + 1) for number in range(config.tiles_across)]
            self.after = load + 1

    def _first_pixel(self, first):
        """Take beats of a first pixel, whose sums are read, while others may be read for excite; returns the next."""
        beat, stop = first, first + self.config.groups
        while beat < stop and (self.pending or self.after <= self.reading):
            self._know(beat)
            cycle = max(self.after, self._replaced(beat) + 1, self.reading + 1)
            while self.pending and self._candidate() < cycle:
                self._send()
                cycle = max(cycle, self.reading + 1)
            self.taken[beat] = cycle
            beat, self.after = beat + 1, cycle + 1
            if beat < stop:
                self.held.add(cycle)
        return beat

    def _flush(self, row, patch, end):
        """When the sums of a segment that ended in cycle `end` are handed to the memory of the band's sums."""
        flush = end + 1
        while not row and self.pending and self.pending[0][1] <= patch:
            # They would overwrite sums that are still to be sent.
            self._send()
            flush = max(end + 1, self.sent + 1) + 1
        self.flushes = [*(self.flushes if self.pending else self.flushes[-3:]), flush]
        return flush

    def _replaced(self, beat):
        """When the word is read whose place in the tile buffer `beat` takes."""
        return int(self.read[beat - self.timing.buffer_words]) if beat >= self.timing.buffer_words else NEVER

    def _know(self, beat):
        """Send patches until that is known."""
        while beat - self.timing.buffer_words >= self.known:
            self._send()

    def _candidate(self):
        """When the patch that waits longest can be sent, as far as the beats are known."""
        cycle, latency = max(self.pending[0][2], self.sums_read + 1), self.timing.band_sums_latency
        while True:
            blocked = [flush + latency for flush in self.flushes if flush <= cycle < flush + latency]
            if cycle in self.held:
                blocked.append(cycle + 1)
            if not blocked:
                return cycle
            cycle = max(blocked)

    def _send(self):
        cycle = self._candidate()
        band, patch, _ = self.pending.pop(0)
        self.reading = cycle + self.config.groups
        self._start(band, patch, cycle)
        if not self.pending:
            self.held.clear()

    def _start(self, band, patch, cycle):
        """Excite gets a patch, sent in this `cycle`; so it is known when its beats of the first row are read."""
        config, timing = self.config, self.timing
        self.sent = cycle
        layer1 = max(cycle + 1 + timing.band_wait + timing.start_latency, self.issued + LAYER_GAP)
        self.sums_read = layer1 + timing.layer_cycles[0] - 1
        place = self.patches - timing.gate_places
        layer2 = max(self.sums_read + timing.gap, self.released[place] + 2 if place >= 0 else NEVER)
        self.issued = layer2 + timing.layer_cycles[1] - 1
        self.patches += 1
        last_patch = patch == config.tiles_across - 1
        first, stop = band.segment(0, patch)
        if last_patch:
            # In later rows no patch waits.
            stop = band.segment(band.rows - 1, patch)[1]
        start = max(layer2 + timing.gates_cycles, int(self.read[first - 1]) + 1 if first else NEVER)
        self.read[first:stop] = np.arange(start, start + stop - first)
        self.known = stop
        if band.rows == 1:
            self.released.append(int(self.read[stop - 1]))
        elif last_patch:
            self.released += [int(self.read[band.segment(band.rows - 1, number)[1] - 1])
                              for number in range(config.tiles_across)]
        if last_patch:
            self.bands_read.append(int(self.read[stop - 1]))
