# SPDX-License-Identifier: Apache-2.0
"""Parameters: the memories that hold them, and the stream that fills these."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from .parameters import record_words, weight_words
from .ram import Ram
from .requantise import Record
from .sequencer import weight_depth

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
    waiting : Out
        A stream wants to start.
    loaded, error : Out
    zero : Out
    word : Out
        A memory word, valid with ``weights_write`` or ``records_write``, for ``address``.
    """

    def __init__(self, config):
        self.config = config
        self.weights_depth = weight_depth(config)
        self.records_depth = config.squeeze + config.channels
        self.word_bits = max(8 * config.macs, config.record_bits)
        super().__init__({
            "i_valid": In(1), "i_ready": Out(1), "i_data": In(WORD), "i_last": In(1),
            "start": In(1), "waiting": Out(1), "loaded": Out(1), "error": Out(1), "zero": Out(signed(8)),
            "word": Out(self.word_bits), "address": Out(range(max(self.weights_depth, self.records_depth))),
            "weights_write": Out(1), "records_write": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        phase = Signal(Phase)
        take, complete, final = Signal(), Signal(), Signal()
        m.d.comb += [
            self.i_ready.eq((phase != Phase.FINGERPRINT) | (self.start & self.waiting)),
            take.eq(self.i_valid & self.i_ready),
        ]
        m.d.sync += self.waiting.eq(self.i_valid & (phase == Phase.FINGERPRINT) & ~take)
        self._collect(m, phase, take, complete)

        with m.If(take):
            with m.Switch(phase):
                with m.Case(Phase.FINGERPRINT):
                    m.d.sync += [self.loaded.eq(0), phase.eq(Phase.ZERO)]
                    with m.If(self.i_data != self.config.fingerprint):
                        m.d.sync += [self.error.eq(1), phase.eq(Phase.DISCARD)]
                with m.Case(Phase.ZERO):
                    m.d.sync += [self.zero.eq(self.i_data[:8].as_signed()), phase.eq(Phase.WEIGHTS)]
                with m.Case(Phase.WEIGHTS):
                    with m.If(complete & (self.address == self.weights_depth - 1)):
                        m.d.sync += [phase.eq(Phase.RECORDS), self.address.eq(0)]
                with m.Case(Phase.RECORDS):
                    m.d.comb += final.eq(complete & (self.address == self.records_depth - 1))
            with m.If(final):
                m.d.sync += [phase.eq(Phase.DISCARD), self.address.eq(0)]
            with m.If(self.i_last):
                m.d.sync += [phase.eq(Phase.FINGERPRINT), self.address.eq(0), self.loaded.eq(final)]
            with m.If((phase != Phase.DISCARD) & (self.i_last != final)):
                m.d.sync += self.error.eq(1)
        return m

    def _collect(self, m, phase, take, complete):
        """Assemble 32-bit words to memory words; ``complete`` is high with a memory word's last part."""
        parts = {memory: -(-bits // WORD) for memory, bits in
                 ((Phase.WEIGHTS, 8 * self.config.macs), (Phase.RECORDS, self.config.record_bits))}
        most = max(parts.values())
        part = Signal(range(most))
        earlier = Signal(WORD * (most - 1), reset_less=True)
        is_weights, is_records = Signal(), Signal()
        m.d.comb += [
            is_weights.eq(phase == Phase.WEIGHTS), is_records.eq(phase == Phase.RECORDS),
            complete.eq(part == Mux(is_records, parts[Phase.RECORDS] - 1, parts[Phase.WEIGHTS] - 1)),
            self.weights_write.eq(take & is_weights & complete),
            self.records_write.eq(take & is_records & complete),
        ]
        received = Cat(earlier, self.i_data)
        # A word of fewer parts than the other memory's stands at the top of what was received.
        words = {memory: received[WORD * (most - count):] for memory, count in parts.items()}
        m.d.comb += self.word.eq(Mux(is_records, words[Phase.RECORDS], words[Phase.WEIGHTS]))
        with m.If(take):
            m.d.sync += earlier.eq(received[WORD:])
            m.d.sync += part.eq(Mux((is_weights | is_records) & ~complete & ~self.i_last, part + 1, 0))
            with m.If((is_weights | is_records) & complete):
                m.d.sync += self.address.eq(self.address + 1)


class ParameterStore(wiring.Component):
    """Weights and requantisation records: ROMs with `parameters`, or RAMs that a loader writes.

    Members
    -------
    weight_address, record_address : In
    weights, record : Out
        A cycle after their address.
    """

    def __init__(self, config, parameters=None):
        self.config, self.parameters = config, parameters
        super().__init__({
            "weight_address": In(range(weight_depth(config))),
            "weights": Out(data.ArrayLayout(signed(8), config.macs)),
            "record_address": In(range(config.squeeze + config.channels)), "record": Out(Record(config)),
            "address": In(range(max(weight_depth(config), config.squeeze + config.channels))),
            "word": In(max(8 * config.macs, config.record_bits)),
            "weights_write": In(1), "records_write": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        contents = [None, None] if self.parameters is None else [
            words(config, self.parameters) for words in (weight_words, record_words)]
        for name, depth, init, write, address, output in (
            ("weights", weight_depth(config), contents[0], self.weights_write, self.weight_address, self.weights),
            ("records", config.squeeze + config.channels, contents[1], self.records_write, self.record_address,
             self.record),
        ):
            m.submodules[f"{name}_ram"] = ram = Ram(width=output.shape().size, depth=depth, init=init)
            # While a stream is loaded nothing reads: a word is never read in the cycle of its write.
            m.d.comb += [ram.re.eq(~write), ram.raddr.eq(address), output.as_value().eq(ram.rdata),
                         ram.we.eq(write), ram.waddr.eq(self.address), ram.wdata.eq(self.word)]
        return m
