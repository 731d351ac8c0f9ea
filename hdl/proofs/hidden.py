# SPDX-License-Identifier: Apache-2.0
"""The hidden vector and the operands: layer 2 reads its own tile's values, and each operand meets its own weights.

The model is that of excite's own proof, with any weights, records and sums.
"""

import functools

from amaranth.hdl import Array, Assert, Cat, Const, Cover, Mux, Signal

from ..config import Config, Context, DataType, Mid
from ..latency import mac_latency, mid_latency, ram_latency, record_ahead
from ..timing import OPERAND, Timing
from .checks import any_below, later
from .excite import working
from .place import tiling_name
from .proof import Fault, Proof

__all__ = ["PROOFS"]


def _written(config):
    """Cycles from the issue of a pass's last input to where its first hidden value is written."""
    return Timing(config).issue_to_value + mid_latency(config)


def _addressed(config):
    """Cycles from the issue of an input of layer 2 to where its hidden value is read."""
    return Timing(config).issue_to_operand - OPERAND - Timing(config).hidden_latency


def _writes(m, config, hidden, walk):
    """Each pass of layer 1 writes its values in order, in the cycles that `Timing` gives; returns 'a pass ends'."""
    rest = config.squeeze - (config.passes[0] - 1) * config.macs
    ends, outputs, first = Signal(), Signal(range(config.macs + 1)), Signal(range(config.squeeze + 1))
    m.d.comb += [
        ends.eq(walk.running & ~walk.layer & (walk.place == config.channels - 1)),
        outputs.eq(Mux(walk.number == config.passes[0] - 1, rest, config.macs)), first.eq(walk.number * config.macs),
    ]
    due, count, base = (later(m, value, _written(config), name)
                        for value, name in ((ends, "due"), (outputs, "count"), (first, "base")))
    left, following = Signal(range(config.macs + 1)), Signal(range(config.squeeze + 1))
    m.d.sync += [left.eq(Mux(due, count - 1, left - (left != 0))), following.eq(Mux(due, base, following) + 1)]
    m.d.comb += [
        Assert(hidden.we == (due | (left != 0)), "hidden values come at the pace of Timing"),
        Assert(~hidden.we | (hidden.waddr == Mux(due, base, following)), "a hidden value goes to its own place"),
    ]
    return ends


def _value(m, config, inside, walk, ends):
    """Any one hidden value: it is written in its tile's layer 1, after the last reads of the previous tile."""
    hidden, place, there = inside["hidden"], any_below(m, config.squeeze, "place"), Signal()
    value = Signal.like(hidden.wdata)
    with m.If(later(m, inside["sequencer"].start, _addressed(config), "started")):
        m.d.sync += there.eq(0)
    with m.If(hidden.we & (hidden.waddr == place)):
        m.d.sync += [there.eq(1), value.eq(hidden.wdata)]

    number, turn = (Array(Const(part(i), 16) for i in range(config.squeeze))[place]
                    for part in (lambda i: i // config.macs, lambda i: i % config.macs))
    ended = [ends & (walk.number == number)]
    for i in range(_written(config) + config.macs - 1):
        ended.append(later(m, ended[-1], 1, f"ended_{i}"))
    # The value is not yet written until its turn in its pass.
    coming = Cat(stage & (i <= _written(config) + turn) for i, stage in enumerate(ended[1:], 1)).any()
    past = walk.layer | (walk.number > number) | ((walk.number == number) & (walk.place >= walk.inputs))
    reads = later(m, walk.running & walk.layer & (walk.place < walk.inputs), _addressed(config), "reads")
    index = later(m, walk.place, _addressed(config), "read_place")
    mine = hidden.re & (hidden.raddr == place)
    m.d.comb += [
        Assert(~past | there | coming, "a pass's hidden values are there or on their way once it has ended"),
        Assert(hidden.re == reads, "a hidden value is read for each input of layer 2"),
        Assert(~hidden.re | (hidden.raddr == index), "hidden values are read in order"),
        Assert(~mine | there, "layer 2 reads what its own tile's layer 1 has written"),
        Assert(~(hidden.re & hidden.we) | (hidden.waddr != hidden.raddr),
               "no hidden value is read while it is written"),
        Assert(~there | (inside.word(m, "hidden_ram/storage", place) == value),
               "hidden values stay as they were written"),
        Cover(mine & (place == config.squeeze - 1) & (value != 0), "the last hidden value is read"),
    ]


def _operands(m, config, excite, inside, walk):
    """Operands meet their own weights, and a pass's accumulators their own records."""
    mac, requantise, cycles = inside["mac"], inside["requantise"], Timing(config).issue_to_operand
    issue = walk.running & (walk.place < walk.inputs)
    valid, last, layer = (later(m, value, cycles, f"its_{i}") for i, value in enumerate(
        (issue, walk.place == walk.inputs - 1, walk.layer)))
    base = Mux(walk.layer, config.passes[0] * config.channels, 0)
    word = base + walk.number * walk.inputs + walk.place
    address = later(m, word[:len(excite.weight_address)], cycles, "its_word")
    asked = later(m, excite.weight_address, ram_latency(config.weight_depth), "asked")
    value, mean = (later(m, source, OPERAND, name) for source, name in (
        (inside["value"], "its_value"), (inside["means"].o, "its_mean")))
    moves = later(m, valid & last, mac_latency(config), "moves")
    m.d.comb += [
        Assert((mac.i_valid == valid) & (~valid | (mac.i_last == last)), "an operand comes for each input"),
        Assert(~valid | (asked == address), "an operand meets the weights of its own input"),
        Assert(~valid | (mac.i_operand == Mux(layer, value, mean)),
               "means are layer 1's operands, hidden values layer 2's"),
        Assert((mac.i_weights.as_value() == excite.weights.as_value()) & (requantise.i == mac.o)
               & (requantise.record.as_value() == excite.record.as_value())
               & (excite.record_address == requantise.record_address), "accumulators and records go to requantisation"),
        Assert(later(m, requantise.i_start, record_ahead(config), "announced") == moves,
               "a pass's first accumulator comes with its record"),
    ]


def _model(config):
    m, excite, inside, walk = working(config)
    ends = _writes(m, config, inside["hidden"], walk)
    _value(m, config, inside, walk, ends)
    _operands(m, config, excite, inside, walk)
    return m


_OWN = "layer 2 reads what its own tile's layer 1 has written"
_FAULTS = (
    Fault("all hidden values go to one place", "excite.py",
          'hidden.waddr.eq(delay(m, requantise.o_index, latency, name="hidden_index"))', "hidden.waddr.eq(0)",
          "a hidden value goes to its own place", depth=30),
    Fault("layer 2 starts a cycle early", "sequencer.py", "gap.eq(timing.gap - 2)", "gap.eq(timing.gap - 3)", _OWN,
          depth=40),
    Fault("hidden values are read a cycle early", "excite.py", 'before - timing.hidden_latency, "index"',
          'before - timing.hidden_latency - 1, "index"', "hidden values are read in order", depth=40),
    Fault("weights come a cycle late", "excite.py", "address = arrives - ram_latency(config.weight_depth)",
          "address = arrives", "an operand meets the weights of its own input"),
    Fault("the last mean is taken for a hidden value", "excite.py", 'issued(sent.layer, before, "layer")',
          'issued(sent.layer, before - 1, "layer")', "means are layer 1's operands, hidden values layer 2's", depth=40),
    Fault("records come a cycle late", "excite.py", "drains = arrives + mac_latency(config) - record_ahead(config)",
          "drains = arrives + mac_latency(config) - record_ahead(config) + 1",
          "a pass's first accumulator comes with its record", depth=30),
)
_TABLE = (
    Fault("hidden values are written a cycle early", "excite.py", "latency = mid_latency(self.config)",
          "latency = mid_latency(self.config) - 1", "hidden values come at the pace of Timing", depth=50),
)
_SIZES = (
    (Config(k=2, width=1, channels=3, squeeze=2, macs=2), _FAULTS),
    (Config(k=3, width=1, channels=3, squeeze=3, lanes=3, macs=1), ()),
    (Config(k=2, width=1, channels=6, squeeze=3, lanes=3, macs=2), ()),
    (Config(context=Context.CUMULATIVE, k=1, prior_rows=1, max_rows=2, width=1, channels=3, squeeze=2, macs=2), ()),
    # The table of a middle activation of wide data has a register more.
    (Config(k=2, width=1, channels=3, squeeze=2, macs=2, data=DataType(12), mid=Mid.SILU), _TABLE),
)


def _name(config):
    context = "" if config.context is Context.TILE else f"{tiling_name(config)} "
    table = f" {config.data} {config.mid.value}" if config.mid.tabulated else ""
    return f"hidden {context}C={config.channels} CR={config.squeeze} lanes={config.lanes} macs={config.macs}{table}"


# Cycles of induction: from an input to its hidden value and to the read of that value.
PROOFS = tuple(
    Proof(_name(c), functools.partial(_model, c), depth=_written(c) + _addressed(c) + c.macs + 2, faults=faults,
          cover=Timing(c).start_latency + Timing(c).excite_cycles + 10) for c, faults in _SIZES)
