# SPDX-License-Identifier: Apache-2.0
"""The position of a beat in its tile."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import counter

__all__ = ["TilePosition"]


class TilePosition(wiring.Component):
    """Counts groups, columns and rows of the beats that the block takes.

    A tile ends with its k-th row, or with the frame. A frame that ends before the end of a row (``cut``) ends its tile
    there, and the next beat starts a new frame.

    Members
    -------
    i_valid, i_last : In
        A beat is taken; it is its frame's last.
    group : Out
        The beat's group in its pixel.
    first_beat, first_pixel : Out
        The beat is its tile's first; the beat belongs to its tile's first pixel.
    rows : Out
        Rows of the tile that have begun, less one.
    tile_end, cut : Out
        The beat that is taken ends its tile; it ends its frame before the end of a row.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "i_valid": In(1), "i_last": In(1),
            "group": Out(range(config.groups)), "first_beat": Out(1, init=1), "first_pixel": Out(1, init=1),
            "rows": Out(range(config.k)), "tile_end": Out(1), "cut": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        pixel_end, row_end = Signal(), Signal()
        group, last_group = counter(m, config.groups, self.i_valid, self.tile_end, name="group_count")
        _, last_column = counter(m, config.width, pixel_end, self.tile_end, name="column")
        rows, last_row = counter(m, config.k, row_end, self.tile_end, name="row")
        m.d.comb += [
            self.group.eq(group), self.rows.eq(rows),
            pixel_end.eq(self.i_valid & last_group),
            row_end.eq(pixel_end & last_column),
            self.cut.eq(self.i_valid & self.i_last & ~(last_group & last_column)),
            self.tile_end.eq(self.i_valid & (self.i_last | (last_group & last_column & last_row))),
        ]
        with m.If(self.i_valid):
            m.d.sync += self.first_beat.eq(self.tile_end)
        with m.If(self.tile_end):
            m.d.sync += self.first_pixel.eq(1)
        with m.Elif(pixel_end):
            m.d.sync += self.first_pixel.eq(0)
        return m
