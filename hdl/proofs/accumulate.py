# SPDX-License-Identifier: Apache-2.0
"""Accumulator with ingress: the sums that go to excite are those of the rows that are averaged, and of no others.

Data are 0 or 1 in every lane. The proof assumes that excite holds sums at least until layer 1 has read them, which the
sequencer's proof shows.
"""

import functools

from amaranth.asserts import AnySeq
from amaranth.hdl import Array, Assert, Cat, Cover, Module, Mux, Signal

from ..accumulate import Accumulator, uses_registers
from ..arithmetic import delay
from ..config import Config, Context
from ..ingress import Ingress
from ..latency import ram_latency
from ..timing import Timing
from .checks import any_below, later
from .ingress import copied, neighbours, sums
from .place import place_of, tiling_name
from .position import at_place
from .proof import Fault, Inside, Proof

__all__ = ["PROOFS"]


def _watch(m, config, ingress, accumulate, place, turn, data):
    """Watch any one sum of any one descriptor; `turn` is the cycles since sums were handed over.

    Returns its group and lane, 'it has not left yet', 'a beat adds to it', its expected value, and 'it waits'.
    """
    group, lane = any_below(m, config.groups, "group"), any_below(m, config.lanes, "lane")
    active, closed, flushed, reached = Signal(), Signal(), Signal(), Signal()
    expected = Signal(config.sum_bits)
    start, open_, adds, handed, ends = Signal(), Signal(), Signal(), Signal(), Signal()
    # Where sums go on from tile to tile, it is any one of the frame's descriptors.
    ends_it = (place.hand_over & AnySeq(1)) | (place.ends & ingress.i_last) if config.context.running else \
        place.hand_over
    m.d.comb += [
        start.eq(ingress.take & _begins(config, place) & ~active & AnySeq(1)), open_.eq(start | (active & ~closed)),
        adds.eq(ingress.take & open_ & place.counted & (ingress.group == group)),
        handed.eq(flushed & accumulate.o_valid & (accumulate.o_group == group)), ends.eq(ends_it),
    ]
    with m.If(start):
        m.d.sync += [active.eq(1), closed.eq(0), flushed.eq(0), reached.eq(0), expected.eq(0)]
    with m.If(adds):
        m.d.sync += [reached.eq(1), expected.eq(Mux(start, 0, expected) + data.bit_select(lane, 1))]
    with m.If(ends & open_):
        # A causal frame's last sums are those of no descriptor.
        m.d.sync += [closed.eq(1), active.eq(place.hand_over)]
    with m.If(active & closed & ingress.flush):
        m.d.sync += flushed.eq(1)
    with m.If(active & handed):
        m.d.sync += active.eq(0)
    most = config.max_rows if config.context.running else config.most_rows
    goes_on = config.context.running | place.counted
    m.d.comb += [
        Assert(~(active & ~closed) | (goes_on & ~flushed & (reached == (~place.first_pixel | (ingress.group > group)))),
               "the watched sum is one that goes on"),
        Assert(~active | reached | (expected == 0), "nothing is added up before the group's first beat"),
        Assert(~(active & flushed) | (closed & (turn <= ram_latency(config.groups) + group)),
               "the watched sum is handed over in its turn"),
        Assert(~(active & handed & reached) | (accumulate.o_sums.as_value().word_select(lane, config.sum_bits)
                                              == expected),
               "a sum is that of all beats of its rows, and of no others"),
        Cover(active & handed & reached & (expected == most * config.columns) & ingress.take,
              "a full sum is handed over while the next beats come"),
    ]
    return group, lane, active & reached, adds, expected, active & closed & ~flushed


def _begins(config, place):
    """'With the beat that comes next, sums start anew'."""
    if config.context.running:
        return place.fresh
    return place.counted & place.first_pixel & (place.number == 0)


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
    age = neighbours(m, ingress, config, depth, timing.sums_latency + timing.layer_cycles[0] - 1)
    place = place_of(m, config, ingress.take, ingress.i_last)
    data = Signal(config.lanes)
    late = delay(m, data, 1, name="data")
    m.d.comb += [accumulate.i_data[lane].eq(late[lane]) for lane in range(config.lanes)]
    m.d.comb += [
        data.eq(AnySeq(config.lanes)), ingress.busy.eq(accumulate.busy),
        accumulate.i_valid.eq(ingress.take if config.context is Context.TILE else ingress.take & ingress.counted),
        accumulate.i_group.eq(ingress.group), accumulate.i_first.eq(ingress.first_pixel),
        accumulate.flush.eq(ingress.flush),
    ]
    at_place(m, config, inside_ingress["position"], inside_ingress.part("position"), place)
    owed, _ = sums(m, ingress, inside_ingress, config, place)
    now, index, copies = copied(m, ingress, config, place, age)
    *watched, waits = _watch(m, config, ingress, accumulate, place, Mux(copies, age, config.groups + latency), data)
    _stored(m, config, inside, *watched)
    turn = age - latency
    m.d.comb += [
        Assert(~waits | owed, "the watched sums are those that wait"),
        Assert(accumulate.o_valid == (copies & (age >= latency) & (age < latency + config.groups)),
               "sums come without a pause, from the memory's latency on"),
        Assert(~accumulate.o_valid | (accumulate.o_group == turn[:len(accumulate.o_group)]), "sums come in order"),
        Assert(inside["more"] == (copies & (age >= 1) & (age < config.groups)), "copying takes a cycle a group"),
        Assert(inside["copy"] == Mux(inside["more"], age, 0), "groups are copied in order"),
        Assert(inside["copy_last"] == (inside["copy"] == config.groups - 1), "the last group to be copied is known"),
        Assert(~ingress.flush | ~inside["more"], "no copy starts while another goes on"),
    ]
    if config.context.running:
        m.d.comb += [
            ingress.copying.eq(accumulate.copying),
            Assert(accumulate.copying == (now & (index != config.groups - 1)), "the copy's last cycle is announced"),
        ]
    return m


_SUM = "a sum is that of all beats of its rows, and of no others"
_REGISTERS = (
    Fault("a RAM where a pixel is shorter than its read-modify-write", "accumulate.py",
          "return ram_latency(config.groups) + 3", "return ram_latency(config.groups) + 1", _SUM),
    Fault("a RAM where a pixel is as long as its read-modify-write", "accumulate.py",
          "return ram_latency(config.groups) + 3", "return ram_latency(config.groups) + 2",
          "no sum is read while it is written"),
    Fault("beats are taken while finished sums wait", "ingress.py", "& self._sums_written(m, position)",
          "& (self._sums_written(m, position) | 1)", _SUM),
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
_RUNNING = (
    Fault("sums start anew with each tile", "position.py", "with m.If(frame_end):\n            m.d.sync += self.first",
          "with m.If(self.tile_end):\n            m.d.sync += self.first", _SUM),
    Fault("a beat that is taken during a copy reads the copied group's sum", "ingress.py",
          "return self._sums(m, position) & self._in_step(position)", "return self._sums(m, position)", _SUM),
)
_CAUSAL = (
    Fault("beats are taken while a tile's sums wait", "ingress.py",
          "| (position.hand_over | waiting_sums) & ~sums)\n", ")\n", _SUM),
)
_CUT = (
    Fault("a frame's first pixel is read", "accumulate.py", "reads = reads & ~self.i_first", "pass",
          "no sum is read while it is written"),
)
_WINDOW = (
    Fault("the first pixel ends before the window", "position.py", "m.Elif(pixel_end & self.counted)",
          "m.Elif(pixel_end)", _SUM),
)
_SHAPE = {"squeeze": 1, "slack": 1, "width": 1}
_SIZES = (
    (Config(k=2, width=2, channels=3, squeeze=1, slack=1), _REGISTERS),
    (Config(k=2, width=1, channels=5, squeeze=1, slack=1), _MEMORY),
    (Config(k=3, width=1, channels=3, squeeze=1, lanes=3, slack=0), _LANES),
    # As few groups as a RAM can have: a sum is read in the cycle after it is written.
    (Config(k=2, width=1, channels=8, squeeze=1, lanes=2, slack=1), ()),
    (Config(k=1, tile_width=2, channels=4, **_SHAPE | {"width": 5}), ()),
    (Config(context=Context.CUMULATIVE, max_rows=3, k=1, channels=3, **_SHAPE), ()),
    (Config(context=Context.CUMULATIVE, max_rows=2, prior_rows=1, k=1, channels=4, **_SHAPE), _RUNNING),
    (Config(context=Context.CAUSAL, max_rows=3, prior_rows=1, k=1, channels=2, lanes=2, **_SHAPE), _CAUSAL),
    (Config(context=Context.CAUSAL, max_rows=2, prior_rows=1, k=1, channels=4, **_SHAPE), _CUT),
    (Config(context=Context.WINDOW, window=(1, 2), k=1, channels=4, **_SHAPE), _WINDOW),
)
PROOFS = tuple(
    Proof(f"accumulate {tiling_name(c)} width={c.width} groups={c.groups}", functools.partial(_model, c), depth=7,
          faults=faults, cover=25) for c, faults in _SIZES)
