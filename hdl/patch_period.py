# SPDX-License-Identifier: Apache-2.0
"""The pace of tiles side by side, from the counts of a `Timing`."""

__all__ = ["row_period"]


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
