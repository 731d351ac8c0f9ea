# SPDX-License-Identifier: Apache-2.0
"""The parameter memories, and the loader that fills them from a stream."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import delay
from .parameters import ZERO_POINT_BITS, prior_words, record_words, weight_words
from .ram import Ram
from .requantise import Record

__all__ = ["Loader", "ParameterStore"]

WORD = 32


class Phase(enum.Enum, shape=5):
    """What the next word of a parameter stream is. One-hot: a phase is recognised by one bit."""

    FINGERPRINT = 1
    ZERO = 2
    WEIGHTS = 4
    RECORDS = 8
    DISCARD = 16


class Loader(wiring.Component):
    """Writes the words of a parameter stream (``parameters.stream_words``) to the memories.

    A stream that has another fingerprint, ends early or is too long leaves the block unloaded and raises ``error``,
    which is sticky. The loader always takes a stream up to its ``tlast``; the next stream can then be correct.

    Members
    -------
    i_valid, i_ready, i_data, i_last : stream
    start : In
        A stream may start: no frame is in the block.
    busy : Out
        A stream waits to start, or is being loaded.
    loaded, error : Out
    clear : In
        Only of a `clearable` one: the error is forgotten, but for one in this cycle.
    zero, outputs_zero, factor : Out
        The latter two only where the outputs have a format of their own, and where the block ``rescales``.
    weights, record : Out
        A memory word, valid with ``weights_write`` or ``records_write``, for ``address``. A record has the prior of its
        channel in the upper bits, if the block has one.
    """

    def __init__(self, config, clearable=False):
        self.config, self.clearable = config, clearable
        self.weights_depth = config.weight_depth
        self.records_depth = config.squeeze + config.channels
        super().__init__({
            "i_valid": In(1), "i_ready": Out(1), "i_data": In(WORD), "i_last": In(1),
            "start": In(1), "busy": Out(1), "loaded": Out(1), "error": Out(1), "zero": Out(signed(config.data.bits)),
            **({"outputs_zero": Out(signed(config.outputs.bits))} if config.requantised else {}),
            **({"factor": Out(config.factor_bits + 1)} if config.rescales else {}),
            "weights": Out(config.weight_bits * config.macs), "record": Out(config.record_bits + config.prior_bits),
            "address": Out(range(max(self.weights_depth, self.records_depth))),
            "weights_write": Out(1), "records_write": Out(1),
            **({"clear": In(1)} if clearable else {}),
        })

    def elaborate(self, platform):
        m = Module()
        waiting = Signal()
        take = Signal()
        m.d.comb += take.eq(self.i_valid & self.i_ready)
        m.d.sync += waiting.eq(self.i_valid & ~self.i_ready)
        with m.If(waiting & self.start):
            m.d.sync += self.i_ready.eq(1)
        with m.If(take & self.i_last):
            m.d.sync += self.i_ready.eq(0)

        # Everything else runs a cycle later, so that the inputs of the block reach only these registers.
        words = max(self._parts(self.weights), self._parts(self.record))
        received = Signal(WORD * words, reset_less=True)
        with m.If(take):
            m.d.sync += received.eq(Cat(received, self.i_data)[WORD:])
        valid = delay(m, take, 1, name="valid", reset_less=False)
        # Busy until the last word has taken effect: it may be the word that leaves the block unloaded.
        m.d.comb += self.busy.eq(waiting | self.i_ready | valid)
        foreign = delay(m, self.i_data != self.config.fingerprint, 1, name="foreign")
        self._follow(m, valid, delay(m, self.i_last, 1, name="last"), foreign, received[-WORD:])
        # `received` has the newest word at the top. The memory with fewer words per entry uses only the top ones.
        for word in (self.weights, self.record):
            m.d.comb += word.eq(received[WORD * (words - self._parts(word)):])
        return m

    @staticmethod
    def _parts(word):
        """Stream words of a memory word."""
        return -(-len(word) // WORD)

    def _follow(self, m, valid, last, foreign, data):
        """The phases of a stream; `foreign` is 'the word is not the fingerprint'."""
        phase, final = Signal(Phase, init=Phase.FINGERPRINT), Signal()
        fingerprint, zero, weights, records, discard = phase.as_value()
        complete, memory_end = self._places(m, valid, last, zero, weights, records)
        m.d.comb += [
            final.eq(records & complete & memory_end),
            self.weights_write.eq(valid & weights & complete), self.records_write.eq(valid & records & complete),
        ]
        if self.clearable:
            with m.If(self.clear):
                m.d.sync += self.error.eq(0)
        with m.If(valid):
            with m.If(fingerprint):
                m.d.sync += [self.loaded.eq(0), phase.eq(Phase.ZERO)]
                with m.If(foreign):
                    m.d.sync += [self.error.eq(1), phase.eq(Phase.DISCARD)]
            with m.If(zero):
                self._numbers(m, phase, last, data)
            with m.If(weights & complete & memory_end):
                m.d.sync += phase.eq(Phase.RECORDS)
            with m.If(final):
                m.d.sync += phase.eq(Phase.DISCARD)
            with m.If(last):
                m.d.sync += [phase.eq(Phase.FINGERPRINT), self.loaded.eq(final)]
            with m.If(~discard & (last != final)):
                m.d.sync += self.error.eq(1)

    def _numbers(self, m, phase, last, data):
        """Take the zero points and, with another word, the factor."""
        m.d.sync += phase.eq(Phase.WEIGHTS)
        bits = self.config.data.bits, self.config.outputs.bits
        zero_points = [self.zero.eq(data[:bits[0]].as_signed())]
        if self.config.requantised:
            zero_points.append(self.outputs_zero.eq(data[ZERO_POINT_BITS:][:bits[1]].as_signed()))
        if not self.config.rescales:
            m.d.sync += zero_points
            return
        second = Signal()
        m.d.sync += second.eq(~second & ~last)
        with m.If(second):
            m.d.sync += self.factor.eq(data[:len(self.factor)])
        with m.Else():
            m.d.sync += [*zero_points, phase.eq(Phase.ZERO)]

    def _places(self, m, valid, last, zero, weights, records):
        """Counts the words of a memory word, and those of a memory; returns 'it is the last' of both."""
        parts = (self._parts(self.weights), self._parts(self.record))
        part = Signal(range(max(parts)))
        complete, memory_end = Signal(), Signal()
        with m.If(valid):
            m.d.sync += [part.eq(part + 1), complete.eq(part == Mux(records, parts[1] - 2, parts[0] - 2))]
            # Both memories have two words at least.
            with m.If(complete):
                m.d.sync += [
                    part.eq(0), complete.eq(Mux(records | memory_end, parts[1] == 1, parts[0] == 1)),
                    self.address.eq(self.address + 1),
                    memory_end.eq(self.address == Mux(records, self.records_depth - 2, self.weights_depth - 2))]
                with m.If(memory_end):
                    m.d.sync += [self.address.eq(0), memory_end.eq(0)]
            with m.If(last | ~(weights | records)):
                m.d.sync += [part.eq(0), complete.eq(zero & (parts[0] == 1)), self.address.eq(0), memory_end.eq(0)]
        return complete, memory_end


class ParameterStore(wiring.Component):
    """The memories of weights, requantisation records and perhaps the prior: ROMs if `parameters` are given, else RAMs.

    Members
    -------
    weight_address, record_address, prior_address : In
    weights, record, prior : Out
        ``ram_latency`` of their depth after their address.
    read : In
        Read enable; low while the memories are written.
    loader_weights, loader_record, address, weights_write, records_write : In
        From the loader.
    """

    def __init__(self, config, parameters=None):
        self.config, self.parameters = config, parameters
        records = config.squeeze + config.channels
        super().__init__({
            "weight_address": In(range(config.weight_depth)),
            "weights": Out(data.ArrayLayout(signed(config.weight_bits), config.macs)),
            "record_address": In(range(records)), "record": Out(Record(config)),
            **({"prior_address": In(range(config.channels)), "prior": Out(signed(config.prior_bits))}
               if config.prior_rows else {}),
            "loader_weights": In(config.weight_bits * config.macs),
            "loader_record": In(config.record_bits + config.prior_bits),
            "address": In(range(max(config.weight_depth, records))),
            "weights_write": In(1), "records_write": In(1), "read": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        contents = [None, None] if self.parameters is None else [
            words(config, self.parameters) for words in (weight_words, record_words)]
        for name, depth, init, write, word, address, output in (
            ("weights", config.weight_depth, contents[0], self.weights_write, self.loader_weights,
             self.weight_address, self.weights),
            ("records", config.squeeze + config.channels, contents[1], self.records_write, self.loader_record,
             self.record_address, self.record),
        ):
            m.submodules[f"{name}_ram"] = ram = Ram(width=output.shape().size, depth=depth, init=init)
            m.d.comb += [ram.re.eq(self.read), ram.raddr.eq(address), output.as_value().eq(ram.rdata),
                         ram.we.eq(write), ram.waddr.eq(self.address), ram.wdata.eq(word)]
        if config.prior_rows:
            self._prior(m)
        return m

    def _prior(self, m):
        """The memory of the prior, C words: it takes the upper bits of layer 2's records."""
        config = self.config
        init = None if self.parameters is None else prior_words(config, self.parameters)
        m.submodules.prior_ram = ram = Ram(width=config.prior_bits, depth=config.channels, init=init)
        m.d.comb += [
            ram.re.eq(self.read), ram.raddr.eq(self.prior_address), self.prior.eq(ram.rdata.as_signed()),
            ram.we.eq(self.records_write & (self.address >= config.squeeze)),
            ram.waddr.eq(self.address - config.squeeze), ram.wdata.eq(self.loader_record[config.record_bits:]),
        ]
