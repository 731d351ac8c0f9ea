# SPDX-License-Identifier: Apache-2.0
"""The position of a beat in its patch, and in the band of patches side by side."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import counter
from .row_count import rows_shape

__all__ = ["PatchPosition"]


class PatchPosition(wiring.Component):
    """Counts groups, columns, patches and rows of beats, as :class:`TilePosition` does for tiles of full rows.

    A band is `k` rows of a frame, or the rest of a frame. A segment is what one row of the band has of a patch; with
    ``k`` = 1 it is the patch. A frame that ends before the end of a row (``cut``) ends its band there, and the next
    beat starts a new frame.

    Members
    -------
    i_valid, i_last : In
        A beat moves; it is its frame's last.
    group : Out
        The beat's group in its pixel.
    first_beat, first_pixel, first_row : Out
        The beat is the first after a ``tile_end``; it belongs to its segment's first pixel, to its band's first row.
    patch, last_patch : Out
        The beat's patch, counted from the left; it is the rightmost.
    band_rows, last_row : Out
        Rows of the band that have begun, less one; there are `k`.
    rows : Out
        The rows of the beat's patch that have begun, as in `rows_shape`.
    segment_end, row_end, band_end, tile_end, cut : Out
        The beat that moves ends its segment, its row, its band; a band, or with ``k`` = 1 a patch; it ends its frame
        before the end of a row.
    later_row_next : Out
        The next beat belongs to a segment's first pixel in another row than a band's first.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "i_valid": In(1), "i_last": In(1), "group": Out(range(config.groups)),
            "first_beat": Out(1, init=1), "first_pixel": Out(1, init=1), "first_row": Out(1, init=1),
            "patch": Out(range(config.tiles_across)), "last_patch": Out(1),
            "band_rows": Out(range(config.k)), "last_row": Out(1), "rows": Out(rows_shape(config)),
            "segment_end": Out(1), "row_end": Out(1), "band_end": Out(1), "tile_end": Out(1),
            "cut": Out(1), "later_row_next": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        pixel_end, segment_done = Signal(), Signal()
        group, last_group = counter(m, config.groups, self.i_valid, self.band_end, name="group_count")
        patch, last_patch = counter(m, config.tiles_across, segment_done, self.band_end, name="patch_count")
        rows, last_row = counter(m, config.k, self.row_end, self.band_end, name="row")
        last_column = self._column(m, pixel_end)
        m.d.comb += [
            self.group.eq(group), self.patch.eq(patch), self.last_patch.eq(last_patch), self.band_rows.eq(rows),
            self.rows.eq(rows + Mux(last_patch & (config.last_columns != config.columns), config.k, 0)),
            self.last_row.eq(last_row),
            pixel_end.eq(self.i_valid & last_group), segment_done.eq(pixel_end & last_column),
            self.row_end.eq(segment_done & last_patch),
            self.segment_end.eq(segment_done | (self.i_valid & self.i_last)),
            self.cut.eq(self.i_valid & self.i_last & ~(last_group & last_column & last_patch)),
            self.band_end.eq(self.i_valid & (self.i_last | (last_group & last_column & last_patch & last_row))),
            self.tile_end.eq(self.band_end if config.banded else self.segment_end),
        ]
        with m.If(self.i_valid):
            m.d.sync += self.first_beat.eq(self.tile_end)
        with m.If(self.segment_end):
            m.d.sync += self.first_pixel.eq(1)
            m.d.comb += self.later_row_next.eq(~self.band_end & (self.row_end | ~self.first_row))
        with m.Elif(pixel_end):
            m.d.sync += self.first_pixel.eq(0)
        with m.Else():
            m.d.comb += self.later_row_next.eq(self.first_pixel & ~self.first_row)
        with m.If(self.band_end):
            m.d.sync += self.first_row.eq(1)
        with m.Elif(self.row_end):
            m.d.sync += self.first_row.eq(0)
        return m

    def _column(self, m, pixel_end):
        """Count the columns of a segment; returns whether this is its last one. The rightmost patch may have fewer."""
        config = self.config
        column = Signal(range(config.columns))
        last_column = Signal(init=config.columns == 1)
        limit = Mux(self.last_patch, config.last_columns, config.columns)
        with m.If(pixel_end):
            m.d.sync += [column.eq(column + 1), last_column.eq(column + 2 == limit)]
        with m.If(self.segment_end):
            m.d.sync += [column.eq(0), last_column.eq(config.columns == 1)]
            with m.If((self.patch == config.tiles_across - 2) & ~self.band_end):
                m.d.sync += last_column.eq(config.last_columns == 1)
        return last_column
