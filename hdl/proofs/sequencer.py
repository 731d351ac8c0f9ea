# SPDX-License-Identifier: Apache-2.0
"""The sequencer issues each layer's inputs once a pass, in order, in the cycles that `Timing` gives.

The proof assumes that sums stay readable until layer 1 starts.
"""

import functools

from amaranth.asserts import AnySeq
from amaranth.hdl import Array, Assert, Const, Cover, Module, Mux, Signal

from ..config import Config
from ..sequencer import Sequencer
from ..timing import Timing
from .proof import Fault, Inside, Proof

__all__ = ["PROOFS", "Walk", "issues", "registers"]


class Walk:
    """The expected state: the layer, the cycles since it started (which give pass and place), or the gap."""

    def __init__(self, m, config, sequencer, inside):
        timing = Timing(config)
        inputs, passes = (config.channels, config.squeeze), config.passes
        self.layer, self.running = Signal(name="walk_layer"), Signal(name="walk_running")
        self.cycle = Signal(range(max(timing.layer_cycles)), name="walk_cycle")
        # Cycles since the last input of the previous layer.
        self.since = Signal(range(timing.gap + 1), init=timing.gap, name="walk_since")
        self.length = self.of(timing.layer_cycles)
        self.inputs, self.passes = self.of(inputs), self.of(passes)
        # Pass, and place in the pass, as functions of the cycle.
        table = [[divmod(cycle, step) for cycle in range(max(timing.layer_cycles))] for step in timing.pass_cycles]
        self.number, self.place = (
            Mux(self.layer, *(Array(Const(entry[i], 8) for entry in column)[self.cycle] for column in reversed(table)))
            for i in (0, 1))
        self.ends = Signal(name="walk_ends")
        begins = Signal(name="walk_begins")
        m.d.comb += [
            self.ends.eq(self.running & (self.cycle == self.length - 1)),
            begins.eq(Mux(self.layer, sequencer.gates_free & (self.since >= timing.gap - 1), sequencer.sums_valid)
                      & ~self.running),
            Assert(sequencer.start == (begins & ~self.layer),
                   "layer 1 starts with a tile's sums, when the units are free"),
            Assert(sequencer.gates_take == (begins & self.layer),
                   "a place for gates is taken once a tile, when there is one, a gap after layer 1"),
            Assert(sequencer.sums_read == (self.ends & ~self.layer), "sums are done with at layer 1's last input"),
            Assert(self.cycle < self.length, "a layer takes as long as it should"),
            Assert(self.running | (self.cycle == 0), "a layer starts at its first cycle"),
            Assert((self.since != 0) & (self.since <= timing.gap)
                   & (~(self.layer & self.running) | (self.since == timing.gap)), "layer 2 runs after the gap"),
        ]
        m.d.sync += [
            self.running.eq((self.running & ~self.ends) | begins), self.layer.eq(self.layer ^ self.ends),
            self.cycle.eq(Mux(self.running & ~self.ends, self.cycle + 1, 0)),
            self.since.eq(Mux(self.ends, 1, self.since + (self.since != timing.gap))),
        ]

    def of(self, values):
        """Of two constants, the current layer's."""
        return Mux(self.layer, values[1], values[0])


def issues(m, config, sequencer, walk):
    """The inputs that go to the MAC units, a cycle later."""
    issue = Signal()
    rest = [outputs - (passes - 1) * config.macs
            for outputs, passes in zip((config.squeeze, config.channels), config.passes, strict=True)]
    address = Mux(walk.layer, config.passes[0] * config.channels, 0) + walk.number * walk.inputs + Mux(
        walk.place < walk.inputs, walk.place, walk.inputs)
    fields = {
        "last": walk.place == walk.inputs - 1, "layer": walk.layer, "index": walk.place, "address": address,
        "outputs": Mux(walk.number == walk.passes - 1, walk.of(rest), config.macs),
    }
    m.d.comb += issue.eq(walk.running & (walk.place < walk.inputs))
    issued, channel = Signal(), Signal(range(config.channels))
    m.d.sync += [issued.eq(issue), channel.eq(walk.place)]
    m.d.comb += Assert(sequencer.o_valid == issued, "an input is issued in each cycle that has one")
    for name, value in fields.items():
        field = Signal.like(sequencer.o[name], name=f"issued_{name}")
        m.d.sync += field.eq(value)
        m.d.comb += Assert(~issued | (sequencer.o[name] == field), f"an issued input's {name} is right")
    m.d.comb += Assert(~issued | sequencer.o.layer | ((sequencer.o.group == channel // config.lanes)
                                                      & (sequencer.o.lane == channel % config.lanes)),
                       "an issued sum's group and lane are right")
    m.d.comb += [
        Cover(walk.ends & walk.layer & sequencer.sums_valid, "a tile is done, and another waits"),
        Cover(walk.layer & ~walk.running & ~sequencer.gates_free & (walk.since == Timing(config).gap),
              "gates wait for a place"),
    ]
    return address


def registers(m, config, inside, walk, address):
    """The values of the sequencer's registers."""
    timing = Timing(config)
    place, last_pass = walk.place, walk.number == walk.passes - 1
    m.d.comb += [
        Assert((inside["running"] == walk.running) & (inside["layer2"] == walk.layer), "running, and the layer"),
        Assert(inside["position"] == place, "the position is the place in the pass"),
        Assert(inside["left"] == walk.passes - walk.number, "passes are counted down"),
        Assert(inside["last_pass"] == last_pass, "the last pass is known"),
        Assert(inside["has_input"] == (place < walk.inputs), "whether there is an input is known"),
        Assert(inside["last_input"] == (place == walk.inputs - 1), "a pass's last input is known"),
        Assert(inside["layer_end"] == ((place == walk.inputs - 1) & last_pass), "a layer's last input is known"),
        Assert(inside["pass_end"] == ((place == walk.of(timing.pass_cycles) - 1)
                                      | ((place == walk.inputs - 1) & last_pass)), "a pass's last cycle is known"),
        Assert(inside["address"] == address, "the address goes on with every input"),
        Assert(walk.layer | (place >= walk.inputs) | (
            (inside["lane"] == place % config.lanes) & (inside["group"] == place // config.lanes)),
            "lane and group are the digits of a sum's channel"),
        Assert(inside["last_lane"] == (inside["lane"] == config.lanes - 1), "the last lane is known"),
        Assert(~walk.layer | (inside["gap_over"] == (walk.since >= timing.gap - 1)), "the gap's end is known"),
        Assert(~walk.layer | inside["gap_over"] | (inside["gap"] == timing.gap - 1 - walk.since),
               "the gap is counted down"),
    ]


def _model(config):
    m = Module()
    sequencer = Sequencer(config)
    m.submodules.sequencer = inside = Inside(sequencer)
    wants = Signal()
    m.d.sync += wants.eq(sequencer.sums_valid & ~sequencer.start)
    m.d.comb += [sequencer.sums_valid.eq(wants | AnySeq(1)), sequencer.gates_free.eq(AnySeq(1))]
    walk = Walk(m, config, sequencer, inside)
    address = issues(m, config, sequencer, walk)
    registers(m, config, inside, walk, address)
    return m


_TAKE = "a place for gates is taken once a tile, when there is one, a gap after layer 1"
_PASSES = (
    Fault("layer 2 starts without a place for its gates", "sequencer.py", "layer2 & gap_over & self.gates_free",
          "layer2 & gap_over", _TAKE, depth=40),
    Fault("the gap is a cycle short", "sequencer.py", "gap.eq(timing.gap - 2)", "gap.eq(timing.gap - 3)", _TAKE,
          depth=40),
    Fault("layer 1 starts without sums", "sequencer.py", "~running & ~layer2 & self.sums_valid", "~running & ~layer2",
          "layer 1 starts with a tile's sums, when the units are free"),
    Fault("the weights' address starts anew with layer 2", "sequencer.py", "pass_done, layer_done & layer2)",
          "pass_done, layer_done)", "an issued input's address is right", depth=40),
    Fault("the last pass has as many outputs as any", "sequencer.py", "o.outputs.eq(outputs)",
          "o.outputs.eq(self.config.macs)", "an issued input's outputs is right", depth=40),
    Fault("the next tile is read on after the last group", "sequencer.py",
          "last_lane.eq(config.lanes == 1), group.eq(0)]", "last_lane.eq(config.lanes == 1)]",
          "an issued sum's group and lane are right", depth=40),
)
_LANES = (
    Fault("sums are done with a pass early", "sequencer.py", "next_last = left == 2", "next_last = left == 3",
          "sums are done with at layer 1's last input", depth=40),
)
_SIZES = (
    (Config(k=1, width=1, channels=3, squeeze=2, macs=2), _PASSES),
    (Config(k=1, width=1, channels=6, squeeze=3, lanes=3, macs=1), _LANES),
    (Config(k=1, width=1, channels=3, squeeze=1, lanes=3, macs=5), ()),
    (Config(k=1, width=1, channels=1, squeeze=1, lanes=1, macs=1), ()),
    (Config(k=1, width=1, channels=5, squeeze=4, lanes=1, macs=3), ()),
)
# A tile's cycles, and a few more, reach every cover.
PROOFS = tuple(
    Proof(f"sequencer C={c.channels} CR={c.squeeze} lanes={c.lanes} macs={c.macs}", functools.partial(_model, c),
          cover=Timing(c).excite_cycles + 5, faults=faults) for c, faults in _SIZES)
