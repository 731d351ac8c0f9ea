# SPDX-License-Identifier: Apache-2.0
"""When every beat is taken and given, for any frames: exact, without a simulation. Tests hold it to the simulation.

`Timing` has the latencies; this puts the tiles of a stream together, which wait for each other in the tile buffer, in
the memory of sums, in the MAC units and in the scale FIFO. Both sides of the block are taken to be always ready, but
for pauses of the source between frames.
"""

import dataclasses
import itertools

import numpy as np

from .config import Config
from .timing import GATE_TILES, LAYER_GAP, QUEUE, TILES_UNDER_WAY, Timing

__all__ = ["Prediction", "in_flight", "predict"]

# No earlier event: long before the first beat.
NEVER = -(1 << 40)


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What the bench measures of the same frames: cycles, but for ``steady_throughput`` (beats a cycle) and the peak.

    ``total_cycles`` is from the first beat taken to the last beat given, both counted; ``first_output_latency`` from
    the first beat taken to the first one given; ``peak_words`` the most beats in the tile buffer.
    """

    total_cycles: int
    first_output_latency: int
    steady_throughput: float
    peak_words: int


def predict(config, heights, pauses=()):
    """Frames of `heights` rows each through the block, back to back but for pauses.

    Parameters
    ----------
    config : Config
    heights : sequence of int
    pauses : sequence of int, optional
        For each frame, how many cycles behind the last beat before it was taken its source offers nothing; 0 for the
        first.

    Raises
    ------
    ValueError
        There are fewer or more pauses than frames, or there is one before the first.

    Returns
    -------
    Prediction
    """
    taken, read, given = _run(config, heights, pauses)
    # After a beat is taken, the buffer holds what was taken and not read until then.
    level = np.arange(1, len(taken) + 1) - np.searchsorted(read, taken, side="right")
    span = int(given[-1] - given[0])
    return Prediction(
        total_cycles=int(given[-1] - taken[0]) + 1, first_output_latency=int(given[0] - taken[0]),
        steady_throughput=(len(taken) - 1) / span if span else 1.0, peak_words=int(level.max()))


def in_flight(config, heights, pauses=()):
    """How many beats are taken and not given yet after each cycle, from that in which the first is taken: int64.

    Parameters and errors are those of :func:`predict`. The last number is 0.
    """
    taken, _, given = _run(config, heights, pauses)
    cycles = np.arange(taken[0], given[-1] + 1)
    return np.searchsorted(taken, cycles, side="right") - np.searchsorted(given, cycles, side="right")


def _run(config, heights, pauses):
    """Cycles in which each beat is taken, read again, and given."""
    if len(pauses) not in (0, len(heights)) or any(pauses[:1]):
        raise ValueError(f"pauses: {list(pauses)}; must be one for each of {len(heights)} frames, the first of them 0")
    row, timing = config.width * config.groups, Timing(config)
    tiles = [(min(config.k, height - start) * row, 0 if start else pause)
             for height, pause in itertools.zip_longest(heights, pauses, fillvalue=0)
             for start in range(0, height, config.k)]
    taken, read = _Stream(config, tiles).run()
    return taken, read, read + timing.scale_latency + QUEUE


@dataclasses.dataclass
class _Stream:
    """The tiles of a stream (beats of each, and the pause before them), one after the other."""

    config: Config
    tiles: list

    def run(self):
        """Cycles in which each beat is taken, and in which it is read again: int64 arrays."""
        timing, depth = Timing(self.config), Timing(self.config).buffer_words
        count = sum(words for words, _ in self.tiles)
        taken, read = np.empty(count, np.int64), np.empty(count, np.int64)
        released = []
        # Of the tile before: where its sums began to be handed over, were read last, layer 2's last input was issued.
        flush, sums_read, issued, first = 0, NEVER, NEVER, 0
        for number, (words, pause) in enumerate(self.tiles):
            beats = slice(first, first + words)
            # A register between a tile's release and the input's ready, and one for its own.
            place = released[number - TILES_UNDER_WAY] + 2 if number >= TILES_UNDER_WAY else NEVER
            after = taken[first - 1] + 1 + pause if first else 0
            self._take(taken, read, beats, max(after, flush, place), depth)
            end = int(taken[beats.stop - 1])
            # At once if the sums' memory is free when the tile ends, else two cycles after it was read.
            flush = end + 1 if end > sums_read else sums_read + 2
            layer1 = max(flush + timing.sums_latency, issued + LAYER_GAP)
            sums_read = layer1 + timing.layer_cycles[0] - 1
            gates = released[number - GATE_TILES] + 2 if number >= GATE_TILES else NEVER
            layer2 = max(sums_read + timing.gap, gates)
            issued = layer2 + timing.layer_cycles[1] - 1
            start = max(layer2 + timing.gates_cycles, released[-1] + 1 if released else NEVER)
            read[beats] = np.arange(start, start + words)
            released.append(start + words - 1)
            first = beats.stop
        return taken, read

    @staticmethod
    def _take(taken, read, beats, start, depth):
        """A tile's beats: one a cycle from `start` on, each after the word whose place it gets was read."""
        index = np.arange(beats.start, beats.stop)
        earliest = np.full(len(index), start)
        replaces = index >= depth
        earliest[replaces] = np.maximum(start, read[index[replaces] - depth] + 1)
        taken[beats] = np.maximum.accumulate(earliest - index) + index
