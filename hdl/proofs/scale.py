# SPDX-License-Identifier: Apache-2.0
"""Scale reads and gives every word of a tile once, in order, and the output queue always has room for it.

The proof assumes what the proofs of ingress, tile buffer and scale FIFO show: a tile is offered until it is released;
its last address is that of its last word; data and gates come in the right cycle. Of a tile that is read before it has
ended, its end is known a cycle before its last word can be read, or with it if it is the first one.
"""

import functools

from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Assert, Assume, Cat, Const, Cover, Module, Mux, Signal

from ..arithmetic import counter, round_shift
from ..config import Config, Context
from ..data_type import DataType
from ..latency import LIMB_BITS, limbs
from ..scale import Scale
from ..timing import DEVIATE, QUEUE, Timing
from .checks import around, held, later
from .proof import Fault, Inside, Proof

__all__ = ["PROOFS", "pipeline"]


def _tiles(m, scale, inside, depth):
    """Tiles of 1 to `depth` words at any time, and the tile buffer's read pointer; returns a tile's remaining words."""
    valid, left = Signal(), Signal(range(depth + 1))
    end, single, last = Signal(range(depth)), Signal(), Signal()
    head, head_last = counter(m, depth, scale.read, name="head")
    length, first = Signal(range(depth + 1)), Signal(range(depth))
    m.d.comb += [
        length.eq(AnySeq(len(length))), Assume((length != 0) & (length <= depth)),
        scale.ahead.eq(around(head + 1, depth)), first.eq(Mux(scale.read, scale.ahead, head)),
        scale.tile_valid.eq(valid), scale.tile.as_value().eq(Cat(end, single, last)),
    ]
    with m.If(scale.read):
        m.d.sync += left.eq(left - 1)
    with m.If(~valid | scale.release):
        m.d.sync += [
            valid.eq(AnySeq(1)), left.eq(length), single.eq(length == 1), last.eq(AnySeq(1)),
            end.eq(around(first + length - 1, depth)),
        ]
    m.d.comb += [
        Assert((head < depth) & (head_last == (head == depth - 1)), "the tile buffer's pointer is within its depth"),
        Assert(~valid | ((left != 0) & (left <= depth) & (end == around(head + left - 1, depth))),
               "the tile's end is as far ahead as it has words left"),
        Assert(Mux(inside["at_tile_start"], ~valid | (single == (left == 1)),
                   valid & (inside["compared"] == (left == 1))), "the last word is known before it is read"),
    ]
    return left


def _streams(m, scale, inside, depth):
    """Tiles of any length, which end at any time; returns the remaining words of a tile that has ended, else 0."""
    ended, known, begun, left = Signal(), Signal(), Signal(), Signal(range(depth + 1))
    end, single, last = Signal(range(depth)), Signal(), Signal()
    head, head_last = counter(m, depth, scale.read, name="head")
    length, first, begins = Signal(range(depth + 1)), Signal(range(depth)), Signal()
    m.d.comb += [
        length.eq(AnySeq(len(length))), Assume((length != 0) & (length <= depth)), scale.head.eq(head),
        scale.ahead.eq(around(head + 1, depth)), first.eq(Mux(scale.read, scale.ahead, head)),
        begins.eq((begun | scale.read) & ~scale.release), scale.ended.eq(ended),
        scale.tile.as_value().eq(Mux(ended, Cat(end, single, last), AnySeq(len(scale.tile.as_value())))),
        scale.tile_valid.eq(AnySeq(1) & ~(ended & (left == 1) & begun & ~known)),
    ]
    m.d.sync += [known.eq(ended), begun.eq(begins), left.eq(left - (scale.read & ended))]
    with m.If(~ended | scale.release):
        m.d.sync += [
            ended.eq(AnySeq(1)), left.eq(length), single.eq(~begins & (length == 1)), last.eq(AnySeq(1)),
            end.eq(around(first + length - 1, depth)),
        ]
    remains = Mux(ended, left, 0)
    m.d.comb += [
        Assert((head < depth) & (head_last == (head == depth - 1)), "the tile buffer's pointer is within its depth"),
        Assert(~ended | ((left != 0) & (left <= depth) & (end == around(head + left - 1, depth))),
               "the tile's end is as far ahead as it has words left"),
        Assert(inside["at_tile_start"] == ~begun, "a tile starts after the end of another"),
        Assert(~ended | (single == (~begun & (left == 1))) | begun, "a tile of a single word is known"),
        Assert(~begun | (inside["compared"] == (known & (remains == 1))), "the last word is known before it is read"),
        Cover(scale.read & ~ended & begun, "a tile is read before it has ended"),
        Cover(scale.release & ~begun, "a tile of a single word is read"),
    ]
    return remains


def _beats(m, scale, inside, timing):
    """Data, gates and tlast of every beat meet at the queue, which then gives them in order.

    Gates are 0 or 1; those that are multiplied in two limbs have a bit in each. Data are 0 or 1, too, or with outputs
    of a format of their own any integers, as both zero points are. Tests check all other arithmetic.
    """
    latency = timing.scale_latency
    config, lanes = scale.config, scale.config.lanes
    bits, zero, outputs_zero = 1, Const(0), Const(0)
    if config.requantised:
        bits, zero, outputs_zero = config.data.bits, Signal.like(scale.zero), Signal.like(scale.outputs_zero)
        m.d.comb += [zero.eq(AnyConst(zero.shape())), outputs_zero.eq(AnyConst(outputs_zero.shape())),
                     scale.zero.eq(zero), scale.outputs_zero.eq(outputs_zero)]
    # Fractional bits of a gate's bits. The lower limb's top bit counts in an output.
    places = [0] if limbs(config.gate_bits) == 1 else [0, config.gate_frac - LIMB_BITS + 1]
    data, gate = Signal(lanes * bits), Signal(lanes * len(places))
    m.d.comb += [data.eq(AnySeq(len(data))), gate.eq(AnySeq(len(gate)))]
    due = functools.partial(later, m)
    x, factor = due(data, timing.read_latency, "data"), due(gate, timing.read_latency + DEVIATE, "gate")
    m.d.comb += [scale.x[lane].eq(x.word_select(lane, bits)) for lane in range(lanes)]
    m.d.comb += [scale.gates[lane].eq(sum(bit << (config.gate_frac - place) for bit, place in
                                          zip(factor.word_select(lane, len(places)), places, strict=True)))
                 for lane in range(lanes)]
    wanted, kind = [], config.outputs.as_signed
    for lane in range(lanes):
        integer = data.word_select(lane, bits)
        deviation = (integer.as_signed() if config.requantised else integer) - zero
        parts = sum(Mux(bit, deviation << (places[-1] - place), 0) for bit, place in
                    zip(gate.word_select(lane, len(places)), places, strict=True))
        y = round_shift(parts, places[-1]) + outputs_zero
        wanted.append(Mux(y > kind.high, kind.high, Mux(y < kind.low, kind.low, y))[:kind.bits])
    queue = inside["queue"]
    results = queue.i[:lanes * kind.bits] == due(Cat(wanted), latency, "wanted")
    m.d.comb += [
        Assert(queue.i_valid == due(scale.read, latency, "read"),
               "a beat that is read comes to the queue, and no other"),
        Assert(~queue.i_valid | results, "every lane of a beat meets its own gate"),
        Assert(~queue.i_valid | (queue.i[-1] == due(scale.release & scale.tile.last, latency, "end")),
               "tlast comes with the frame's last beat, and no other"),
    ]


def pipeline(m, scale, inside, timing):
    """Credits, pipeline and queue; returns the number of beats that are read and have not left."""
    queue, level, credits = inside["queue"], inside["queue/level"], inside["credits"]
    stages = Cat(inside[f"valid_{i + 1}"] for i in range(timing.scale_latency))
    under_way = Signal(range(timing.credits + 1))
    m.d.sync += under_way.eq(under_way + scale.read - (scale.o_valid & scale.o_ready))
    in_stages = sum(stages[1:], start=stages[0])
    m.d.comb += [
        Assert(credits + under_way == timing.credits, "credits are the places that no beat is under way to"),
        Assert(in_stages + level + scale.o_valid == under_way, "beats are in the pipeline or in the queue"),
        Assert(~scale.read | (under_way != timing.credits), "no beat is read without a place for it"),
        Assert(~queue.i_valid | (level + queue.o_valid <= queue.depth), "the output queue never overflows"),
        Assert(inside["has_credit"] == (credits != 0), "has_credit tells of a credit"),
        Assert(inside["queue/filled"] == (level != 0), "filled tells whether there are words"),
        Assert(~scale.idle | (under_way == 0), "idle means that no beat is under way"),
    ]
    return under_way


def _model(config):
    m = Module()
    timing = Timing(config)
    depth = timing.buffer_words
    scale = Scale(config, range(depth))
    m.submodules.scale = inside = Inside(scale)
    m.d.comb += scale.o_ready.eq(AnySeq(1))
    streams = config.context.streams
    left = (_streams if streams else _tiles)(m, scale, inside, depth)
    under_way = pipeline(m, scale, inside, timing)
    m.d.comb += Cover(inside["credits"] == 0, "no credit is left")
    _beats(m, scale, inside, timing)
    group, last_group = counter(m, config.groups, scale.read, scale.release, name="expected_group")
    m.d.comb += [
        Assert(scale.release == (scale.read & (left == 1)), "a tile is released with its last word, and only then"),
        Assert(~scale.read | (scale.tile_valid & (streams | (left != 0))), "nothing is read but what can be"),
        Assert(scale.group == group, "gates are read a group a word"),
        Assert((group < config.groups) & (last_group == (group == config.groups - 1)), "groups are counted around"),
        Assert(inside["group_count_last"] == last_group, "the last group is known"),
        Cover(scale.release & (left == 1) & (scale.tile.end == 0), "a tile ends where the buffer wraps"),
    ]
    held(m, scale.o_valid, scale.o_ready, scale.o_data.as_value(), scale.o_last)
    _progress(m, scale, timing, under_way)
    return m


def _progress(m, scale, timing, under_way):
    """Bounded latency of the output, and full rate of the reads while the sink always takes."""
    latency = timing.scale_latency + QUEUE
    silent, flowing, calm = (Signal(range(n + 2), name=name) for n, name in (
        (latency, "silent"), (latency, "flowing"), (2, "calm")))
    m.d.sync += [
        silent.eq(Mux((under_way == 0) | scale.o_valid, 0, silent + (silent <= latency))),
        flowing.eq(Mux(scale.o_ready, flowing + (flowing <= latency), 0)),
        calm.eq(Mux((under_way == 0) & ~scale.read, calm + (calm <= 2), 0)),
    ]
    m.d.comb += [
        Assert(silent < latency, "what is read is offered within its latency"),
        Assert(~(scale.tile_valid & (flowing > latency)) | scale.read, "reading is at full rate when the output is"),
        Assert((calm < 2) | scale.idle, "idle comes when no beat is under way"),
        Cover((flowing > latency) & (under_way == timing.credits - 1), "full rate"),
    ]


_FAULTS = (
    Fault("a credit too many", "scale.py", "depth=timing.credits - 1", "depth=timing.credits - 2",
          "the output queue never overflows"),
    Fault("a read may follow the one that took the last credit", "scale.py", "((credits == 1) & ~self.read)",
          "(credits == 1)", "no beat is read without a place for it"),
    Fault("a credit is given back for a beat that is only offered", "scale.py",
          "returned = self.o_valid & self.o_ready", "returned = self.o_valid", "the output queue never overflows"),
    Fault("a tile of a single word is taken for a longer one", "scale.py",
          "Mux(at_tile_start, self.tile.single, compared)", "compared",
          "a tile is released with its last word, and only then"),
    Fault("tlast a stage early", "scale.py", 'timing.scale_latency, name="last")',
          'timing.scale_latency - 1, name="last")', "tlast comes with the frame's last beat, and no other"),
    Fault("idle while a beat is offered", "scale.py", "credits + returned == timing.credits",
          "credits + self.o_valid == timing.credits", "idle means that no beat is under way"),
    Fault("groups go on over a tile's end", "scale.py", "config.groups, self.read, self.release, name",
          "config.groups, self.read, name", "gates are read a group a word"),
    Fault("only a tile's last beat comes to the queue", "scale.py", "delay(m, self.read, timing.scale_latency",
          "delay(m, self.release, timing.scale_latency", "a beat that is read comes to the queue, and no other"),
)
_LANES = (
    Fault("all lanes get the first one's gate", "scale.py", "deviation, self.gates[lane]",
          "deviation, self.gates[0]", "every lane of a beat meets its own gate"),
    Fault("data come a stage early", "scale.py", "multiply_limbs(m, deviation,",
          "multiply_limbs(m, self.x[lane] - self.zero,", "every lane of a beat meets its own gate"),
    Fault("what waits for ready is overwritten", "queue.py", "load.eq(filled & (~self.o_valid | self.o_ready))",
          "load.eq(filled)", "payload 0 is held until ready"),
)
_OUTPUTS = (
    Fault("outputs wrap", "scale.py", "rounded = saturate(unbounded, result.shape())", "rounded = unbounded",
          "every lane of a beat meets its own gate"),
    Fault("outputs are around the input's zero point", "scale.py", "self.outputs_zero if config.requantised else", "",
          "every lane of a beat meets its own gate"),
    Fault("data are taken to be around the outputs' zero point", "scale.py", "deviation.eq(self.x[lane] - self.zero)",
          "deviation.eq(self.x[lane] - outputs_zero)", "every lane of a beat meets its own gate"),
    Fault("an output saturates a cycle late", "timing.py", "(SATURATE if self.config.requantised else 0)", "0",
          "every lane of a beat meets its own gate"),
)
_WIDE = (
    Fault("the upper limb is a cycle late", "multiplier.py", "max(i - 1, 0)", "i",
          "every lane of a beat meets its own gate"),
    Fault("limbs are added without a cycle for it", "timing.py", "product_latency(limbs(self.config.gate_bits))",
          "product_latency()",
          "every lane of a beat meets its own gate"),
    Fault("the lower limb is left out", "multiplier.py", "upper.eq((total >> done) + product)", "upper.eq(product)",
          "every lane of a beat meets its own gate"),
)
_RELEASE = "a tile is released with its last word, and only then"
_CAUSAL = (
    Fault("a tile's end is compared only while it is read", "scale.py", "Mux(self.read, self.ahead, self.head)",
          "self.ahead", _RELEASE),
    Fault("a record is read before there is one", "scale.py", "self.ended & self.tile.single", "self.tile.single",
          _RELEASE),
    Fault("an end is compared before there is one", "scale.py", "compared.eq(self.ended & (", "compared.eq((",
          _RELEASE),
)
_SIZES = (
    (Config(k=2, width=1, channels=3, squeeze=1, slack=1), _FAULTS),
    (Config(k=3, width=1, channels=3, squeeze=1, lanes=3, slack=0), _LANES),
    (Config(k=7, width=5, channels=3, squeeze=1, lanes=3, slack=5), ()),
    (Config(k=2, width=1, channels=3, squeeze=1, slack=1, context=Context.CAUSAL, prior_rows=1), _CAUSAL),
    (Config(k=1, width=1, channels=3, squeeze=1, lanes=3, slack=1, context=Context.WINDOW, window=(0, 1)), ()),
    (Config(k=1, width=1, channels=3, squeeze=1, lanes=3, slack=1, data=DataType(4), y_data=DataType(3)), _OUTPUTS),
    (Config(k=1, width=1, channels=2, squeeze=1, slack=1, data=DataType(14), y_data=DataType(3)), _WIDE),
)
PROOFS = tuple(
    Proof(f"scale {'' if c.context is Context.TILE else f'context={c.context.value} '}groups={c.groups} "
          f"depth={Timing(c).buffer_words}{f' {c.data} outputs={c.outputs}' if c.requantised else ''}",
          functools.partial(_model, c),
          depth=Timing(c).scale_latency + QUEUE + 1, faults=faults) for c, faults in _SIZES)
