# SPDX-License-Identifier: Apache-2.0
"""Ingress takes beats: it decides when one may come, finds its place in the tile, and handles the end of a tile."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .config import Context
from .patch_position import PatchPosition
from .position import TilePosition
from .queue import Queue
from .row_count import rows_shape
from .scale import Tile
from .timing import TILES_UNDER_WAY

__all__ = ["Ingress"]


class Ingress(wiring.Component):
    """Decides one cycle ahead whether a beat may come: ``ready`` is a register.

    Members
    -------
    i_valid, i_last, ready : stream
    take, group, first_pixel : Out
        A beat is taken; its group in the pixel; whether it belongs to the first pixel of its sums.
    counted : Out
        Only outside of the context TILE, which adds every beat to the sums: the beat is added.
    in_frame, error : Out
        A frame has begun and not ended; a frame has ended before the end of a row (sticky).
    clear : In
        Only of a `clearable` one: the error is forgotten, but for one in this cycle.
    admit : In
        A frame may start.
    room, tail : In
        From the tile buffer: it has room in the next cycle; the address of the beat that is taken.
    sums_free, busy : In
        From excite: it can take a tile's sums. From the accumulator: a sum is on its way into the memory.
    flush, rows, words : Out
        Finished sums go to excite; their rows, as in `TilePosition`; the number of groups that they have reached.
    start : Out
        CAUSAL only: excite starts, with the sums of a `flush` or, at a frame's start, with none.
    copying : In
        CUMULATIVE and CAUSAL only: the accumulator copies sums out in the next cycle, too.
    tile_valid, tile, release : Out, Out, In
        The oldest finished tile; all of it was read.
    """

    def __init__(self, config, address_shape, clearable=False):
        self.config, self.clearable = config, clearable
        super().__init__({
            "i_valid": In(1), "i_last": In(1), "ready": Out(1), "take": Out(1),
            "group": Out(range(config.groups)), "first_pixel": Out(1), "in_frame": Out(1), "error": Out(1),
            "admit": In(1), "room": In(1), "tail": In(address_shape), "sums_free": In(1), "busy": In(1),
            "flush": Out(1), "rows": Out(rows_shape(config)), "words": Out(range(config.groups + 1)),
            **({"clear": In(1)} if clearable else {}),
            **({} if config.context is Context.TILE else {"counted": Out(1)}),
            **({"copying": In(1)} if config.context.running else {}),
            **({"start": Out(1)} if config.context is Context.CAUSAL else {}),
            "tile_valid": Out(1), "tile": Out(Tile(address_shape)), "release": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.position = position = (PatchPosition if self.config.tiles_across > 1 else TilePosition)(
            self.config)
        goes_on = Signal()
        m.d.comb += [
            self.take.eq(self.i_valid & self.ready),
            position.i_valid.eq(self.take), position.i_last.eq(self.i_last),
            self.group.eq(position.group), self.first_pixel.eq(position.first_pixel),
            goes_on.eq(self.in_frame),
        ]
        with m.If(self.take):
            m.d.comb += goes_on.eq(~self.i_last)
        if self.clearable:
            with m.If(self.clear):
                m.d.sync += self.error.eq(0)
        with m.If(position.cut):
            m.d.sync += self.error.eq(1)
        m.d.sync += [
            self.in_frame.eq(goes_on),
            self.ready.eq(self.room & self._tiles(m, position) & self._sums_written(m, position)
                          & (goes_on | self.admit)),
        ]
        return m

    def _sums_written(self, m, position):
        """'The next beat may be added to its sum in the next cycle'."""
        if self.config.context is Context.CAUSAL:
            return self._causal(m, position) & self._in_step(position)
        if self.config.context is Context.CUMULATIVE:
            return self._sums(m, position) & self._in_step(position)
        return self._sums(m, position)

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
        """Hand finished sums over; returns 'the first pixel that comes next may overwrite them in the next cycle'.

        The sums wait until excite can take them. Those of a cut tile also wait until the accumulator has written its
        last sum. In any other tile that sum is written in time.
        """
        if self.config.context is Context.TILE:
            complete = position.tile_end
        else:
            complete = position.hand_over
            m.d.comb += self.counted.eq(position.counted)
        waiting, cut = Signal(), Signal()
        free, at_once, later = Signal(), Signal(), Signal()
        m.d.comb += [
            # `sums_free` falls one cycle after `flush`.
            free.eq(self.sums_free & ~self.flush),
            at_once.eq(free & ~position.cut),
            later.eq(waiting & free & ~(cut & self.busy)),
        ]
        m.d.sync += self.flush.eq((complete & at_once) | later)
        with m.If(later):
            m.d.sync += waiting.eq(0)
        with m.If(complete):
            m.d.sync += [waiting.eq(~at_once), cut.eq(position.cut), self.rows.eq(position.rows)]
            m.d.sync += self.words.eq(self.config.groups)
            with m.If(position.first_pixel):
                m.d.sync += self.words.eq(position.group + 1)
            if self.config.context is Context.WINDOW:
                # The frame ends before the window.
                with m.If(~position.counted):
                    m.d.sync += self.words.eq(0)
        return Mux(complete, at_once, ~waiting | later)

    def _causal(self, m, position):
        """As `_sums`, for sums of the rows before a tile: the prior at a frame's start, else the previous tile's end.

        Both can be due with the same beat; the prior then goes first.
        """
        config = self.config
        free, prior, sums = Signal(), Signal(), Signal()
        waiting_prior, waiting_sums = Signal(), Signal()
        rows, alone = Signal(self.rows.shape()), Signal()
        m.d.comb += [
            self.counted.eq(position.counted),
            # `sums_free` falls one cycle after `start`.
            free.eq(self.sums_free & ~self.start),
            prior.eq((position.frame_start | waiting_prior) & free),
            sums.eq((position.hand_over | waiting_sums) & free & ~position.frame_start & ~waiting_prior),
            self.rows["count"].eq(Mux(alone, config.prior_rows, rows["count"])),
            self.rows.log.eq(Mux(alone, (config.prior_rows - 1).bit_length(), rows.log)),
            self.words.eq(Mux(alone, 0, config.groups)),
        ]
        m.d.sync += [
            self.start.eq(prior | sums), alone.eq(prior), self.flush.eq(sums),
            waiting_prior.eq((position.frame_start | waiting_prior) & ~prior),
            waiting_sums.eq((position.hand_over | waiting_sums) & ~sums),
        ]
        with m.If(position.hand_over):
            m.d.sync += rows.eq(position.rows)
        return ~((position.frame_start | waiting_prior) & ~prior | (position.hand_over | waiting_sums) & ~sums)

    def _in_step(self, position):
        """'The next beat's sum can be read in the next cycle'.

        While sums are copied out, only one read port serves both: a beat is taken only in step with the copy, whose
        read is then the beat's, too. The first pixel of a frame reads no sums.
        """
        return ~self.copying | self.take | position.first_pixel
