# SPDX-License-Identifier: Apache-2.0
"""The block: tiled squeeze-and-excite of a stream of rows."""

from amaranth.hdl import Const, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .accumulate import Accumulator
from .arithmetic import delay
from .config import Context
from .excite import Excite
from .ingress import Ingress
from .latency import ram_latency
from .loader import Loader, ParameterStore
from .patch_gates import PatchGates
from .patch_ingress import PatchIngress
from .patch_scale import PatchScale
from .patch_sums import PatchSums
from .scale import Scale
from .scale_fifo import ScaleFifo
from .tile_buffer import TileBuffer
from .timing import Timing

__all__ = ["TiledSE"]


class TiledSE(wiring.Component):
    """Tiled squeeze-and-excite, AXI4-Stream in and out.

    The `parameters` are baked in: they are required if ``config.loadable`` is False, else not allowed.

    Members
    -------
    s_axis_*, m_axis_*
        Beats of ``lanes`` channels, lane 0 in the low bits, without gaps; zeros above them fill whole bytes. Order:
        channels, then pixels of a row, then rows. ``tlast`` is high with a frame's last beat. A frame may have any
        number of rows. A frame that ends before the end of a row raises ``status_frame_error``. All its beats are
        delivered, its last tile with gates from the beats that it has, and the next frame is computed correctly.
    w_axis_*
        Loadable blocks only: the parameter stream. The block takes a stream between frames, after all earlier outputs
        have left. It takes no frame before parameters are loaded, or while a stream waits or is being loaded.
    status_frame_error : Out
        Sticky: ``tlast`` came before the end of a row.
    status_peak_words : Out
        The largest number of beats that the tile buffer has held.
    status_loaded, status_load_error : Out
        Loadable blocks only: parameters are loaded; sticky: a stream was refused.
    busy, clear_frame_error, clear_load_error : Out, In, In
        Only with `registers`: a frame is in the block, or a parameter stream waits or is being loaded; the errors are
        forgotten, but for those in this cycle. The last one is of loadable blocks only.
    """

    def __init__(self, config, parameters=None, registers=False):
        if config.loadable == (parameters is not None):
            raise ValueError("a loadable block takes no parameters, any other needs them")
        if parameters is not None:
            parameters.validate(config)
        self.config, self.parameters, self.registers = config, parameters, registers
        inputs, outputs = (8 * kind.beat_bytes(config.lanes) for kind in (config.data, config.outputs))
        members = {
            "s_axis_tdata": In(inputs), "s_axis_tvalid": In(1), "s_axis_tready": Out(1), "s_axis_tlast": In(1),
            "m_axis_tdata": Out(outputs), "m_axis_tvalid": Out(1), "m_axis_tready": In(1), "m_axis_tlast": Out(1),
            "status_frame_error": Out(1), "status_peak_words": Out(range(Timing(config).buffer_words + 1)),
        }
        if config.loadable:
            members |= {
                "w_axis_tdata": In(32), "w_axis_tvalid": In(1), "w_axis_tready": Out(1), "w_axis_tlast": In(1),
                "status_loaded": Out(1), "status_load_error": Out(1),
            }
        if registers:
            members |= {"busy": Out(1), "clear_frame_error": In(1)}
            members |= {"clear_load_error": In(1)} if config.loadable else {}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        config = self.config
        banded = config.banded
        m.submodules.accumulate = accumulate = (PatchSums if banded else Accumulator)(config)
        m.submodules.excite = excite = Excite(config)
        m.submodules.scale_fifo = gates = (PatchGates if banded else ScaleFifo)(config)
        m.submodules.tile_buffer = buffer = TileBuffer(config)
        m.submodules.scale = scale = (PatchScale if banded else Scale)(config, buffer.tail.shape())
        admit, idle = Signal(), Signal()
        zero, outputs_zero = self._parameters(m, excite, admit, idle)
        m.submodules.ingress = ingress = (PatchIngress if banded else Ingress)(
            config, buffer.tail.shape(), clearable=self.registers)
        self._input(m, ingress, accumulate, excite, buffer)
        self._output(m, ingress, buffer, gates, scale)
        if banded:
            self._band(m, ingress, accumulate, gates, scale)
        if config.requantised:
            m.d.comb += scale.outputs_zero.eq(outputs_zero)
        m.d.comb += [
            ingress.admit.eq(admit), ingress.release.eq(scale.release), scale.zero.eq(zero),
            # A waiting parameter stream keeps frames from starting, so once the block is idle it stays idle.
            idle.eq(~ingress.in_frame & ~self.s_axis_tready & buffer.empty & scale.idle),
            excite.gates_free.eq(gates.free), gates.take.eq(excite.gates_take),
            gates.i_valid.eq(excite.o_valid), gates.i.eq(excite.o),
            self.status_frame_error.eq(ingress.error), self.status_peak_words.eq(buffer.peak),
        ]
        if self.registers:
            loading = m.submodules.loader.busy if config.loadable else 0
            m.d.comb += [
                ingress.clear.eq(self.clear_frame_error),
                self.busy.eq(ingress.in_frame | ~buffer.empty | ~scale.idle | loading),
            ]
        return m

    def _shifted(self, beat, kind):
        """Convert a beat between the range of `kind` and the signed range, which is lower by ``kind.offset``.

        The top bit of each unsigned integer is inverted.
        """
        return beat ^ sum(kind.offset << kind.bits * lane for lane in range(self.config.lanes)) if kind.offset else beat

    def _input(self, m, ingress, accumulate, excite, buffer):
        """Beats go into tile buffer and accumulator, a finished tile's sums to excite."""
        context = self.config.context
        beat = Signal(self.config.data.bits * self.config.lanes, reset_less=True)
        m.d.sync += beat.eq(self._shifted(self.s_axis_tdata, self.config.data))
        m.d.comb += [
            self.s_axis_tready.eq(ingress.ready), ingress.i_valid.eq(self.s_axis_tvalid),
            ingress.i_last.eq(self.s_axis_tlast),
            ingress.room.eq(buffer.ready), ingress.tail.eq(buffer.tail),
            ingress.sums_free.eq(excite.sums_free), ingress.busy.eq(accumulate.busy),
            buffer.write.eq(ingress.take), buffer.i.eq(beat),
            accumulate.i_valid.eq(ingress.take if context is Context.TILE else ingress.take & ingress.counted),
            accumulate.i_group.eq(ingress.group),
            accumulate.i_first.eq(ingress.first_pixel), accumulate.i_data.as_value().eq(beat),
            accumulate.flush.eq(ingress.flush),
            excite.i_start.eq(accumulate.o_start if self.config.banded
                              else ingress.start if context is Context.CAUSAL else ingress.flush),
            excite.i_rows.eq(ingress.rows), excite.i_words.eq(ingress.words),
            excite.i_valid.eq(accumulate.o_valid), excite.i_group.eq(accumulate.o_group),
            excite.i_sums.eq(accumulate.o_sums),
        ]
        if context.running:
            m.d.comb += ingress.copying.eq(accumulate.copying)

    def _band(self, m, ingress, sums, gates, scale):
        """Where each patch's sums and gates are."""
        m.d.comb += [
            sums.i_resumes.eq(ingress.resumes), sums.i_end.eq(ingress.band_end),
            sums.direct.eq(ingress.direct), sums.words.eq(ingress.flush_words), sums.end.eq(ingress.flush_end),
            sums.send.eq(ingress.send), sums.send_end.eq(ingress.send_end), sums.read_start.eq(ingress.read_start),
            ingress.reading_next.eq(sums.reading_next),
            gates.passed.eq(scale.passed), gates.freed.eq(scale.freed), gates.again.eq(scale.again),
            gates.first_row.eq(scale.first_row), gates.first_row_next.eq(scale.first_row_next),
            scale.band_valid.eq(ingress.tile_valid),
        ]

    def _output(self, m, ingress, buffer, gates, scale):
        """Finished tiles go from tile buffer and scale FIFO to the output."""
        timing = Timing(self.config)
        # Not 0 only if the scale FIFO's memory is slower than the tile buffer's.
        wait = timing.read_latency - ram_latency(timing.buffer_words)
        streams, banded = self.config.context.streams, self.config.banded
        if streams:
            m.d.comb += [scale.ended.eq(ingress.tile_valid), scale.head.eq(buffer.head)]
        m.d.comb += [
            buffer.read.eq(scale.read), scale.ahead.eq(buffer.ahead),
            gates.read.eq(scale.read), gates.group.eq(scale.group),
            *([] if banded else [gates.release.eq(scale.release)]),
            scale.tile_valid.eq((~scale.skipping if banded else buffer.readable if streams else ingress.tile_valid)
                                & gates.tile_valid),
            scale.tile.eq(ingress.tile),
            scale.x.as_value().eq(delay(m, buffer.o, wait, name="x")), scale.gates.eq(gates.o),
            self.m_axis_tvalid.eq(scale.o_valid), scale.o_ready.eq(self.m_axis_tready),
            self.m_axis_tdata.eq(self._shifted(scale.o_data.as_value(), self.config.outputs)),
            self.m_axis_tlast.eq(scale.o_last),
        ]

    def _parameters(self, m, excite, admit, idle):
        """The parameter memories, and the loader if there is one; returns the signed zero points of x and y."""
        m.submodules.parameters = store = ParameterStore(self.config, self.parameters)
        m.d.comb += [
            store.weight_address.eq(excite.weight_address), excite.weights.eq(store.weights),
            store.record_address.eq(excite.record_address), excite.record.eq(store.record),
        ]
        if self.config.prior_rows:
            m.d.comb += [store.prior_address.eq(excite.prior_address), excite.prior.eq(store.prior)]
        if not self.config.loadable:
            m.d.comb += [admit.eq(1), store.read.eq(1)]
            zero, outputs_zero = self.parameters.signed_zero_point, self.parameters.signed_outputs_zero_point
            return Const(zero, signed(self.config.data.bits)), outputs_zero
        m.submodules.loader = loader = Loader(self.config, clearable=self.registers)
        if self.registers:
            m.d.comb += loader.clear.eq(self.clear_load_error)
        m.d.comb += [
            loader.i_valid.eq(self.w_axis_tvalid), self.w_axis_tready.eq(loader.i_ready),
            loader.i_data.eq(self.w_axis_tdata), loader.i_last.eq(self.w_axis_tlast),
            loader.start.eq(idle), admit.eq(loader.loaded & ~loader.busy),
            store.loader_weights.eq(loader.weights), store.loader_record.eq(loader.record),
            store.address.eq(loader.address), store.read.eq(loader.loaded),
            store.weights_write.eq(loader.weights_write), store.records_write.eq(loader.records_write),
            self.status_loaded.eq(loader.loaded), self.status_load_error.eq(loader.error),
        ]
        if self.config.rescales:
            m.d.comb += excite.factor.eq(loader.factor)
        return loader.zero, loader.outputs_zero if self.config.requantised else None
