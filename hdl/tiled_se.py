# SPDX-License-Identifier: Apache-2.0
"""The block: tiled squeeze-and-excite of a stream of rows."""

from amaranth.hdl import Cat, Const, Module, Signal, signed
from amaranth.lib import data, fifo, wiring
from amaranth.lib.wiring import In, Out

from .accumulate import Accumulator
from .excite import Excite
from .loader import Loader, ParameterStore
from .position import TilePosition
from .scale import Scale
from .scale_fifo import ScaleFifo
from .tile_buffer import TileBuffer
from .timing import TILES_UNDER_WAY, Timing

__all__ = ["TiledSE"]


class TiledSE(wiring.Component):
    """Tiled squeeze-and-excite, AXI4-Stream in and out.

    Parameters
    ----------
    config : Config
    parameters : Parameters, optional
        What to bake in; needed unless ``config.loadable``, and not allowed if so.

    Members
    -------
    s_axis_*, m_axis_*
        Beats of ``lanes`` channels, lane 0 in the low byte; channels, then pixels of a row, then rows; ``tlast`` with a
        frame's last beat. A frame may have any number of rows. A frame that ends off a row's end raises
        ``status_frame_error``; it is delivered beat for beat, its last tile with gates from the beats it has, and the
        next frame is right again.
    w_axis_*
        Loadable blocks only: the parameter stream. It is taken between frames, when all earlier outputs are delivered;
        no frame is taken before a stream was loaded, or while one is waiting or being loaded.
    status_frame_error : Out
        Sticky: ``tlast`` came off a row's end.
    status_peak_words : Out
        The most beats that the tile buffer ever held.
    status_loaded, status_load_error : Out
        Loadable blocks only: parameters are loaded; sticky: a stream was refused.
    """

    def __init__(self, config, parameters=None):
        if config.loadable == (parameters is not None):
            raise ValueError("a loadable block takes no parameters, any other needs them")
        if parameters is not None:
            parameters.validate(config)
        self.config, self.parameters = config, parameters
        bits = 8 * config.lanes
        members = {
            "s_axis_tdata": In(bits), "s_axis_tvalid": In(1), "s_axis_tready": Out(1), "s_axis_tlast": In(1),
            "m_axis_tdata": Out(bits), "m_axis_tvalid": Out(1), "m_axis_tready": In(1), "m_axis_tlast": Out(1),
            "status_frame_error": Out(1), "status_peak_words": Out(range(Timing(config).buffer_words + 1)),
        }
        if config.loadable:
            members |= {
                "w_axis_tdata": In(32), "w_axis_tvalid": In(1), "w_axis_tready": Out(1), "w_axis_tlast": In(1),
                "status_loaded": Out(1), "status_load_error": Out(1),
            }
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.accumulate = accumulate = Accumulator(config)
        m.submodules.excite = excite = Excite(config)
        m.submodules.scale_fifo = gates = ScaleFifo(config)
        m.submodules.tile_buffer = buffer = TileBuffer(config)
        m.submodules.scale = scale = Scale(config, buffer.tail.shape())
        admit, idle = Signal(), Signal()
        zero = self._parameters(m, excite, admit, idle)
        in_frame = self._ingress(m, buffer, accumulate, excite, scale, admit)
        m.d.comb += [
            idle.eq(~in_frame & buffer.empty & scale.idle),
            excite.i_valid.eq(accumulate.o_valid), excite.i_group.eq(accumulate.o_group),
            excite.i_sums.eq(accumulate.o_sums),
            excite.gates_free.eq(gates.free), gates.take.eq(excite.gates_take),
            gates.i_valid.eq(excite.o_valid), gates.i.eq(excite.o),
            gates.read.eq(scale.read), gates.group.eq(scale.group), gates.release.eq(scale.release),
            scale.gates.eq(gates.o), scale.zero.eq(zero),
            self.m_axis_tvalid.eq(scale.o_valid), scale.o_ready.eq(self.m_axis_tready),
            self.m_axis_tdata.eq(self._working(scale.o_data.as_value())), self.m_axis_tlast.eq(scale.o_last),
        ]
        return m

    def _working(self, beat):
        """Between the data's range and the working range: uint8 less 128 is int8, with the top bit flipped."""
        return beat if self.config.signed else beat ^ int.from_bytes(b"\x80" * self.config.lanes, "little")

    def _ingress(self, m, buffer, accumulate, excite, scale, admit):
        """Take beats, into the tile buffer and the accumulator; returns 'a frame has begun and not ended'."""
        config = self.config
        m.submodules.position = position = TilePosition(config)
        tiles_layout = data.StructLayout({"end": buffer.tail.shape(), "last": 1})
        m.submodules.tiles = tiles = fifo.SyncFIFO(width=tiles_layout.size, depth=TILES_UNDER_WAY)
        take, in_frame = Signal(), Signal()
        # A finished tile's sums wait here until they can be copied out; its successor's first pixel overwrites them.
        waiting, cut = Signal(), Signal()
        working = data.View(data.ArrayLayout(signed(8), config.lanes), self._working(self.s_axis_tdata))
        m.d.comb += [
            # A cut tile may end on a sum that is still under way; any other has a pixel's cycles to land.
            accumulate.flush.eq(waiting & excite.sums_free & ~(cut & accumulate.busy)),
            self.s_axis_tready.eq(buffer.ready & tiles.w_rdy & (~waiting | accumulate.flush) & (in_frame | admit)),
            take.eq(self.s_axis_tvalid & self.s_axis_tready),
            position.i_valid.eq(take), position.i_last.eq(self.s_axis_tlast),
            buffer.write.eq(take), buffer.i.eq(working.as_value()),
            accumulate.i_valid.eq(take), accumulate.i_group.eq(position.group),
            accumulate.i_first.eq(position.first_pixel), accumulate.i_data.eq(working),
            excite.i_start.eq(accumulate.flush),
            tiles.w_en.eq(position.tile_end), tiles.w_data.eq(Cat(buffer.tail, self.s_axis_tlast)),
        ]
        with m.If(accumulate.flush):
            m.d.sync += waiting.eq(0)
        with m.If(position.tile_end):
            m.d.sync += [waiting.eq(1), cut.eq(position.cut), excite.i_rows.eq(position.rows)]
            m.d.sync += accumulate.flush_words.eq(config.groups)
            with m.If(position.first_pixel):
                m.d.sync += accumulate.flush_words.eq(position.group + 1)
        with m.If(take):
            m.d.sync += in_frame.eq(~self.s_axis_tlast)
        with m.If(position.cut):
            m.d.sync += self.status_frame_error.eq(1)

        tile = data.View(tiles_layout, tiles.r_data)
        m.d.comb += [
            scale.tile_valid.eq(tiles.r_rdy & m.submodules.scale_fifo.tile_valid),
            scale.tile_end.eq(tile.end), scale.tile_last.eq(tile.last), tiles.r_en.eq(scale.release),
            scale.head.eq(buffer.head), buffer.read.eq(scale.read),
            scale.x.eq(data.View(working.shape(), buffer.o)),
            self.status_peak_words.eq(buffer.peak),
        ]
        return in_frame

    def _parameters(self, m, excite, admit, idle):
        """The parameter memories and what fills them; returns the zero point in the working range."""
        m.submodules.parameters = store = ParameterStore(self.config, self.parameters)
        m.d.comb += [
            store.weight_address.eq(excite.weight_address), excite.weights.eq(store.weights),
            store.record_address.eq(excite.record_address), excite.record.eq(store.record),
        ]
        if not self.config.loadable:
            # Low in reset, so that no source believes a beat to be taken.
            m.d.sync += admit.eq(1)
            return Const(self.parameters.working_zero, signed(8))
        m.submodules.loader = loader = Loader(self.config)
        m.d.comb += [
            loader.i_valid.eq(self.w_axis_tvalid), self.w_axis_tready.eq(loader.i_ready),
            loader.i_data.eq(self.w_axis_tdata), loader.i_last.eq(self.w_axis_tlast),
            loader.start.eq(idle), admit.eq(loader.loaded & ~loader.waiting),
            store.word.eq(loader.word), store.address.eq(loader.address),
            store.weights_write.eq(loader.weights_write), store.records_write.eq(loader.records_write),
            self.status_loaded.eq(loader.loaded), self.status_load_error.eq(loader.error),
        ]
        return loader.zero
