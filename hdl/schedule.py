# SPDX-License-Identifier: Apache-2.0
"""The exact cycles in which beats enter and leave the block, for any frames. Tests compare them with the simulation.

`Timing` has the latencies of one tile. The tiles of a stream wait for each other in the tile buffer, the memory of
sums, the MAC units and the scale FIFO; this module computes when. Source and sink are always ready, except that the
source may pause between frames.
"""

import dataclasses
import itertools

import numpy as np

from .config import Context
from .latency import READABLE
from .patch_schedule import NEVER, PatchRun, one_a_cycle
from .timing import GATE_TILES, LAYER_GAP, QUEUE, TILES_UNDER_WAY, Timing

__all__ = ["Prediction", "in_flight", "predict"]


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The figures that the test bench measures for the same frames.

    ``total_cycles`` is from the first input beat to the last output beat, both counted; ``first_output_latency`` from
    the first input beat to the first output beat. ``steady_throughput`` is in beats a cycle. ``peak_words`` is the
    largest number of beats in the tile buffer.
    """

    total_cycles: int
    first_output_latency: int
    steady_throughput: float
    peak_words: int


def predict(config, heights, pauses=()):
    """The :class:`Prediction` for a stream of frames of these `heights`, in rows.

    `pauses` has for each frame the cycles after the previous beat in which the source offers nothing; none if empty.
    Raises ValueError if there are not as many pauses as frames, or the first frame has a pause.
    """
    taken, read, given = _run(config, heights, pauses)
    # The buffer's level after each beat is taken: beats taken less beats read so far.
    level = np.arange(1, len(taken) + 1) - np.searchsorted(read, taken, side="right")
    span = int(given[-1] - given[0])
    return Prediction(
        total_cycles=int(given[-1] - taken[0]) + 1, first_output_latency=int(given[0] - taken[0]),
        steady_throughput=(len(taken) - 1) / span if span else 1.0, peak_words=int(level.max()))


def in_flight(config, heights, pauses=()):
    """Beats in the block after each cycle, from the cycle in which the first is taken: int64 array, the last is 0.

    Parameters and errors are those of :func:`predict`.
    """
    taken, _, given = _run(config, heights, pauses)
    cycles = np.arange(taken[0], given[-1] + 1)
    return np.searchsorted(taken, cycles, side="right") - np.searchsorted(given, cycles, side="right")


def _run(config, heights, pauses):
    """Cycles in which each beat is taken, read from the tile buffer, and given."""
    if len(pauses) not in (0, len(heights)) or any(pauses[:1]):
        raise ValueError(f"pauses: {list(pauses)}; must be one for each of {len(heights)} frames, the first of them 0")
    row = config.width * config.groups
    if config.banded:
        run = PatchRun(config, sum(heights) * row)
        for height, pause in itertools.zip_longest(heights, pauses, fillvalue=0):
            run.frame(height, pause)
        run.finish()
        return run.taken, run.read, run.read + run.timing.scale_latency + QUEUE
    run = _Run(config, sum(heights) * row)
    for height, pause in itertools.zip_longest(heights, pauses, fillvalue=0):
        for start, stop in config.strips(height):
            for left, right in config.spans(config.width):
                words = (stop - start) * (right - left) * config.groups
                run.tile(words, 0 if start or left else pause, is_first=start == 0, is_last=stop == height)
    return run.taken, run.read, run.read + run.timing.scale_latency + QUEUE


class _Run:
    """Cycles in which each beat is ``taken``, and in which it is ``read`` from the tile buffer: int64 arrays.

    ``start`` is the cycle in which excite starts to take a tile's sums. ``read_from`` is the first cycle in which a
    tile may be read, if the one before it was.
    """

    def __init__(self, config, count):
        self.config, self.timing = config, Timing(config)
        self.taken, self.read = np.empty(count, np.int64), np.empty(count, np.int64)
        self.count, self.descriptors, self.released = 0, 0, []
        # Of the previous tile: when excite started, when its sums were read last and its last input was issued.
        self.start, self.sums_read, self.issued = 0, NEVER, NEVER
        # Causal: `read_from` of the tile that comes next.
        self.read_from = NEVER

    def tile(self, words, pause, *, is_first, is_last):
        """Compute a tile of `words` beats, `pause` cycles after the previous one; the first or last of its frame."""
        first, stop = self.count, self.count + words
        # Two registers lie between a tile's release and the input: the count of tiles, and ready itself.
        place = self.released[-TILES_UNDER_WAY] + 2 if len(self.released) >= TILES_UNDER_WAY else NEVER
        after = max(self.taken[first - 1] + 1 + pause if first else 0, self.start, place)
        if self.config.context is Context.CAUSAL:
            self._causal(first, stop, after, is_first, is_last)
        elif self.config.context is Context.WINDOW:
            end = first + min(words, self.config.tile_words)
            self._take(first, end, after)
            read_from = self._excite(self.taken[end - 1])
            self._read_all(first, end, read_from)
            self._stream(end, stop, max(self.taken[end - 1] + 1, self.start))
        else:
            self._take(first, stop, after, in_step=self.config.context.running and not is_first)
            self._read_all(first, stop, self._excite(self.taken[stop - 1]))
        self.count = stop
        self.released.append(int(self.read[stop - 1]))

    def _causal(self, first, stop, after, is_first, is_last):
        """A tile whose gates come from the rows before it; where `is_first`, excite starts with the frame instead."""
        begin = first
        if is_first:
            begin += 1
            self._take(first, begin, after)
            self.read_from = self._excite(self.taken[first])
            self._read_all(first, begin, self.read_from)
            after = max(self.taken[first] + 1, self.start)
        self._stream(begin, stop, after, in_step=not is_first)
        if not is_last:
            self.read_from = self._excite(self.taken[stop - 1])

    def _excite(self, complete):
        """Compute a tile whose sums are complete with the beat taken in cycle `complete`; returns its `read_from`."""
        timing = self.timing
        # At once if the memory of sums is free, else two cycles after its last read.
        self.start = int(complete + 1 if complete > self.sums_read else self.sums_read + 2)
        layer1 = max(self.start + timing.start_latency, self.issued + LAYER_GAP)
        self.sums_read = layer1 + timing.layer_cycles[0] - 1
        place = self.released[self.descriptors - GATE_TILES] + 2 if self.descriptors >= GATE_TILES else NEVER
        layer2 = max(self.sums_read + timing.gap, place)
        self.issued = layer2 + timing.layer_cycles[1] - 1
        self.descriptors += 1
        return layer2 + timing.gates_cycles

    def _read_all(self, first, stop, read_from):
        """Set when beats are read that were all taken before their `read_from`."""
        start = max(read_from, self.read[first - 1] + 1 if first else NEVER)
        self.read[first:stop] = np.arange(start, start + stop - first)

    def _stream(self, first, stop, after, in_step=False):
        """Set when beats are taken and read of a tile that is read while it is taken."""
        depth, offset = self.timing.buffer_words, 0
        for start in range(first, stop, depth):
            end = min(start + depth, stop)
            self._take(start, end, after, in_step, offset)
            read_from = max(self.read_from, self.read[start - 1] + 1 if start else NEVER)
            self.read[start:end] = one_a_cycle(np.maximum(self.taken[start:end] + READABLE, read_from))
            after, offset = self.taken[end - 1] + 1, offset + end - start

    def _take(self, first, stop, after, in_step=False, offset=0):
        """Set when beats are taken: one a cycle from `after`, each after the word that it replaces is read.

        With `in_step`, the tile's first pixel, of whose beats `offset` were taken before, is taken in step with the
        copy of the sums, which begins at `start`; or after it.
        """
        index = np.arange(first, stop)
        earliest = np.full(len(index), after)
        replaces = index >= self.timing.buffer_words
        earliest[replaces] = np.maximum(after, self.read[index[replaces] - self.timing.buffer_words] + 1)
        groups = self.config.groups
        if in_step and offset < groups:
            cycle = after
            for i in range(min(groups - offset, len(index))):
                cycle = max(cycle, earliest[i])
                if cycle < self.start + groups and cycle != self.start + offset + i:
                    cycle = self.start + groups
                earliest[i] = cycle
                cycle += 1
        self.taken[first:stop] = one_a_cycle(earliest)
