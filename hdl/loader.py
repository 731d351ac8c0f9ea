# SPDX-License-Identifier: Apache-2.0
"""Parameters: the memories that hold them, and the stream that fills these."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from .parameters import record_words, weight_words
from .ram import Ram
from .requantise import Record

__all__ = ["Loader", "ParameterStore"]

WORD = 32


class Phase(enum.Enum):
    """What the next word of a parameter stream is."""

    FINGERPRINT = 0
    ZERO = 1
    WEIGHTS = 2
    RECORDS = 3
    DISCARD = 4


class Loader(wiring.Component):
    """Takes a parameter stream (``parameters.stream_words``) apart.

    A stream that opens with another fingerprint, ends early or doesn't end where it should leaves the block unloaded
    and raises ``error``, which stays; it is taken up to its ``tlast`` in any case, and the next stream starts anew.

    Members
    -------
    i_valid, i_ready, i_data, i_last : stream
    start : In
        Nothing is under way that needs the present parameters: a stream may start.
    busy : Out
        A stream wants to start, or is being taken.
    loaded, error : Out
    zero : Out
    weights, record : Out
        A memory word, valid with ``weights_write`` or ``records_write``, for ``address``.
    """

    def __init__(self, config):
        self.config = config
        self.weights_depth = config.weight_depth
        self.records_depth = config.squeeze + config.channels
        super().__init__({
            "i_valid": In(1), "i_ready": Out(1), "i_data": In(WORD), "i_last": In(1),
            "start": In(1), "busy": Out(1), "loaded": Out(1), "error": Out(1), "zero": Out(signed(8)),
            "weights": Out(8 * config.macs), "record": Out(config.record_bits),
            "address": Out(range(max(self.weights_depth, self.records_depth))),
            "weights_write": Out(1), "records_write": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        phase, waiting = Signal(Phase), Signal()
        take, complete, memory_end = Signal(), Signal(), Signal()
        place = Signal.like(self.address)
        m.d.comb += take.eq(self.i_valid & self.i_ready)
        m.d.sync += waiting.eq(self.i_valid & ~self.i_ready)
        with m.If(waiting & self.start):
            m.d.sync += self.i_ready.eq(1)
        with m.If(take & self.i_last):
            m.d.sync += self.i_ready.eq(0)
        self._collect(m, phase, take, complete, place, memory_end)

        final = Signal()
        m.d.comb += [
            final.eq(complete & memory_end & (phase == Phase.RECORDS)),
            self.busy.eq(waiting | self.i_ready),
        ]
        with m.If(take):
            with m.Switch(phase):
                with m.Case(Phase.FINGERPRINT):
                    m.d.sync += [self.loaded.eq(0), phase.eq(Phase.ZERO)]
                    with m.If(self.i_data != self.config.fingerprint):
                        m.d.sync += [self.error.eq(1), phase.eq(Phase.DISCARD)]
                with m.Case(Phase.ZERO):
                    m.d.sync += [self.zero.eq(self.i_data[:8].as_signed()), phase.eq(Phase.WEIGHTS)]
                with m.Case(Phase.WEIGHTS):
                    with m.If(complete & memory_end):
                        m.d.sync += phase.eq(Phase.RECORDS)
            with m.If(final):
                m.d.sync += phase.eq(Phase.DISCARD)
            with m.If(self.i_last):
                m.d.sync += [phase.eq(Phase.FINGERPRINT), self.loaded.eq(final)]
            with m.If((phase != Phase.DISCARD) & (self.i_last != final)):
                m.d.sync += self.error.eq(1)
        return m

    def _collect(self, m, phase, take, complete, place, memory_end):
        """Assemble 32-bit words to memory words; ``complete`` is high with a memory word's last part.

        It is written a cycle later, out of registers, so that a source's data need not reach the memories.
        """
        parts = {memory: -(-bits // WORD) for memory, bits in
                 ((Phase.WEIGHTS, 8 * self.config.macs), (Phase.RECORDS, self.config.record_bits))}
        most = max(parts.values())
        part = Signal(range(most))
        received = Signal(WORD * most, reset_less=True)
        is_weights, is_records = Signal(), Signal()
        m.d.comb += [
            is_weights.eq(phase == Phase.WEIGHTS), is_records.eq(phase == Phase.RECORDS),
            complete.eq(part == Mux(is_records, parts[Phase.RECORDS] - 1, parts[Phase.WEIGHTS] - 1)),
        ]
        # A word of fewer parts than the other memory's stands at the top of what was received.
        m.d.comb += [word.eq(received[WORD * (most - parts[memory]):])
                     for memory, word in ((Phase.WEIGHTS, self.weights), (Phase.RECORDS, self.record))]
        m.d.sync += [
            self.weights_write.eq(take & is_weights & complete), self.records_write.eq(take & is_records & complete),
            self.address.eq(place),
        ]
        with m.If(take):
            m.d.sync += received.eq(Cat(received, self.i_data)[WORD:])
            m.d.sync += part.eq(Mux((is_weights | is_records) & ~complete & ~self.i_last, part + 1, 0))
            with m.If((is_weights | is_records) & complete):
                # Both memories have two words at least.
                m.d.sync += [place.eq(place + 1), memory_end.eq(
                    place == Mux(is_records, self.records_depth - 2, self.weights_depth - 2))]
            with m.If((complete & memory_end) | self.i_last):
                m.d.sync += [place.eq(0), memory_end.eq(0)]


class ParameterStore(wiring.Component):
    """Weights and requantisation records: ROMs with `parameters`, or RAMs that a loader writes.

    Members
    -------
    weight_address, record_address : In
    weights, record : Out
        ``ram_latency`` of their depth after their address.
    read : In
        Words are read: not while they are written.
    loader_weights, loader_record, address, weights_write, records_write : In
        Of the loader.
    """

    def __init__(self, config, parameters=None):
        self.config, self.parameters = config, parameters
        records = config.squeeze + config.channels
        super().__init__({
            "weight_address": In(range(config.weight_depth)),
            "weights": Out(data.ArrayLayout(signed(8), config.macs)),
            "record_address": In(range(records)), "record": Out(Record(config)),
            "loader_weights": In(8 * config.macs), "loader_record": In(config.record_bits),
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
        return m
