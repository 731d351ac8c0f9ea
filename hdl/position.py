# SPDX-License-Identifier: Apache-2.0
"""The position of a beat in its tile, and in the rows that its descriptor averages."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import counter
from .config import Context
from .row_count import rows_shape

__all__ = ["TilePosition"]


class TilePosition(wiring.Component):
    """Counts groups, columns and rows of the beats that the block takes.

    A tile ends with its k-th row, or with the frame; in the context WINDOW only with the frame. A frame that ends
    before the end of a row (``cut``) ends its tile there, and the next beat starts a new frame.

    Members
    -------
    i_valid, i_last : In
        A beat is taken; it is its frame's last.
    group : Out
        The beat's group in its pixel.
    first_beat, first_pixel : Out
        The beat is its tile's first; the beat belongs to the first pixel of its sums.
    rows : Out
        Rows of the sums that have begun, less one; or `Rows`, where sums go on from tile to tile.
    tile_end, cut : Out
        The beat that is taken ends its tile; it ends its frame before the end of a row.
    counted : Out
        The beat's row is added to the sums. Always 1 in the context TILE.
    hand_over : Out
        With the beat that is taken, the sums of a descriptor are complete.
    frame_start : Out
        The beat that is taken is its frame's first.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "i_valid": In(1), "i_last": In(1),
            "group": Out(range(config.groups)), "first_beat": Out(1, init=1), "first_pixel": Out(1, init=1),
            "rows": Out(rows_shape(config)), "tile_end": Out(1), "cut": Out(1),
            **({} if config.context is Context.TILE else
               {"counted": Out(1), "hand_over": Out(1), "frame_start": Out(1)}),
        })

    def elaborate(self, platform):
        m = Module()
        config, context = self.config, self.config.context
        pixel_end, row_end = Signal(), Signal()
        # Where the tile is the frame, or sums go on over tiles, it is the frame that starts them anew.
        frame_end = Signal()
        group, last_group = counter(m, config.groups, self.i_valid, self.tile_end, name="group_count")
        _, last_column = counter(m, config.width, pixel_end, self.tile_end, name="column")
        last_row = 0
        if context is not Context.WINDOW:
            rows, last_row = counter(m, config.k, row_end, self.tile_end, name="row")
        m.d.comb += [
            self.group.eq(group),
            pixel_end.eq(self.i_valid & last_group),
            row_end.eq(pixel_end & last_column),
            self.cut.eq(self.i_valid & self.i_last & ~(last_group & last_column)),
            self.tile_end.eq(self.i_valid & (self.i_last | (last_group & last_column & last_row))),
        ]
        with m.If(self.i_valid):
            m.d.sync += self.first_beat.eq(self.tile_end)
        if context is Context.TILE:
            m.d.comb += self.rows.eq(rows)
            with m.If(self.tile_end):
                m.d.sync += self.first_pixel.eq(1)
            with m.Elif(pixel_end):
                m.d.sync += self.first_pixel.eq(0)
            return m
        at_frame_start = Signal(init=1)
        m.d.comb += [frame_end.eq(self.i_valid & self.i_last), self.frame_start.eq(self.i_valid & at_frame_start)]
        with m.If(self.i_valid):
            m.d.sync += at_frame_start.eq(self.i_last)
        with m.If(frame_end):
            m.d.sync += self.first_pixel.eq(1)
        with m.Elif(pixel_end & self.counted):
            m.d.sync += self.first_pixel.eq(0)
        (self._window if context is Context.WINDOW else self._running)(m, row_end, frame_end)
        return m

    def _running(self, m, row_end, frame_end):
        """Count the frame's rows, up to ``max_rows``, and the power of two that holds the count."""
        config = self.config
        first, most = config.prior_rows + 1, config.most_rows
        log = (first - 1).bit_length()
        count = Signal(range(most + 1), init=first)
        power = Signal(range((most - 1).bit_length() + 1), init=log)
        counted, full = Signal(init=1), Signal(init=first == most)
        with m.If(frame_end):
            m.d.sync += [count.eq(first), power.eq(log), counted.eq(1), full.eq(first == most)]
        with m.Elif(row_end & full):
            m.d.sync += counted.eq(0)
        with m.Elif(row_end):
            m.d.sync += [count.eq(count + 1), full.eq(count == most - 1)]
            with m.If(count == 1 << power):
                m.d.sync += power.eq(power + 1)
        m.d.comb += [self.rows["count"].eq(count), self.rows.log.eq(power), self.counted.eq(counted)]
        ends = self.tile_end
        if config.context is Context.CAUSAL:
            # No tile comes after the frame's last one.
            ends = ends & ~self.i_last
        m.d.comb += self.hand_over.eq(ends)

    def _window(self, m, row_end, frame_end):
        """Find the window's rows."""
        before, count = self.config.window
        waiting, inside, done = Signal(init=before > 0), Signal(init=before == 0), Signal()
        rows, last = counter(m, count, row_end & inside, frame_end, name="row")
        with m.If(frame_end):
            m.d.sync += [waiting.eq(before > 0), inside.eq(before == 0), done.eq(0)]
        with m.Elif(row_end & inside & last):
            m.d.sync += [inside.eq(0), done.eq(1)]
        if before:
            _, last_before = counter(m, before, row_end & waiting, frame_end, name="row_before")
            with m.If(~frame_end & row_end & waiting & last_before):
                m.d.sync += [waiting.eq(0), inside.eq(1)]
        m.d.comb += [
            self.rows.eq(rows), self.counted.eq(inside),
            self.hand_over.eq((row_end & inside & last) | (frame_end & ~done)),
        ]
