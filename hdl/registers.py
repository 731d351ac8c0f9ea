# SPDX-License-Identifier: Apache-2.0
"""The registers of a block. gen/registers/registers.rdl describes them; a test holds the two to each other."""

from amaranth.hdl import C, Cat, Module, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from .axi_lite import ADDRESS_BITS, BYTE_BITS
from .parameters import stream_length
from .timing import Timing

__all__ = ["MAP_VERSION", "Register", "Registers"]

MAGIC = int.from_bytes(b"TSE1", "big")
# Increased when software for an older map would go wrong.
MAP_VERSION = 1


class Register(enum.Enum, shape=ADDRESS_BITS - BYTE_BITS):
    """Numbers of the registers: a quarter of their addresses."""

    ID = 0x00 >> BYTE_BITS
    VERSION = 0x04 >> BYTE_BITS
    FINGERPRINT = 0x08 >> BYTE_BITS
    K = 0x0C >> BYTE_BITS
    LINE = 0x10 >> BYTE_BITS
    CHANNELS = 0x14 >> BYTE_BITS
    SQUEEZE = 0x18 >> BYTE_BITS
    FORMAT = 0x1C >> BYTE_BITS
    WORDS = 0x20 >> BYTE_BITS
    STATUS = 0x40 >> BYTE_BITS
    PEAK = 0x44 >> BYTE_BITS
    CONTROL = 0x48 >> BYTE_BITS
    LOAD = 0x50 >> BYTE_BITS
    LOAD_LAST = 0x54 >> BYTE_BITS


class Registers(wiring.Component):
    """Holds the registers, and a word of the parameter stream on its way to the block.

    `version` are the major, minor and patch numbers of tiled-se. A bit of STATUS that is written as 1 is cleared in the
    block, where an error in the same cycle wins.

    Members
    -------
    write, write_word, data, strobes, write_error, read_word, read_data, read_error
        Those of :class:`AxiLite`.
    busy, frame_error, peak : In
        From the block.
    clear_frame_error, reset : Out
        To the block; ``reset`` is held until software writes it again.
    loaded, load_error, clear_load_error : In, In, Out
        As these, and only for loadable blocks, like the stream.
    w_valid, w_ready, w_data, w_last : stream
    """

    def __init__(self, config, version):
        self.config, self.version = config, version
        word = ADDRESS_BITS - BYTE_BITS
        super().__init__({
            "write": In(1), "write_word": In(word), "data": In(32), "strobes": In(4), "write_error": Out(1),
            "read_word": In(word), "read_data": Out(32), "read_error": Out(1),
            "busy": In(1), "frame_error": In(1), "peak": In(range(Timing(config).buffer_words + 1)),
            "clear_frame_error": Out(1), "reset": Out(1),
            **({"loaded": In(1), "load_error": In(1), "clear_load_error": Out(1),
                "w_valid": Out(1), "w_ready": In(1), "w_data": Out(32), "w_last": Out(1)} if config.loadable else {}),
        })

    def elaborate(self, platform):
        m = Module()
        status, clears = [self.busy, self.frame_error], Signal(8)
        with m.If(self.write & (self.write_word == Register.STATUS.value) & self.strobes[0]):
            m.d.comb += clears.eq(self.data)
        with m.If(self.write & (self.write_word == Register.CONTROL.value) & self.strobes[0]):
            m.d.sync += self.reset.eq(self.data[0])
        m.d.comb += self.clear_frame_error.eq(clears[1])
        if self.config.loadable:
            ready, overrun, partial = self._load(m, clears[5])
            status += [self.loaded, self.load_error, ready, overrun]
            m.d.comb += self.clear_load_error.eq(clears[3])
        values = self._constants() | {
            Register.STATUS: Cat(status), Register.PEAK: self.peak, Register.CONTROL: self.reset}
        if self.config.loadable:
            values |= {Register.LOAD: C(0), Register.LOAD_LAST: C(0)}
        with m.Switch(self.read_word):
            for register, value in values.items():
                with m.Case(register.value):
                    m.d.comb += self.read_data.eq(value)
            with m.Default():
                m.d.comb += self.read_error.eq(1)
        with m.Switch(self.write_word):
            for register in values:
                with m.Case(register.value):
                    loads = register in (Register.LOAD, Register.LOAD_LAST)
                    m.d.comb += self.write_error.eq(partial if loads else 0)
            with m.Default():
                m.d.comb += self.write_error.eq(1)
        return m

    def _load(self, m, clear_overrun):
        """Hold a word until the block takes it; returns 'a word may come', 'one was lost', 'a write has no full word'.

        A write never waits for the block, as the bus would then wait for the end of a frame. After its first word a
        stream is taken word by word in the cycle after it was written, so that only the first one has to be waited for.
        """
        ready, overrun, partial, offered = Signal(), Signal(), Signal(), Signal()
        last = self.write_word == Register.LOAD_LAST.value
        m.d.comb += [
            ready.eq(~self.w_valid & ~self.reset), partial.eq(~self.strobes.all()),
            offered.eq(self.write & ((self.write_word == Register.LOAD.value) | last) & ~partial),
        ]
        with m.If(self.w_ready | self.reset):
            m.d.sync += self.w_valid.eq(0)
        with m.If(clear_overrun):
            m.d.sync += overrun.eq(0)
        with m.If(offered & ready):
            m.d.sync += [self.w_valid.eq(1), self.w_data.eq(self.data), self.w_last.eq(last)]
        with m.If(offered & ~ready):
            m.d.sync += overrun.eq(1)
        return ready, overrun, partial

    def _constants(self):
        """The values of the registers that tell which block it is."""
        config = self.config
        major, minor, patch = self.version
        layout = Cat(C(config.lanes, 8), C(config.data.bits, 5), C(config.data.signed, 3),
                     C(config.outputs.bits, 5), C(config.outputs.signed, 1))
        return {
            Register.ID: C(MAGIC, 32), Register.VERSION: Cat(C(patch, 8), C(minor, 8), C(major, 8), C(MAP_VERSION, 8)),
            Register.FINGERPRINT: C(config.fingerprint, 32), Register.K: C(config.k), Register.LINE: C(config.width),
            Register.CHANNELS: C(config.channels), Register.SQUEEZE: C(config.squeeze), Register.FORMAT: layout,
            Register.WORDS: C(stream_length(config) if config.loadable else 0),
        }
