# SPDX-License-Identifier: Apache-2.0
"""The block's wires: each component gets another one's output, of the same beat and in the right cycle.

`control` proves which beat, tile or gate that is, and each component's proof what it does with it. A stand-in replaces
excite, with free outputs.
"""

import functools

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Cat, Cover, Module, Value

from ..accumulate import uses_registers
from ..arithmetic import counter, delay
from ..config import Config, Context
from ..data_type import UINT8, DataType
from ..timing import Timing
from .checks import around, later
from .ingress import started
from .place import tiling_name
from .proof import Fault, Proof
from .stand_in import block_of

__all__ = ["PROOFS"]


def _shifted(beat, kind, lanes):
    """A beat's integers, lane by lane, from the range of `kind` to the signed range or back; without padding."""
    return Cat((beat.word_select(lane, kind.bits) - kind.offset)[:kind.bits] for lane in range(lanes))


def _input(m, block, inside):
    """A taken beat goes to the tile buffer and the accumulator, its tile's sums go to excite."""
    config = block.config
    ingress, accumulate, excite, buffer = (inside[name] for name in ("ingress", "accumulate", "excite", "buffer"))
    take = block.s_axis_tvalid & block.s_axis_tready
    took, context = later(m, take, 1, "took"), config.context
    adds = take if context is Context.TILE else take & ingress.counted
    beat = delay(m, _shifted(block.s_axis_tdata, config.data, config.lanes), 1, name="taken")
    m.d.comb += [
        Assert((buffer.write == take) & (accumulate.i_valid == adds) & (ingress.take == take),
               "a beat that is taken goes into the tile buffer and, if its row is averaged, the accumulator"),
        Assert(~take | (ingress.i_last == block.s_axis_tlast), "a beat is taken with its own tlast"),
        Assert(~took | (buffer.i == beat), "the tile buffer gets the beat a cycle after it was taken"),
        Assert(~took | (accumulate.i_data.as_value() == beat),
               "the accumulator gets the beat a cycle after it was taken"),
        Assert(~take | (accumulate.i_group == ingress.group), "a beat is added to its own group's sums"),
        Assert(~take | (accumulate.i_first == ingress.first_pixel), "sums start anew where they should"),
        Assert((accumulate.flush == ingress.flush) & (excite.i_start == started(ingress, config)),
               "accumulator and excite start together, or excite with the prior alone"),
        Assert((Value.cast(excite.i_rows) == Value.cast(ingress.rows)) & (excite.i_words == ingress.words),
               "excite gets the descriptor's own rows and words"),
        Assert((excite.i_valid == accumulate.o_valid) & (~excite.i_valid | (
            (excite.i_group == accumulate.o_group) & (excite.i_sums.as_value() == accumulate.o_sums.as_value()))),
            "excite gets the sums of the accumulator"),
        Assert((ingress.busy == accumulate.busy) & (ingress.sums_free == excite.sums_free),
               "ingress knows of a sum that is on its way, and of excite's place for sums"),
        Assert((ingress.room == buffer.ready) & (ingress.tail == buffer.tail),
               "ingress knows of the tile buffer's room and of the beat's address"),
    ]
    if context.running:
        m.d.comb += [
            Assert(ingress.copying == accumulate.copying, "ingress knows of the copy"),
            Cover(ingress.flush & (excite.i_rows["count"] > config.prior_rows + 1),
                  "sums of more than one row are handed over"),
        ]
    elif config.k > 1:
        m.d.comb += Cover(ingress.flush & (excite.i_rows != 0), "sums of more than one row are handed over")
    if not uses_registers(config):
        m.d.comb += Cover(ingress.busy & ingress.flush, "sums are handed over while one is on its way")


def _output(m, block, inside):
    """A beat that is read meets the gates of its group in `scale`; the result leaves the block."""
    config, latency = block.config, Timing(block.config).read_latency
    streams = config.context.streams
    ingress, excite, buffer, fifo, scale = (inside[name] for name in
                                            ("ingress", "excite", "buffer", "gates", "scale"))
    group, last = counter(m, config.groups, scale.read, scale.release, name="expected_group")
    depth, head, ahead = buffer.depth, inside["tile_buffer/head"], buffer.ahead
    word = inside.word(m, "tile_buffer/ram/storage", head)
    read, due = (later(m, value, latency, name)
                 for value, name in ((scale.read, "read"), (word, "word")))
    data = _shifted(scale.o_data.as_value(), config.outputs, config.lanes)
    m.d.comb += [
        Assert((buffer.read == scale.read) & (fifo.read == scale.read) & (fifo.release == scale.release)
               & (ingress.release == scale.release), "a beat is read together with its gates, and its tile released"),
        Assert(fifo.group == group, "gates are read group by group, from group 0 for a tile's first beat on"),
        Assert((group < config.groups) & (last == (group == config.groups - 1))
               & (inside["scale/group_count_last"] == last), "groups are counted around"),
        Assert((head < depth) & (ahead == around(head + 1, depth))
               & (inside["tile_buffer/ahead_last"] == (ahead == depth - 1)), "data are read within the tile buffer"),
        Assert(~read | (scale.x.as_value() == due), "data come to the multipliers when they are due"),
        Assert(scale.gates.as_value() == fifo.o.as_value(), "the multipliers get the scale FIFO's gates"),
        Assert((scale.tile.as_value() == ingress.tile.as_value()) & (scale.ahead == buffer.ahead),
               "the oldest tile is read up to its own end"),
        Assert(scale.tile_valid == ((buffer.readable if streams else ingress.tile_valid) & fifo.tile_valid),
               "a tile is read when its gates are ready, and it has ended or a beat can be read"),
        Assert((fifo.take == excite.gates_take) & (fifo.i_valid == excite.o_valid) & (fifo.i == excite.o)
               & (excite.gates_free == fifo.free), "excite's gates go into the scale FIFO"),
        Assert((block.m_axis_tvalid == scale.o_valid) & (scale.o_ready == block.m_axis_tready)
               & (block.m_axis_tlast == scale.o_last) & (block.m_axis_tdata == data),
               "what leaves is the result, in the outputs' range"),
        Assert((block.status_frame_error == ingress.error) & (block.status_peak_words == buffer.peak),
               "the status tells of the frame error and the peak"),
        Cover(read & scale.release & (due != 0), "a beat comes to the multipliers while a tile ends"),
    ]
    if streams:
        m.d.comb += Assert((scale.ended == ingress.tile_valid) & (scale.head == head), "the oldest tile's end is known")


def _parameters(m, block, inside):
    """The zero points, and the weights and records at excite's addresses."""
    excite, store, scale = (inside[name] for name in ("excite", "store", "scale"))
    m.d.comb += [
        Assert((store.weight_address == excite.weight_address) & (excite.weights == store.weights),
               "excite gets the weights that it asks for"),
        Assert((store.record_address == excite.record_address)
               & (excite.record.as_value() == store.record.as_value()), "excite gets the record that it asks for"),
    ]
    if block.config.prior_rows:
        m.d.comb += Assert((store.prior_address == excite.prior_address) & (excite.prior == store.prior),
                           "excite gets the prior that it asks for")
    if not block.config.loadable:
        m.d.comb += Assert(scale.zero == block.parameters.signed_zero_point, "data are scaled around the zero point")
        if block.config.requantised:
            m.d.comb += Assert(scale.outputs_zero == block.parameters.signed_outputs_zero_point,
                               "outputs are around their own zero point")


def _model(config):
    m = Module()
    block, inside = block_of(m, config)
    m.d.comb += block.s_axis_tdata.eq(AnySeq(len(block.s_axis_tdata)))
    _input(m, block, inside)
    _output(m, block, inside)
    _parameters(m, block, inside)
    return m


_LANES = (
    Fault("every beat gets group 0's gates", "tiled_se.py", "gates.group.eq(scale.group)", "gates.group.eq(0)",
          "gates are read group by group, from group 0 for a tile's first beat on"),
    Fault("beats are written a cycle early", "tiled_se.py", "buffer.i.eq(beat)",
          "buffer.i.eq(self._shifted(self.s_axis_tdata, self.config.data))",
          "the tile buffer gets the beat a cycle after it was taken"),
    Fault("beats are added up a cycle early", "tiled_se.py", "accumulate.i_data.as_value().eq(beat)",
          "accumulate.i_data.as_value().eq(self._shifted(self.s_axis_tdata, self.config.data))",
          "the accumulator gets the beat a cycle after it was taken"),
    Fault("sums never start anew", "tiled_se.py", "accumulate.i_first.eq(ingress.first_pixel)",
          "accumulate.i_first.eq(0)", "sums start anew where they should"),
    Fault("every tile counts as one of a single row", "tiled_se.py", "excite.i_rows.eq(ingress.rows)",
          "excite.i_rows.eq(0)", "excite gets the descriptor's own rows and words"),
    Fault("cut tiles don't wait for a sum that is on its way", "tiled_se.py", "ingress.busy.eq(accumulate.busy)",
          "ingress.busy.eq(0)", "ingress knows of a sum that is on its way, and of excite's place for sums"),
    Fault("outputs stay in the signed range", "tiled_se.py",
          "self._shifted(scale.o_data.as_value(), self.config.outputs)", "scale.o_data.as_value()",
          "what leaves is the result, in the outputs' range"),
)
_FORMATS = (
    Fault("outputs leave in the input's range", "tiled_se.py", "scale.o_data.as_value(), self.config.outputs)",
          "scale.o_data.as_value(), self.config.data)", "what leaves is the result, in the outputs' range"),
    Fault("an input's lanes are taken to be bytes", "tiled_se.py", "kind.offset << kind.bits * lane",
          "kind.offset << 8 * lane", "the tile buffer gets the beat a cycle after it was taken"),
    Fault("outputs are scaled around the input's zero point", "tiled_se.py", "scale.outputs_zero.eq(outputs_zero)",
          "scale.outputs_zero.eq(zero)", "outputs are around their own zero point"),
)
_WAIT = (
    Fault("data come a cycle late", "tiled_se.py", 'delay(m, buffer.o, wait, name="x")',
          'delay(m, buffer.o, wait + 1, name="x")', "data come to the multipliers when they are due", depth=45),
    Fault("data don't wait for gates that take longer", "tiled_se.py", 'delay(m, buffer.o, wait, name="x")',
          "buffer.o", "data come to the multipliers when they are due", depth=45),
)
_CUMULATIVE = (
    Fault("rows that are left out are added up", "tiled_se.py", "else ingress.take & ingress.counted",
          "else ingress.take",
          "a beat that is taken goes into the tile buffer and, if its row is averaged, the accumulator", depth=45),
    Fault("ingress doesn't know of the copy", "tiled_se.py", "ingress.copying.eq(accumulate.copying)",
          "ingress.copying.eq(0)", "ingress knows of the copy"),
)
_CAUSAL = (
    Fault("a frame starts without the prior", "tiled_se.py",
          "ingress.start if context is Context.CAUSAL else ingress.flush", "ingress.flush",
          "accumulator and excite start together, or excite with the prior alone"),
    Fault("every tile has ended", "tiled_se.py", "scale.ended.eq(ingress.tile_valid)", "scale.ended.eq(1)",
          "the oldest tile's end is known"),
    Fault("all channels have the first one's prior", "tiled_se.py", "store.prior_address.eq(excite.prior_address)",
          "store.prior_address.eq(0)", "excite gets the prior that it asks for"),
)
_SHAPE = {"width": 1, "squeeze": 1, "slack": 1}
# Sums in a RAM, for which cut tiles wait; a scale FIFO that is deeper than the tile buffer; other contexts; and lanes
# that fill no whole bytes, with outputs of another type.
_SIZES = (
    (Config(k=2, width=1, channels=10, squeeze=1, lanes=2, slack=1, data=UINT8), _LANES),
    (Config(k=1, width=1, channels=17, squeeze=1, slack=0), _WAIT),
    (Config(k=1, tile_width=2, channels=4, lanes=2, **_SHAPE | {"width": 3}), ()),
    (Config(context=Context.CUMULATIVE, k=1, max_rows=2, channels=4, **_SHAPE), _CUMULATIVE),
    (Config(context=Context.CAUSAL, k=1, max_rows=3, prior_rows=1, channels=4, lanes=2, **_SHAPE), _CAUSAL),
    (Config(context=Context.WINDOW, k=1, window=(1, 1), channels=2, data=UINT8, **_SHAPE), ()),
    (Config(k=1, channels=6, lanes=3, data=DataType(4, signed=False), zero_point=2, y_data=DataType(5, signed=False),
            y_zero_point=11, **_SHAPE), _FORMATS),
)
PROOFS = tuple(
    Proof(f"wiring {tiling_name(c)} groups={c.groups} lanes={c.lanes} {c.data}"
          + (f" outputs={c.outputs}" if c.requantised else ""),
          functools.partial(_model, c), depth=Timing(c).read_latency + 1, cover=45, faults=faults)
    for c, faults in _SIZES)
