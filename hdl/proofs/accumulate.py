# SPDX-License-Identifier: Apache-2.0
"""Accumulator with ingress: the sums that go to excite are those of all beats of their tile, and of no others.

Data are 0 or 1 in every lane. The proof assumes that excite holds a tile's sums at least as long as layer 1 takes,
which the sequencer's proof shows.
"""

import functools

from amaranth.asserts import AnySeq
from amaranth.hdl import Array, Assert, Cat, Cover, Module, Mux, Signal

from ..accumulate import Accumulator, uses_registers
from ..arithmetic import delay
from ..config import Config
from ..ingress import Ingress
from ..latency import ram_latency
from ..timing import Timing
from .checks import any_below, later
from .ingress import neighbours, place, position, sums
from .proof import Fault, Inside, Proof

__all__ = ["PROOFS"]


def _watch(m, config, ingress, accumulate, number, ends, age, data):
    """Watch any one sum of any one tile; returns its group and lane, 'it has not left yet', and its expected value."""
    group, lane = any_below(m, config.groups, "group"), any_below(m, config.lanes, "lane")
    active, closed, flushed, reached = Signal(), Signal(), Signal(), Signal()
    expected = Signal(config.sum_bits)
    start, adds, handed = Signal(), Signal(), Signal()
    m.d.comb += [
        start.eq(ingress.take & (number == 0) & ~active & AnySeq(1)),
        adds.eq(ingress.take & (start | (active & ~closed)) & (ingress.group == group)),
        handed.eq(flushed & accumulate.o_valid & (accumulate.o_group == group)),
    ]
    with m.If(start):
        m.d.sync += [active.eq(1), closed.eq(0), flushed.eq(0), reached.eq(0), expected.eq(0)]
    with m.If(adds):
        m.d.sync += [reached.eq(1), expected.eq(Mux(start, 0, expected) + data.bit_select(lane, 1))]
    with m.If(ends & (start | (active & ~closed))):
        m.d.sync += closed.eq(1)
    with m.If(active & closed & ingress.flush):
        m.d.sync += flushed.eq(1)
    with m.If(active & handed):
        m.d.sync += active.eq(0)
    m.d.comb += [
        Assert(~(active & ~closed) | ((number != 0) & ~flushed & (reached == (number > group))),
               "the watched tile is the one that is being taken"),
        Assert(~active | reached | (expected == 0), "nothing is added up before the group's first beat"),
        Assert(~(active & flushed) | (closed & (age <= ram_latency(config.groups) + group)),
               "the watched sum is handed over in its turn"),
        Assert(~(active & handed & reached) | (accumulate.o_sums.as_value().word_select(lane, config.sum_bits)
                                              == expected),
               "a sum is that of all of its tile's beats, and of no others"),
        Cover(active & handed & reached & (expected == config.k * config.width) & ingress.take,
              "a full sum is handed over while the next tile comes"),
    ]
    return group, lane, active & reached, adds, expected, active & closed & ~flushed


def _stored(m, config, inside, group, lane, live, adds, expected):
    """The running sum in registers or memory is right whenever none of its beats is in the pipeline."""
    if uses_registers(config):
        word, cycles = Array(inside[f"sums_{i}"] for i in range(config.groups))[group], 1
    else:
        word, cycles = inside.word(m, "ram/storage", group), ram_latency(config.groups) + 2
    pending = Cat(later(m, adds, i + 1, f"pending_{i}") for i in range(cycles)).any()
    m.d.comb += Assert(~(live & ~pending) | (word.word_select(lane, config.sum_bits) == expected),
                       "a running sum is that of its beats")
    if not uses_registers(config):
        ram = inside["ram"]
        m.d.comb += [
            Assert(~(ram.we & ram.re) | (ram.waddr != ram.raddr), "no sum is read while it is written"),
            Assert((~ram.we | (ram.waddr < config.groups)) & (~ram.re | (ram.raddr < config.groups)),
                   "sums are within the memory"),
            Cover(ram.we & ram.re & (ram.waddr == config.groups - 1), "the last sum is written while one is read"),
        ]


def _model(config):
    m = Module()
    depth, timing = Timing(config).buffer_words, Timing(config)
    ingress, accumulate = Ingress(config, range(depth)), Accumulator(config)
    m.submodules.ingress = inside_ingress = Inside(ingress)
    m.submodules.accumulate = inside = Inside(accumulate)
    latency = ram_latency(config.groups)
    age = neighbours(m, ingress, depth, timing.sums_latency + timing.layer_cycles[0] - 1)
    number, ends = place(m, ingress, config)
    data = Signal(config.lanes)
    late = delay(m, data, 1, name="data")
    m.d.comb += [accumulate.i_data[lane].eq(late[lane]) for lane in range(config.lanes)]
    m.d.comb += [
        data.eq(AnySeq(config.lanes)), ingress.busy.eq(accumulate.busy), accumulate.i_valid.eq(ingress.take),
        accumulate.i_group.eq(ingress.group), accumulate.i_first.eq(ingress.first_pixel),
        accumulate.flush.eq(ingress.flush),
    ]
    position(m, ingress, inside_ingress, config, number, ends)
    owed = sums(m, ingress, inside_ingress, config, number, ends)
    *watched, waits = _watch(m, config, ingress, accumulate, number, ends, age, data)
    _stored(m, config, inside, *watched)
    turn = age - latency
    m.d.comb += [
        Assert(~waits | owed, "the watched sums are those that wait"),
        Assert(accumulate.o_valid == ((age >= latency) & (age < latency + config.groups)),
               "sums come without a pause, from the memory's latency on"),
        Assert(~accumulate.o_valid | (accumulate.o_group == turn[:len(accumulate.o_group)]), "sums come in order"),
        Assert(inside["more"] == ((age >= 1) & (age < config.groups)), "copying takes a cycle a group"),
        Assert(inside["copy"] == Mux(inside["more"], age, 0), "groups are copied in order"),
        Assert(inside["copy_last"] == (inside["copy"] == config.groups - 1), "the last group to be copied is known"),
        Assert(~inside["more"] | (number <= age), "words are copied before they are overwritten"),
        Assert(~ingress.flush | ~inside["more"], "no copy starts while another goes on"),
    ]
    return m


_SUM = "a sum is that of all of its tile's beats, and of no others"
_REGISTERS = (
    Fault("a RAM where a pixel is shorter than its read-modify-write", "accumulate.py",
          "return ram_latency(config.groups) + 3", "return ram_latency(config.groups) + 1", _SUM),
    Fault("a RAM where a pixel is as long as its read-modify-write", "accumulate.py",
          "return ram_latency(config.groups) + 3", "return ram_latency(config.groups) + 2",
          "no sum is read while it is written"),
    Fault("beats are taken while finished sums wait", "ingress.py", "self._sums(m, position) &",
          "(self._sums(m, position) | 1) &", _SUM),
)
_MEMORY = (
    Fault("a cut tile's last sum is handed over before it has landed", "ingress.py", "free & ~(cut & self.busy)",
          "free", _SUM),
    Fault("the first pixel adds to the tile before it", "accumulate.py", "delay(m, self.i_first, self.latency, name",
          "delay(m, self.i_first, self.latency + 1, name", _SUM),
)
_LANES = (
    Fault("all lanes add up the first one", "accumulate.py", "old[lane] + beat[lane]", "old[lane] + beat[0]", _SUM),
)
_SIZES = (
    (Config(k=2, width=2, channels=3, squeeze=1, slack=1), _REGISTERS),
    (Config(k=2, width=1, channels=5, squeeze=1, slack=1), _MEMORY),
    (Config(k=3, width=1, channels=3, squeeze=1, lanes=3, slack=0), _LANES),
    # As few groups as a RAM can have: a sum is read in the cycle after it is written.
    (Config(k=2, width=1, channels=8, squeeze=1, lanes=2, slack=1), ()),
)
PROOFS = tuple(
    Proof(f"accumulate k={c.k} width={c.width} groups={c.groups}", functools.partial(_model, c), depth=7, faults=faults,
          cover=25) for c, faults in _SIZES)
