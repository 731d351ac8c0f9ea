# SPDX-License-Identifier: Apache-2.0
"""Where in its tile a beat stands."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["TilePosition"]


class TilePosition(wiring.Component):
    """Counts groups, columns and rows of the beats that the block takes.

    A tile ends with its k-th row, or with the frame. A frame that ends off a row's end (``cut``) ends its tile there,
    and the next beat starts a new frame.

    Members
    -------
    i_valid, i_last : In
        A beat is taken; it is its frame's last.
    group : Out
        The beat's place in its pixel.
    first_pixel : Out
        The beat belongs to its tile's first pixel.
    rows : Out
        Rows of the tile that have begun, less one.
    tile_end, cut : Out
        The beat that is taken ends its tile; it ends its frame off a row's end.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "i_valid": In(1), "i_last": In(1),
            "group": Out(range(config.groups)), "first_pixel": Out(1), "rows": Out(range(config.k)),
            "tile_end": Out(1), "cut": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        column = Signal(range(config.width))
        pixel_end = Signal()
        row_end = Signal()
        m.d.comb += [
            self.first_pixel.eq((column == 0) & (self.rows == 0)),
            pixel_end.eq(self.group == config.groups - 1),
            row_end.eq(pixel_end & (column == config.width - 1)),
            self.cut.eq(self.i_valid & self.i_last & ~row_end),
            self.tile_end.eq(self.i_valid & (self.i_last | (row_end & (self.rows == config.k - 1)))),
        ]
        with m.If(self.tile_end):
            m.d.sync += [self.group.eq(0), column.eq(0), self.rows.eq(0)]
        with m.Elif(self.i_valid):
            m.d.sync += self.group.eq(self.group + 1)
            with m.If(pixel_end):
                m.d.sync += [self.group.eq(0), column.eq(column + 1)]
            with m.If(row_end):
                m.d.sync += [column.eq(0), self.rows.eq(self.rows + 1)]
        return m
