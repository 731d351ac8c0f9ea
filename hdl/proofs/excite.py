# SPDX-License-Identifier: Apache-2.0
"""Excite keeps what its neighbours' proofs assume, for any data.

The proof assumes what the accumulator's proof shows: sums come one group a cycle, in order, after the memory's latency.
"""

import functools

from amaranth.asserts import AnySeq
from amaranth.hdl import Array, Assert, Cat, Const, Cover, Module, Mux, Signal, Value

from ..config import Config, Context
from ..data_type import DataType
from ..excite import Excite
from ..latency import gate_latency, mac_latency, means_latency, prior_wait, ram_latency, record_ahead
from ..timing import ISSUE, Timing
from .checks import any_below, later
from .place import tiling_name
from .proof import Fault, Inside, Proof
from .sequencer import Walk, issues, registers

__all__ = ["PROOFS", "working"]


def _sums(m, config, excite):
    """Give tiles' sums at any time when excite can take them; returns the cycles since the last start, saturated.

    Also returns 'sums come with the last start'. In CAUSAL a frame's first tile has none, and so no words.
    """
    timing, latency = Timing(config), ram_latency(config.groups)
    held = timing.start_latency + timing.layer_cycles[0]
    age = Signal(range(held + config.groups + 2), init=held + config.groups + 1)
    comes, alone = Signal(init=1), Signal()
    m.d.comb += [
        excite.i_start.eq(AnySeq(1) & excite.sums_free),
        Value.cast(excite.i_rows).eq(AnySeq(len(Value.cast(excite.i_rows)))),
        excite.i_words.eq(Mux(alone, 0, AnySeq(len(excite.i_words)))), excite.gates_free.eq(AnySeq(1)),
        excite.i_valid.eq(comes & (age >= latency) & (age < latency + config.groups)), excite.i_group.eq(age - latency),
        Assert(~excite.sums_free | (age >= held), "sums are held as long as layer 1 takes"),
        Assert(age <= held + config.groups + 1, "cycles are counted"),
    ]
    if config.context is Context.CAUSAL:
        m.d.comb += alone.eq(AnySeq(1))
        with m.If(excite.i_start):
            m.d.sync += comes.eq(~alone)
    m.d.sync += age.eq(Mux(excite.i_start, 1, age + (age <= held + config.groups)))
    return age, comes


def working(config):
    """Excite with its inputs, and the proof that it keeps tiles, sums and passes apart.

    Returns (Module, Excite, Inside, Walk).
    """
    m = Module()
    excite = Excite(config)
    m.submodules.excite = inside = Inside(excite)
    for name in ("weights", "record", *(["prior"] if config.prior_rows else []),
                 *(["factor"] if config.rescales else [])):
        port = Value.cast(getattr(excite, name))
        m.d.comb += port.eq(AnySeq(len(port)))
    walk = _reads(m, config, excite, inside, *_sums(m, config, excite))
    _passes(m, config, excite, inside, walk)
    return m, excite, inside, walk


def _model(config, paced):
    m, excite, inside, walk = working(config)
    if paced:
        _gates(m, config, excite, inside, walk)
    return m


def _reads(m, config, excite, inside, age, comes):
    """Any group of sums: it is in the memory when it is read, with the tile's own rows and words."""
    latency, first, sums = ram_latency(config.groups), Timing(config).start_latency, inside["sums"]
    group, there = any_below(m, config.groups, "group"), Signal(init=1)
    with m.If(excite.i_start):
        m.d.sync += there.eq(0)
    with m.If(sums.we & (sums.waddr == group)):
        m.d.sync += there.eq(1)
    given = excite.i_rows.log if config.context.running else excite.i_rows
    coming, rows, words = Signal(), Signal.like(given), Signal.like(excite.i_words)
    next_rows, next_words = Signal.like(rows), Signal.like(words)
    sequencer = inside["sequencer"]
    start = sequencer.start
    with m.If(excite.i_start):
        m.d.sync += [next_rows.eq(given), next_words.eq(excite.i_words)]
    with m.If(start):
        # If the memory is fast, in the cycle in which they come.
        m.d.sync += [rows.eq(Mux(excite.i_start, given, next_rows)),
                     words.eq(Mux(excite.i_start, excite.i_words, next_words))]
    part = inside.part("sequencer")
    walk = Walk(m, config, sequencer, part)
    registers(m, config, part, walk, issues(m, config, sequencer, walk))
    issue = inside["sequencer/running"] & ~inside["sequencer/layer2"]
    used = Cat(later(m, issue, i, f"used_{i}") for i in range(1, ISSUE + prior_wait(config) + latency
                                                                 + means_latency(config)))
    m.d.sync += coming.eq((coming | excite.i_start) & ~start)
    m.d.comb += [
        Assert(~(sums.re & (sums.raddr == group)) | there | (words == 0),
               "a sum is there when it is read, and none takes its place before"),
        Assert(~(sums.we & sums.re) | (sums.waddr != sums.raddr), "no sum is read while it is written"),
        Assert(~used.any() | ((inside["rows"] == rows) & (inside["words"] == words)),
               "rows and words are the tile's own"),
        Assert((inside["waiting_rows"] == next_rows) & (inside["waiting_words"] == next_words), "rows and words wait"),
        Assert(Mux(inside["started_1"], (inside["waiting_rows"] == rows) & (inside["waiting_words"] == words),
                   (inside["rows"] == rows) & (inside["words"] == words)), "rows and words go with layer 1"),
        Assert(there == (age > latency + group) & comes, "sums are there once they have come"),
        Assert(comes | (next_words == 0), "without sums there are no words"),
        Assert((inside["held"] == (coming | (walk.running & ~walk.layer))) & ~(coming & walk.running & ~walk.layer),
               "sums are held until layer 1 is done with them"),
        Assert(inside["waiting"] == (coming & (age >= first)), "sums that have come wait for layer 1"),
        Assert(~(walk.running & ~walk.layer) | (age >= walk.cycle + first), "layer 1 starts after its sums"),
        Assert(~start | coming | excite.i_start, "layer 1 starts once a tile"),
        Cover(excite.i_start & inside["sequencer/layer2"], "a tile's sums come while layer 2 works on another"),
    ]
    if config.context.running:
        _reciprocal(m, config, inside, age, coming, used)
    if config.prior_rows:
        _prior(m, config, excite, inside, walk, words)
    return walk


def _reciprocal(m, config, inside, age, coming, used):
    """The reciprocal of a tile's row count is used by its means. Its value is proved for the component."""
    divide, bits = inside["divide"], config.reciprocal_bits
    ready, own, divided, taken = Signal.like(divide.o), Signal.like(divide.o), Signal(), inside["started_1"]
    quotient, place = inside["reciprocal/quotient"], Signal(bits + 1)
    m.d.sync += divided.eq(divide.o_valid)
    with m.If(divided):
        m.d.sync += ready.eq(divide.o)
    with m.If(taken):
        m.d.sync += own.eq(Mux(divided, divide.o, ready))
    m.d.comb += [
        place.eq(1 << (age - 1)[:len(age)]),
        Assert(inside["reciprocal/running"] == (age <= bits), "a division takes a cycle for each bit"),
        Assert((age > bits) | ((quotient >= place) & (quotient < place << 1)), "the quotient grows by a bit a cycle"),
        Assert(~(coming | taken) | (age <= bits) | (quotient[-1] & (divided | (divide.o == ready))),
               "the reciprocal waits"),
        Assert(~divided | coming | taken, "the reciprocal is ready when layer 1 takes it"),
        Assert(~used.any() | taken | (inside["means"].reciprocal == own),
               "the reciprocal is that of the tile's own rows"),
    ]


def _prior(m, config, excite, inside, walk, words):
    """The prior of a sum's own channel is there when it is added."""
    cycles = ISSUE + prior_wait(config) + ram_latency(config.groups) + 1
    valid, channel = (later(m, value, cycles, name) for value, name in (
        (walk.running & ~walk.layer & (walk.place < walk.inputs), "sum_issued"), (walk.place, "sum_place")))
    asked = later(m, excite.prior_address, ram_latency(config.channels), "prior_asked")
    prior = Mux(words == 0, excite.prior, 0) if config.context is Context.WINDOW else excite.prior
    m.d.comb += [
        Assert(~valid | (asked == channel), "a sum meets its own channel's prior"),
        # At first the address is any number, as registers on its way have no reset.
        Assert(~later(m, Const(1), cycles, "settled") | (excite.prior_address < config.channels),
               "the prior is read within its memory"),
        Assert(~valid | (inside["means"].prior == prior), "the prior is added, in WINDOW only if there is no row"),
        Cover(valid & (channel == config.channels - 1) & (words == 0), "a descriptor is the prior alone"),
    ]


def _passes(m, config, excite, inside, walk):
    """Passes whose accumulators are on their way to requantisation: each meets its own record."""
    timing, (first, second) = Timing(config), config.passes
    count = first + second
    outputs = [min(config.macs, total - i * config.macs) for total, passes in
               zip((config.squeeze, config.channels), config.passes, strict=True) for i in range(passes)]
    before = [i * config.macs for passes in config.passes for i in range(passes)]
    sent, stages = inside["sequencer"].o, timing.issue_to_operand + mac_latency(config) - record_ahead(config) - ISSUE
    ends = [(inside["ends"], sent.outputs)]
    ends += [(inside[f"drains_{i}"], inside[f"outputs_{i}"]) for i in range(1, stages + 1)]
    start = inside["requantise"].i_start
    reads, left, index, layer = (inside[f"requantise/{name}"] for name in ("reads", "left", "index", "layer2"))
    # The pass that is requantised next, and the one that the sequencer is about to end.
    number, present = Signal(range(count)), Signal(range(count))
    with m.If(start):
        m.d.sync += [number.eq(Mux(number == count - 1, 0, number + 1)), present.eq(number)]
    ended = walk.place >= walk.inputs
    position = Mux(walk.layer, first, 0) + walk.number + ended
    ahead, fits = 0, []
    for valid, field in reversed(ends):
        fits.append(~valid | (field == Array(Const(n, 8) for n in outputs * 3)[number + ahead]))
        ahead = ahead + valid
    # At most two rounds of passes are on their way.
    m.d.comb += [
        Assert((number + ahead - position) % count == 0, "passes are requantised in the order in which they end"),
        Assert(Cat(fits).all(), "as many accumulators as a pass has are on their way"),
        Assert(~start | ~reads | (left == 1), "a pass's accumulators are through before the next one's"),
        Assert(~reads | ((left != 0) & (left <= Array(Const(n, 8) for n in outputs)[present])),
               "accumulators are counted down"),
        Assert((index == Mux(reads, Array(Const(b + n, 8) for b, n in zip(before, outputs, strict=True))[present]
                             - left, Array(Const(b, 8) for b in before)[number]))
               & (layer == (Mux(reads, present, number) >= first)), "an accumulator is requantised by its own record"),
        Assert((inside["requantise/address"] == Mux(layer, config.squeeze, 0) + index)
               & (inside["requantise/last"] == (inside["requantise/address"] == config.squeeze + config.channels - 1)),
               "records are counted around"),
        Assert((number < count) & (present < count), "there are no more passes"),
        Assert(~reads | (number == Mux(present == count - 1, 0, present + 1)), "passes follow each other"),
    ]


def _gates(m, config, excite, inside, walk):
    """Gates come in the cycles that `Timing` gives, counted from the issue of their pass's last input."""
    cycles = Timing(config).issue_to_value + gate_latency(config)
    rest = config.channels - (config.passes[1] - 1) * config.macs
    ends, last = Signal(), Signal()
    m.d.comb += [ends.eq(walk.running & walk.layer & (walk.place == walk.inputs - 1)),
                 last.eq(walk.number == walk.passes - 1)]
    due, few = (later(m, value, cycles, f"due_{i}") for i, value in enumerate((ends, last)))
    left = Signal(range(config.macs + 1))
    m.d.sync += left.eq(Mux(due, Mux(few, rest, config.macs) - 1, left - (left != 0)))
    m.d.comb += Assert(excite.o_valid == (due | (left != 0)), "gates come at the pace of Timing")
    if config.rescales:
        m.d.comb += Assert(inside["gate"].factor == excite.factor, "gates are multiplied by the factor that is loaded")


_SUMS = (
    Fault("a tile's words are taken when they come", "excite.py",
          'with m.If(delay(m, sequencer.start, 1, name="started", reset_less=False)):',
          'started = delay(m, sequencer.start, 1, name="started", reset_less=False)\n        with m.If(self.i_start):',
          "rows and words are the tile's own"),
    Fault("layer 2 starts with a record too late", "requantise.py", "address == config.squeeze - 1",
          "address == config.squeeze", "an accumulator is requantised by its own record", depth=30),
    Fault("sums are taken while others are held", "excite.py", "self.sums_free.eq(~held)", "self.sums_free.eq(1)",
          "a sum is there when it is read, and none takes its place before", depth=30),
)
_SHORT = (
    Fault("layer 1 has a pass too few", "sequencer.py", "next_last = left == 2", "next_last = left == 3",
          "sums are held as long as layer 1 takes", depth=40),
)
_PACE = (
    Fault("gates are offered a cycle early", "excite.py", "latency - LOGIT, name=\"gate_valid\"",
          "latency - LOGIT - 1, name=\"gate_valid\"", "gates come at the pace of Timing", depth=50),
)
_RESCALED = (
    Fault("gates are multiplied by 0", "excite.py", "gate.factor.eq(self.factor)", "gate.factor.eq(0)",
          "gates are multiplied by the factor that is loaded"),
)
_RUNNING = (
    Fault("the next tile's reciprocal is used", "excite.py", "means.reciprocal.eq(reciprocal)",
          "means.reciprocal.eq(divide.o)", "the reciprocal is that of the tile's own rows", depth=45),
    Fault("layer 1 doesn't wait for the division", "excite.py", "(divide.o_valid if running else delay(",
          "(delay(", "layer 1 starts after its sums"),
)
_CAUSAL = (
    Fault("the prior comes a cycle early", "excite.py", "address = latency + 1 - ram_latency(config.channels)",
          "address = latency - ram_latency(config.channels)", "a sum meets its own channel's prior", depth=30),
)
_WINDOW = (
    Fault("the prior is added to the window's rows", "excite.py", "if config.context is Context.WINDOW:", "if False:",
          "the prior is added, in WINDOW only if there is no row"),
    Fault("the prior is also read for hidden values", "excite.py", "sequencer.o_valid & ~sequencer.o.layer, index, 0)",
          "1, index, 0)", "the prior is read within its memory", depth=40),
)
_SMALL = {"k": 1, "width": 1, "channels": 3, "squeeze": 2, "macs": 2}
# The proof of the gates' pace needs as many cycles of induction as a gate takes.
_SIZES = (
    (Config(k=2, width=1, channels=3, squeeze=2, macs=2), False, _SUMS),
    (Config(k=2, width=1, channels=6, squeeze=3, lanes=3, macs=2), False, ()),
    (Config(k=3, width=1, channels=3, squeeze=3, lanes=3, macs=1), False, _SHORT),
    (Config(context=Context.CUMULATIVE, max_rows=5, **_SMALL), False, _RUNNING),
    (Config(context=Context.CAUSAL, max_rows=3, prior_rows=2, **_SMALL), False, _CAUSAL),
    (Config(context=Context.WINDOW, window=(1, 2), lanes=3, **_SMALL | {"squeeze": 4}), False, _WINDOW),
    (Config(k=2, width=1, channels=3, squeeze=2, macs=2), True, _PACE),
    (Config(k=3, width=1, channels=3, squeeze=3, lanes=3, macs=1), True, ()),
    (Config(k=2, width=1, channels=6, squeeze=3, lanes=3, macs=2), True, ()),
    (Config(context=Context.CAUSAL, max_rows=3, prior_rows=2, **_SMALL), True, ()),
    (Config(data=DataType(12), y_ratio=0.7, loadable=True, **_SMALL), True, _RESCALED),
)


def _name(config, paced):
    context = "" if config.context is Context.TILE else f"{tiling_name(config)} "
    return (f"excite{' pace' if paced else ''} {context}C={config.channels} CR={config.squeeze} lanes={config.lanes} "
            f"macs={config.macs}{f' {config.data} rescaled' if config.rescales else ''}")


PROOFS = tuple(
    Proof(_name(c, paced), functools.partial(_model, c, paced), faults=faults,
          cover=Timing(c).start_latency + Timing(c).excite_cycles + 10,
          depth=Timing(c).issue_to_value + gate_latency(c) + c.macs + 2 if paced else 12)
    for c, paced, faults in _SIZES)
