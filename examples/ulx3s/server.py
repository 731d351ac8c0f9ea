# SPDX-License-Identifier: Apache-2.0
"""A loadable block behind packets: answers each packet of ``protocol.py``."""

from amaranth.hdl import Cat, Module, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from gearbox import Packer, Unpacker
from protocol import Kind
from slip import Octet

from tiled_se.hdl.tiled_se import TiledSE

__all__ = ["Server"]

WORD_BYTES = 4
# The block's status follows the last word of a parameter stream by fewer cycles.
SETTLE_CYCLES = 15


class Server(wiring.Component):
    """Takes packets one after the other: the next one when the answer to the last one has left.

    While a frame comes, its outputs leave. Nothing is lost: if the block, or whoever takes ``o``, is not ready, ``i``
    waits.

    Members
    -------
    i, o : stream
        Octets of packets, and of their answers.
    status : Out
        The lowest bits of ``protocol.Status`` as they are now: those of the block's ports.
    fault : Out
        Sticky until a reset packet: a packet was answered with another bit than those.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({"i": In(stream.Signature(Octet)), "o": Out(stream.Signature(Octet)),
                          "status": Out(3), "fault": Out(1)})

    def elaborate(self, platform):
        m = Module()
        config = self.config
        block, reset = TiledSE(config), Signal()
        m.submodules.block = ResetInserter(reset)(block)
        m.submodules.words = words = Packer(WORD_BYTES)
        m.submodules.beats = beats = Packer(config.data.beat_bytes(config.lanes))
        m.submodules.outputs = outputs = Unpacker(config.outputs.beat_bytes(config.lanes))
        for stream_, prefix in ((words.o, "w_axis"), (beats.o, "s_axis")):
            tdata, tvalid, tlast, tready = (getattr(block, f"{prefix}_t{end}")
                                            for end in ("data", "valid", "last", "ready"))
            m.d.comb += [tdata.eq(stream_.payload.data), tvalid.eq(stream_.valid), tlast.eq(stream_.payload.last),
                         stream_.ready.eq(tready)]
        m.d.comb += [
            outputs.i.payload.data.eq(block.m_axis_tdata), outputs.i.payload.last.eq(block.m_axis_tlast),
            outputs.i.valid.eq(block.m_axis_tvalid), block.m_axis_tready.eq(outputs.i.ready),
            self.status.eq(Cat(block.status_loaded, block.status_load_error, block.status_frame_error)),
        ]
        for packer in (words, beats):
            m.d.comb += [packer.i.payload.data.eq(self.i.payload.byte), packer.i.payload.last.eq(self.i.payload.last)]
        self._packets(m, block, reset, words, beats, outputs)
        return m

    def _packets(self, m, block, reset, words, beats, outputs):
        kind, ended, settled = Signal(8), Signal(), Signal(range(SETTLE_CYCLES + 1))
        cut, line, refused = Signal(), Signal(), Signal()
        taken = self.i.valid & self.i.ready
        with m.If(taken & self.i.payload.last):
            m.d.sync += [ended.eq(1), line.eq(self.i.payload.error)]
        for packer in (words, beats):
            with m.If(packer.o.valid & packer.o.ready & packer.cut):
                m.d.sync += cut.eq(1)
        with m.FSM():
            with m.State("KIND"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.d.sync += [kind.eq(self.i.payload.byte), ended.eq(self.i.payload.last), cut.eq(0),
                                 refused.eq(0), line.eq(self.i.payload.last & self.i.payload.error)]
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.byte.eq(kind)]
                with m.If(self.o.ready):
                    m.next = "REFUSE"
                    with m.If(kind == Kind.RESET):
                        m.next = "RESET"
                    with m.Elif((kind == Kind.PARAMETERS) & ~ended):
                        m.next = "LOAD"
                    with m.Elif((kind == Kind.FRAME) & ~ended & block.status_loaded):
                        m.next = "FRAME"
            with m.State("RESET"):
                m.d.comb += reset.eq(1)
                m.d.sync += self.fault.eq(0)
                m.next = "SETTLE"
            with m.State("REFUSE"):
                m.d.sync += refused.eq(1)
                m.next = "SETTLE"
            with m.State("LOAD"):
                m.d.comb += [words.i.valid.eq(self.i.valid & ~ended), self.i.ready.eq(words.i.ready & ~ended)]
                with m.If(ended):
                    m.next = "SETTLE"
            with m.State("FRAME"):
                m.d.comb += [
                    beats.i.valid.eq(self.i.valid & ~ended), self.i.ready.eq(beats.i.ready & ~ended),
                    self.o.valid.eq(outputs.o.valid), self.o.payload.byte.eq(outputs.o.payload.data),
                    outputs.o.ready.eq(self.o.ready),
                ]
                with m.If(outputs.o.valid & outputs.o.ready & outputs.o.payload.last):
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                m.d.sync += settled.eq(settled + 1)
                with m.If(settled == SETTLE_CYCLES):
                    m.d.sync += settled.eq(0)
                    m.next = "STATUS"
            with m.State("STATUS"):
                flags = Cat(cut, line, refused)
                m.d.comb += [self.o.valid.eq(1), self.o.payload.last.eq(1),
                             self.o.payload.byte.eq(Cat(self.status, flags))]
                m.d.sync += self.fault.eq(self.fault | flags.any())
                with m.If(self.o.ready):
                    m.next = "DISCARD"
            with m.State("DISCARD"):
                # A packet that was refused: its sender may wait for an answer before it sends all of it.
                m.d.comb += self.i.ready.eq(~ended)
                with m.If(ended):
                    m.next = "KIND"
