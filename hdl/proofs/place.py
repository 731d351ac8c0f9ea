# SPDX-License-Identifier: Apache-2.0
"""The reference for a beat's place, by divisions: the tile, and the rows that its descriptor averages."""

from amaranth.hdl import Const, Mux, Signal

from ..config import Context
from . import patch_position

__all__ = ["place_of", "tiling_name"]


class Place:
    """Where the beat is that comes next, of frames that end anywhere.

    ``number`` is its number in its tile, from 0; in WINDOW, whose tile is the frame, in its row. ``row`` is its row in
    the frame, and the same number for all rows after those that can be averaged; 0 in TILE. ``first`` and ``fresh``
    are 'it is its tile's first, its frame's first', ``row_end`` 'it ends a row'. While a beat is taken: ``ends`` and
    ``frame_start`` are 'a tile ends, a frame starts', ``hand_over`` 'the sums of a descriptor are complete'.
    ``counted`` is 'its row is averaged', ``first_pixel`` 'no pixel before its own is'. ``rows`` are the rows that are
    averaged up to it: less one, or the ``count`` of `Rows` where sums go on from tile to tile.
    """

    def __init__(self, m, config, valid, last):
        window, row_words = config.context is Context.WINDOW, config.width * config.groups
        self.config, self.row_words = config, row_words
        self.length = row_words if window else config.tile_words
        self.number, self.first, self.fresh = Signal(range(self.length)), Signal(init=1), Signal(init=1)
        self.row = Signal(range(self._rows() + 1))
        self.ends, self.frame_start, self.hand_over = Signal(), Signal(), Signal()
        self.row_end = self.number % row_words == row_words - 1
        full = self.number == self.length - 1
        m.d.comb += [self.ends.eq(valid & (last if window else last | full)), self.frame_start.eq(valid & self.fresh)]
        with m.If(valid):
            m.d.sync += [self.number.eq(Mux(last | full, 0, self.number + 1)), self.first.eq(self.ends),
                         self.fresh.eq(last)]
            m.d.sync += self.row.eq(Mux(last, 0, self.row + (self.row_end & (self.row != self._rows()))))
        before, rows = 0, self.row
        self.counted = 1
        if config.context.running:
            self.counted = self.row < config.max_rows
            rows = config.prior_rows + Mux(self.counted, self.row + 1, config.max_rows)
        elif window:
            before = config.window[0]
            self.counted = (self.row >= before) & (self.row < self._rows())
            rows = Mux(self.counted, self.row - before, 0)
        else:
            rows = self.number // row_words
        self.rows, self.first_pixel = rows, (self.row < before) | ((self.row == before) & (self.number < config.groups))
        complete = self.ends
        if config.context is Context.CAUSAL:
            complete = self.ends & ~last
        elif window:
            complete = valid & (self.row < self._rows()) & (last | (self.row_end & (self.row == self._rows() - 1)))
        m.d.comb += self.hand_over.eq(complete)

    def _rows(self):
        """Rows of the frame after which none is averaged, if they are counted."""
        config = self.config
        return config.max_rows if config.context.running else sum(config.window) if config.window is not None else 0


class PatchPlace:
    """The same for patches of one row, with the reference for a `band` of them. ``number`` is that in the patch."""

    def __init__(self, m, config, valid, last):
        self.band = band = patch_position.Place(m, config, valid, last)
        self.row_words, self.length = config.width * config.groups, config.columns * config.groups
        self.number, self.row, self.row_end, self.counted = band.segment, Const(0), band.row_end, 1
        self.first, self.first_pixel = band.segment == 0, band.segment < config.groups
        self.fresh, self.ends, self.frame_start = Signal(init=1), Signal(), Signal()
        # The rightmost patch has a row count of its own if it is narrower.
        self.rows = (band.patch == config.tiles_across - 1) & (config.last_columns != config.columns)
        self.hand_over = self.ends
        m.d.comb += [self.ends.eq(valid & band.segment_end), self.frame_start.eq(valid & self.fresh)]
        with m.If(valid):
            m.d.sync += self.fresh.eq(last)


def place_of(m, config, valid, last):
    """The reference for the tiling of `config`: a beat is taken if `valid`, and ends its frame if `last`."""
    return (PatchPlace if config.tiles_across > 1 else Place)(m, config, valid, last)


def tiling_name(config):
    """The tiling, as a part of a proof's name."""
    if config.tiles_across > 1:
        return f"k={config.k} columns={config.columns}"
    if config.context is Context.TILE:
        return f"k={config.k}"
    text = f"context={config.context.value} "
    if config.window is not None:
        return text + f"window={config.window[0]}:{config.window[1]}"
    return text + f"k={config.k} prior={config.prior_rows} max_rows={config.max_rows}"
