# SPDX-License-Identifier: Apache-2.0
"""The exact cycles in which beats enter and leave the block, for any frames. Tests compare them with the simulation.

`Timing` has the latencies of one tile. The tiles of a stream wait for each other in the tile buffer, the memory of
sums, the MAC units and the scale FIFO; this module computes when. Source and sink are always ready, except that the
source may pause between frames.
"""

import dataclasses
import itertools

import numpy as np

from .timing import GATE_TILES, LAYER_GAP, QUEUE, TILES_UNDER_WAY, Timing

__all__ = ["Prediction", "in_flight", "predict"]

# A time before every event.
NEVER = -(1 << 40)


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
    row, timing = config.width * config.groups, Timing(config)
    tiles = [(min(config.k, height - start) * row, 0 if start else pause)
             for height, pause in itertools.zip_longest(heights, pauses, fillvalue=0)
             for start in range(0, height, config.k)]
    taken, read = _run_tiles(timing, tiles)
    return taken, read, read + timing.scale_latency + QUEUE


def _run_tiles(timing, tiles):
    """Cycles in which each beat is taken, and in which it is read from the tile buffer: int64 arrays.

    `tiles` has the beats of each tile, and the pause before it.
    """
    count = sum(words for words, _ in tiles)
    taken, read = np.empty(count, np.int64), np.empty(count, np.int64)
    released = []
    # Of the previous tile: when its sums' copying started, its sums were read last, its last input was issued.
    flush, sums_read, issued, first = 0, NEVER, NEVER, 0
    for number, (words, pause) in enumerate(tiles):
        beats = slice(first, first + words)
        # Two registers lie between a tile's release and the input: the count of tiles, and ready itself.
        place = released[number - TILES_UNDER_WAY] + 2 if number >= TILES_UNDER_WAY else NEVER
        after = taken[first - 1] + 1 + pause if first else 0
        _take(taken, read, beats, max(after, flush, place), timing.buffer_words)
        end = int(taken[beats.stop - 1])
        # At once if the memory of sums is free when the tile ends, else two cycles after its last read.
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


def _take(taken, read, beats, start, depth):
    """Set when a tile's beats are taken: one a cycle from `start`, each after the word that it replaces is read."""
    index = np.arange(beats.start, beats.stop)
    earliest = np.full(len(index), start)
    replaces = index >= depth
    earliest[replaces] = np.maximum(start, read[index[replaces] - depth] + 1)
    taken[beats] = np.maximum.accumulate(earliest - index) + index
