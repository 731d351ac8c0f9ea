# SPDX-License-Identifier: Apache-2.0
"""The loader, compared with a count of the stream's words, for streams of any length and content.

The proof assumes that the source offers a word until it is taken.
"""

import functools

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Assume, Cat, Cover, Module, Mux, Signal

from ..arithmetic import delay
from ..config import Config, Context
from ..data_type import DataType
from ..loader import WORD, Loader, ParameterStore, Phase
from .checks import any_below, later
from .proof import Fault, Inside, Proof

__all__ = ["PROOFS"]


class _Stream:
    """A stream's words as they take effect, a cycle after they were taken: ``valid``, ``last``, ``word``.

    ``number`` is the word's number in its stream, from 0, and `length` for all surplus words. This word is a wrong
    fingerprint if ``foreign``, an earlier one if ``bad``. ``recent`` has the last words, the newest in the top bits.
    """

    def __init__(self, m, config, loader):
        words = config.weight_bits * config.macs, config.record_bits + config.prior_bits
        self.parts = [-(-bits // WORD) for bits in words]
        self.depths = (config.weight_depth, config.squeeze + config.channels)
        start = 3 if config.rescales else 2
        self.starts = (start, start + self.parts[0] * self.depths[0])
        self.length = self.starts[1] + self.parts[1] * self.depths[1]
        take = loader.i_valid & loader.i_ready
        self.valid = later(m, take, 1, "taken")
        self.last = delay(m, loader.i_last, 1, name="taken_last")
        words = [loader.i_data, *(Signal(WORD, name=f"word_{i}", reset_less=True) for i in range(max(self.parts)))]
        with m.If(take):
            m.d.sync += [older.eq(newer) for newer, older in zip(words, words[1:], strict=False)]
        self.word, self.recent = words[1], Cat(*reversed(words[1:]))
        self.number, self.bad, self.foreign = Signal(range(self.length + 1)), Signal(name="bad"), Signal(name="foreign")
        m.d.comb += self.foreign.eq((self.number == 0) & (self.word != config.fingerprint))
        with m.If(self.valid):
            m.d.sync += [
                self.number.eq(self.number + (self.number != self.length)), self.bad.eq(self.bad | self.foreign)]
            with m.If(self.last):
                m.d.sync += [self.number.eq(0), self.bad.eq(0)]

    def place(self, memory):
        """For memory 0 or 1: the word belongs to it; its address; its part of the memory's word."""
        parts, depth, start = self.parts[memory], self.depths[memory], self.starts[memory]
        offset = (self.number - start).as_unsigned()[:len(self.number)]
        belongs = ~self.bad & (self.number >= start) & (self.number < start + parts * depth)
        return belongs, offset // parts, offset % parts


def _model(config):
    m = Module()
    loader = Loader(config)
    m.submodules.loader = inside = Inside(loader)
    m.d.comb += [signal.eq(AnySeq(len(signal))) for signal in (
        loader.i_valid, loader.i_data, loader.i_last, loader.start)]
    stalled, data, last = Signal(name="stalled"), Signal(WORD, name="data"), Signal(name="last")
    m.d.sync += [stalled.eq(loader.i_valid & ~loader.i_ready), data.eq(loader.i_data), last.eq(loader.i_last)]
    m.d.comb += Assume(~stalled | (loader.i_valid & (loader.i_data == data) & (loader.i_last == last)))
    stream = _Stream(m, config, loader)
    _handshake(m, loader, stream, stalled)
    _status(m, loader, stream)
    _numbers(m, loader, inside, stream)
    for memory, write, word in ((0, loader.weights_write, loader.weights), (1, loader.records_write, loader.record)):
        _memory(m, loader, inside, stream, memory, write, word)
    _registers(m, inside, loader, stream)
    if config.prior_rows:
        _prior(m, config, loader)
    return m


def _prior(m, config, loader):
    """Any channel's prior: its memory has what came in the upper bits of the channel's record of layer 2."""
    store = ParameterStore(config)
    m.submodules.store = inside = Inside(store)
    m.d.comb += [
        store.loader_weights.eq(loader.weights), store.loader_record.eq(loader.record),
        store.address.eq(loader.address), store.weights_write.eq(loader.weights_write),
        store.records_write.eq(loader.records_write),
    ]
    channel, value, known = any_below(m, config.channels, "channel"), Signal(config.prior_bits), Signal()
    with m.If(loader.records_write & (loader.address == config.squeeze + channel)):
        m.d.sync += [known.eq(1), value.eq(loader.record[config.record_bits:])]
    m.d.comb += [
        Assert(~known | (inside.word(m, "prior_ram/storage", channel) == value),
               "a channel's prior comes with its record of layer 2"),
        Cover(known & (channel == config.channels - 1) & (value != 0), "the last channel's prior is loaded"),
    ]


def _handshake(m, loader, stream, stalled):
    """`stalled`: the source was waiting in the previous cycle."""
    open_, taken, may = (Signal(name=name) for name in ("open", "taken_all", "may"))
    m.d.sync += [
        open_.eq(loader.i_ready & ~(loader.i_valid & loader.i_last)),
        taken.eq(loader.i_ready & loader.i_valid & loader.i_last), may.eq(stalled & loader.start),
    ]
    m.d.comb += [
        Assert(~open_ | loader.i_ready, "a stream is taken to its tlast without a pause"),
        Assert(~taken | ~loader.i_ready, "nothing is taken after tlast"),
        Assert(~loader.i_ready | open_ | may, "a stream starts only when it may"),
        Assert(~(stalled & may) | loader.i_ready, "a stream that waits starts when it may"),
        Assert(loader.busy == (stalled | loader.i_ready | stream.valid),
               "busy lasts from a stream's wait to its last word's effect"),
    ]


def _status(m, loader, stream):
    loaded, error = Signal(), Signal()
    exact = ~stream.bad & ~stream.foreign & (stream.number == stream.length - 1)
    wrong = stream.foreign | (~stream.bad & (stream.number < stream.length) & (stream.last != exact))
    with m.If(stream.valid):
        m.d.sync += [loaded.eq(Mux(stream.last, exact, loaded & (stream.number != 0))), error.eq(error | wrong)]
    first = Signal()
    with m.If(stream.valid & stream.last):
        m.d.sync += first.eq(1)
    m.d.comb += [
        Assert(loader.loaded == loaded, "loaded tells of an exact stream, up to the next one's first word"),
        Assert(loader.error == error, "error tells of a stream that is foreign, too short or too long"),
        Assert(~first | loaded | error | (stream.number != 0), "every stream ends in loaded or error"),
        Cover(loaded & ~error, "a stream is loaded"),
        Cover(loaded & error, "a stream is loaded after one that was refused"),
        Cover(stream.valid & (stream.number == stream.length) & ~stream.bad, "a stream is too long"),
    ]


def _numbers(m, loader, inside, stream):
    """The zero points, and the factor, with which gates are multiplied."""
    config = loader.config
    ports = [(loader.zero, 1, 0, "the zero point is in the second word's low bits")]
    if config.requantised:
        ports.append((loader.outputs_zero, 1, 16, "the outputs' zero point is in the second word's upper half"))
    if config.rescales:
        ports.append((loader.factor, 2, 0, "the factor is the third word"))
        m.d.comb += Assert(inside["second"] == ((stream.number == 2) & ~stream.bad), "the word of the factor is known")
    for port, number, low, name in ports:
        value = Signal.like(port)
        with m.If(stream.valid & (stream.number == number) & ~stream.bad):
            m.d.sync += value.eq(stream.word[low:low + len(port)])
        m.d.comb += Assert(port == value, name)


def _memory(m, loader, inside, stream, memory, write, word):
    name, parts = ("weights", "records")[memory], stream.parts[memory]
    belongs, address, part = stream.place(memory)
    recent = stream.recent[WORD * (max(stream.parts) - parts):]
    m.d.comb += [
        Assert(write == (stream.valid & belongs & (part == parts - 1)), f"{name} are written once each"),
        Assert(~write | ((loader.address == address) & (address < stream.depths[memory])),
               f"{name} are written in their order, within the memory"),
        Assert(~write | (word == recent[:len(word)]), f"{name} are put together from their words"),
        Assert((inside["phase"] == Phase[name.upper()]) == belongs, f"the phase of {name} is known"),
        Assert(~belongs | ((inside["part"] == part) & (loader.address == address)
                           & (inside["complete"] == (part == parts - 1))
                           & (inside["memory_end"] == (address == stream.depths[memory] - 1))),
               f"parts and addresses of {name} are counted"),
    ]


def _registers(m, inside, loader, stream):
    """The registers' values outside the memories' words."""
    outside = ~(inside["weights"] | inside["records"])
    number, bad, phase = stream.number, stream.bad, inside["phase"]
    of_stream = Cat((age < number + stream.valid).replicate(WORD) for age in reversed(range(max(stream.parts))))
    m.d.comb += [
        Assert((phase == Phase.FINGERPRINT) == (number == 0), "a stream opens with the fingerprint"),
        Assert((phase == Phase.ZERO) == ((number != 0) & (number < stream.starts[0]) & ~bad),
               "the zero points, and the factor, come next"),
        Assert((phase == Phase.DISCARD) == ((number == stream.length) | bad), "what is too much is discarded"),
        Assert(number <= stream.length, "words are counted up to the first that is too much"),
        Assert((inside["received"] ^ stream.recent) & of_stream == 0, "the stream's last words are kept"),
        Assert(~bad | (number != 0), "a stream is foreign from its first word on"),
        Assert(~outside | ((loader.address == 0) & (inside["part"] == 0) & ~inside["memory_end"]),
               "counters wait at 0"),
        Assert(~(bad | (number == stream.length)) | loader.error, "what is discarded has raised error"),
        Assert((number == 0) | ~loader.loaded, "nothing is loaded within a stream"),
    ]


_FAULTS = (
    Fault("a stream that ends early is loaded", "loader.py", "self.loaded.eq(final)", "self.loaded.eq(records)",
          "loaded tells of an exact stream, up to the next one's first word"),
    Fault("a stream that is too long raises no error", "loader.py", "(last != final)", "last & ~final",
          "error tells of a stream that is foreign, too short or too long"),
    Fault("a record too many is expected", "loader.py", "self.records_depth - 2", "self.records_depth - 1",
          "records are written in their order, within the memory"),
    Fault("a stream is taken a word at a time", "loader.py", "with m.If(take & self.i_last):", "with m.If(take):",
          "a stream is taken to its tlast without a pause"),
    Fault("a word of weights is written for as long as the stream pauses", "loader.py",
          "self.weights_write.eq(valid & weights", "self.weights_write.eq(weights", "weights are written once each"),
    Fault("a stream waits until parameters are loaded", "loader.py", "m.If(waiting & self.start)",
          "m.If(waiting & self.start & self.loaded)", "a stream that waits starts when it may"),
)
_PRIOR = (
    Fault("the prior is also that of layer 1's records", "loader.py",
          "self.records_write & (self.address >= config.squeeze)", "self.records_write",
          "a channel's prior comes with its record of layer 2", depth=40),
    Fault("a record has no place for the prior", "loader.py",
          '"record": Out(config.record_bits + config.prior_bits),\n            "address"',
          '"record": Out(config.record_bits),\n            "address"', "records are put together from their words"),
)
_NUMBERS = (
    Fault("outputs have the input's zero point", "loader.py", "data[ZERO_POINT_BITS:][:bits[1]]", "data[:bits[1]]",
          "the outputs' zero point is in the second word's upper half"),
    Fault("the input has the outputs' zero point", "loader.py", "data[:bits[0]]", "data[ZERO_POINT_BITS:][:bits[0]]",
          "the zero point is in the second word's low bits"),
    Fault("the factor is the second word", "loader.py", "with m.If(second):", "with m.If(~second):",
          "the factor is the third word"),
    Fault("a stream that ends before the factor leaves it to the next one", "loader.py", "~second & ~last", "~second",
          "the zero point is in the second word's low bits"),
    Fault("weights are taken to be bytes", "loader.py", '"weights": Out(config.weight_bits * config.macs)',
          '"weights": Out(8 * config.macs)', "weights are written once each"),
)
_SIZES = (
    ({"channels": 1, "macs": 1}, _FAULTS),
    ({"channels": 2, "macs": 5}, ()),
    ({"channels": 3, "macs": 1, "requant_bits": 56}, ()),
    ({"channels": 2, "macs": 1, "requant_bits": 40, "context": Context.CAUSAL, "prior_rows": 1}, _PRIOR),
    ({"channels": 2, "macs": 6, "weight_bits": 3, "data": DataType(4), "y_data": DataType(12),
      "y_ratio": 0.7}, _NUMBERS),
)


def _proof(config, faults):
    bits = config.record_bits + config.prior_bits
    return Proof(f"loader weights={config.weight_depth}x{config.weight_bits * config.macs} "
                 f"records={config.squeeze + config.channels}x{bits}{' factor' if config.rescales else ''}",
                 functools.partial(_model, config), cover=40, faults=faults)


PROOFS = tuple(_proof(Config(**{"k": 1, "width": 1, "squeeze": 1, "loadable": True} | fields), faults)
               for fields, faults in _SIZES)
