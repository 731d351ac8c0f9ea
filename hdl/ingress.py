# SPDX-License-Identifier: Apache-2.0
"""Taking beats: when one may come, where it stands, and what happens where a tile ends."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .position import TilePosition
from .queue import Queue
from .scale import Tile
from .timing import TILES_UNDER_WAY

__all__ = ["Ingress"]


class Ingress(wiring.Component):
    """Decides a cycle ahead whether a beat may come: ``ready`` is a register.

    Members
    -------
    i_valid, i_last, ready : stream
    take, group, first_pixel : Out
        A beat is taken; its place in the pixel; whether that is its tile's first pixel.
    in_frame, error : Out
        A frame has begun and not ended; one has ended off a row's end (sticky).
    admit : In
        A frame may start.
    room, tail : In
        Of the tile buffer: there will be room in the next cycle; the address of the beat that is taken.
    sums_free, busy : In
        Of excite: a tile's sums can be taken; of the accumulator: one is on its way.
    flush, rows, words : Out
        A finished tile's sums go to excite: its rows, less one, and the words that it has reached.
    tile_valid, tile, release : Out, Out, In
        The oldest finished tile; it is done with.
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
        """The finished tiles; returns 'there is room for another, even if one ends in this cycle'."""
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

        They wait until excite can take them; those of a cut tile, which may have ended on a sum that is still under
        way, also for that. Any other tile's last pixel takes long enough to land.
        """
        waiting, cut = Signal(), Signal()
        free, at_once, later = Signal(), Signal(), Signal()
        m.d.comb += [
            # The memory is taken from the cycle after `flush` on.
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
