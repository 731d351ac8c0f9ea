# SPDX-License-Identifier: Apache-2.0
"""The pace of tiles side by side, from the counts of a `Timing`."""

import itertools
import math

__all__ = ["keeps_up", "row_period"]


def row_period(timing, words, gate_tiles):
    """Average cycles from one row of tiles side by side to the next, for rows of `words` beats: see `Timing.period`."""
    config, across = timing.config, timing.config.tiles_across
    pace = max(words, across * timing.excite_cycles)
    if config.banded:
        # Of a band of k rows.
        held = max(_band_wait(timing), _place_wait(timing)) if words >= config.tile_words else 0
        return max(pace, words + held, words + (0 if timing.sums_in_time else config.k * across))
    # Each tile is one of full rows, but for the rightmost, which may be narrower. Then its sums wait for those of
    # the tile before, and the tile after it for a place for gates.
    last = config.last_columns * config.groups
    pace = max(pace, words + timing.start_latency + timing.layer_cycles[0] + 1 - last,
               words + 2 * timing.excite_cycles - timing.segment_words - last, words + 1 + timing.gates_cycles - last,
               (across * (1 + timing.gates_cycles) + words) / gate_tiles)
    tiles, rest = divmod(timing.buffer_words, timing.segment_words)
    return max(pace, words + across * ((timing.segment_words + timing.tile_latency - rest) / tiles
                                       - timing.segment_words))


def _place_wait(timing):
    """Cycles for which a band's first row waits for gates, while the places for gates are full.

    With a place more than a band has patches, a patch's gates get the place of the patch before it, in the band before:
    that was read last a row before the patch is.
    """
    if timing.gate_places == timing.config.tiles_across:
        return 0
    return max(0, 1 + timing.gates_cycles - timing.config.width * timing.config.groups)


def _band_wait(timing):
    """Cycles for which a band's first row waits for gates, while the buffer is full.

    Time is counted from the end of the band before, and beats from the band's first one. A tile's last beat is
    taken with the read of the word that it replaces.
    """
    config, groups = timing.config, timing.config.groups
    start, ready = [], -timing.excite_cycles - timing.buffer_words
    for tile, (_, stop) in enumerate(config.spans(config.width)):
        word = (stop - config.columns) * groups - timing.buffer_slack
        number = min(word // timing.segment_words, tile - 1)
        taken = word if word <= 0 else start[number] + word - number * timing.segment_words
        ready = max(taken + timing.tile_latency, ready + timing.excite_cycles)
        start.append(max(ready, start[-1] + timing.segment_words if tile else 0))
    return start[-1] - (config.tiles_across - 1) * timing.segment_words


def keeps_up(timing, gate_tiles, under_way, layer_gap):
    """Whether tiles of one row, side by side, never hold up beats that come one a cycle, from beat 0 in cycle 0 on.

    The rightmost tile may be narrower, and what it lacks of time the tiles beside it may have. So tile after tile is
    followed, as `schedule` does, until a row leaves the block in the state in which an earlier one left it.
    """
    config, states = timing.config, set()
    sums_read = issued = -math.inf
    # Of the last tiles, the cycles in which their last beats were read.
    read = [-math.inf] * under_way
    for row in itertools.count():
        for first, stop in config.spans(config.width):
            begin, end = ((row * config.width + column) * config.groups for column in (first, stop))
            # The sums are complete with the tile's last beat, and must have left before the next tile's first one.
            if read[-under_way] + 2 > begin or end - 1 <= sums_read:
                return False
            sums_read = max(end + timing.start_latency, issued + layer_gap) + timing.layer_cycles[0] - 1
            layer2 = max(sums_read + timing.gap, read[-gate_tiles] + 2)
            issued = layer2 + timing.layer_cycles[1] - 1
            start = max(layer2 + timing.gates_cycles, read[-1] + 1)
            # A beat replaces one that was read before.
            if start >= begin + timing.buffer_words:
                return False
            read = [*read[1:], start + end - begin - 1]
        state = tuple(cycle - end for cycle in (sums_read, issued, *read))
        if state in states:
            return True
        states.add(state)
