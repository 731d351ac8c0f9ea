# SPDX-License-Identifier: Apache-2.0
"""Ingress takes beats: it decides when one may come, finds its place in the tile, and handles the end of a tile."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .position import TilePosition
from .queue import Queue
from .scale import Tile
from .timing import TILES_UNDER_WAY

__all__ = ["Ingress"]


class Ingress(wiring.Component):
    """Decides one cycle ahead whether a beat may come: ``ready`` is a register.

    Members
    -------
    i_valid, i_last, ready : stream
    take, group, first_pixel : Out
        A beat is taken; its group in the pixel; whether it belongs to its tile's first pixel.
    in_frame, error : Out
        A frame has begun and not ended; a frame has ended before the end of a row (sticky).
    admit : In
        A frame may start.
    room, tail : In
        From the tile buffer: it has room in the next cycle; the address of the beat that is taken.
    sums_free, busy : In
        From excite: it can take a tile's sums. From the accumulator: a sum is on its way into the memory.
    flush, rows, words : Out
        A finished tile's sums go to excite; its rows, less one; the number of groups that it has reached.
    tile_valid, tile, release : Out, Out, In
        The oldest finished tile; all of it was read.
    """

    def __init__(self, config, address_shape):
        self.config = config
        super().__init__({
            "i_valid": In(1), "i_last": In(1), "ready": Out(1), "take": Out(1),
            "group": Out(range(config.groups)), "first_pixel": Out(1), "in_frame": Out(1), "error": Out(1),
            "admit": In(1), "room": In(1), "tail": In(address_shape), "sums_free": In(1), "busy": In(1),
            "flush": Out(1), "rows": Out(range(config.k)), "words": Out(range(config.groups + 1)),
            "tile_valid": Out(1), "tile": Out(Tile(address_shape)), "release": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.position = position = TilePosition(self.config)
        goes_on = Signal()
        m.d.comb += [
            self.take.eq(self.i_valid & self.ready),
            position.i_valid.eq(self.take), position.i_last.eq(self.i_last),
            self.group.eq(position.group), self.first_pixel.eq(position.first_pixel),
            goes_on.eq(self.in_frame),
        ]
        with m.If(self.take):
            m.d.comb += goes_on.eq(~self.i_last)
        with m.If(position.cut):
            m.d.sync += self.error.eq(1)
        m.d.sync += [
            self.in_frame.eq(goes_on),
            self.ready.eq(self.room & self._tiles(m, position) & self._sums(m, position) & (goes_on | self.admit)),
        ]
        return m

    def _tiles(self, m, position):
        """The queue of finished tiles; returns 'there is room for one more, even if a tile ends in this cycle'."""
        m.submodules.tiles = tiles = Queue(width=self.tile.shape().size, depth=TILES_UNDER_WAY)
        count = Signal(range(TILES_UNDER_WAY + 1))
        m.d.sync += count.eq(count + position.tile_end - self.release)
        m.d.comb += [
            tiles.i_valid.eq(position.tile_end),
            tiles.i.eq(Cat(self.tail, position.first_beat, self.i_last)),
            self.tile_valid.eq(tiles.o_valid), self.tile.as_value().eq(tiles.o), tiles.o_ready.eq(self.release),
        ]
        return ~((count == TILES_UNDER_WAY) | ((count == TILES_UNDER_WAY - 1) & position.tile_end))

    def _sums(self, m, position):
        """Hand a finished tile's sums over; returns 'the next tile's first pixel may overwrite them in the next cycle'.

        The sums wait until excite can take them. Those of a cut tile also wait until the accumulator has written its
        last sum. In any other tile that sum is written in time.
        """
        waiting, cut = Signal(), Signal()
        free, at_once, later = Signal(), Signal(), Signal()
        m.d.comb += [
            # `sums_free` falls one cycle after `flush`.
            free.eq(self.sums_free & ~self.flush),
            at_once.eq(free & ~position.cut),
            later.eq(waiting & free & ~(cut & self.busy)),
        ]
        m.d.sync += self.flush.eq((position.tile_end & at_once) | later)
        with m.If(later):
            m.d.sync += waiting.eq(0)
        with m.If(position.tile_end):
            m.d.sync += [waiting.eq(~at_once), cut.eq(position.cut), self.rows.eq(position.rows)]
            m.d.sync += self.words.eq(self.config.groups)
            with m.If(position.first_pixel):
                m.d.sync += self.words.eq(position.group + 1)
        return Mux(position.tile_end, at_once, ~waiting | later)
