# SPDX-License-Identifier: Apache-2.0
"""The position in the tile and in the rows that are averaged, compared with divisions of the beat's number.

Frames may end anywhere.
"""

import functools

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Cat, Cover, Module, Mux

from ..config import Config, Context
from ..position import TilePosition
from . import patch_position
from .place import place_of, tiling_name
from .proof import Fault, Inside, Proof

__all__ = ["PROOFS", "at_place", "is_log"]


def _model(config):
    m = Module()
    position = TilePosition(config)
    m.submodules.position = inside = Inside(position)
    valid, last = position.i_valid, position.i_last
    m.d.comb += [valid.eq(AnySeq(1)), last.eq(AnySeq(1))]
    place = place_of(m, config, valid, last)
    at_place(m, config, position, inside, place)
    m.d.comb += [
        Assert(position.cut == (valid & last & ~place.row_end), "cut tells of a frame that ends off a row's end"),
        Cover(valid & last & (place.number == place.length - 1), "a frame ends with a full tile"),
    ]
    if config.context is not Context.WINDOW:
        m.d.comb += Cover(place.ends & ~last, "a tile ends amid its frame")
    if place.length > 2:
        m.d.comb += Cover(valid & last & (place.number == place.length // 2), "a frame ends early")
    if config.context is not Context.TILE:
        m.d.comb += Cover(~place.counted & place.ends, "a frame has rows that are not averaged")
    return m


def at_place(m, config, position, inside, place):
    """The position's outputs and registers are those of the reference."""
    number, running = place.number, config.context.running
    m.d.comb += [
        Assert(position.tile_end == place.ends, "a tile ends with its k-th row or its frame"),
        Assert(position.group == number % config.groups, "the group is the beat's place in its pixel"),
        Assert(position.first_beat == place.first, "the first beat is the tile's first"),
        Assert(number < place.length, "a tile has k rows at most"),
        Assert(place.first == (place.fresh if config.context is Context.WINDOW else number == 0),
               "a tile starts with its first row"),
        Assert(~place.fresh | ((number == 0) & (place.row == 0)), "a frame starts with its first row"),
        Assert((position.rows["count"] if running else position.rows) == place.rows,
               "rows are those that are averaged so far"),
        Assert(position.first_pixel == place.first_pixel, "the first pixel is that of the rows that are averaged"),
    ]
    if running:
        m.d.comb += Assert(is_log(position.rows), "log is that of the next power of two")
    if config.context is not Context.TILE:
        m.d.comb += [
            Assert(position.counted == place.counted, "the rows that are averaged are known"),
            Assert(position.hand_over == place.hand_over, "sums are complete with the last row that they need"),
            Assert(position.frame_start == place.frame_start, "a frame starts after the end of another"),
        ]
    if config.tiles_across > 1:
        m.d.comb += Assert(~place.fresh | (place.band.number == 0), "a frame starts with its leftmost patch")
        patch_position.position(m, config, inside, place.band)
    else:
        _registers(m, config, inside, place)


def is_log(rows):
    """Whether ``log`` is the least one whose power of two holds ``count``."""
    count, log = rows["count"], rows.log
    return (count <= 1 << log) & ((log == 0) | (count << 1 > 1 << log))


def _registers(m, config, inside, place):
    """The relations between the registers."""
    number, width, row = place.number, config.width, place.row
    group, column = inside["group_count"], inside["column"]
    m.d.comb += [
        Assert((group == number % config.groups) & (column == number // config.groups % width),
               "group and column are the digits of a beat's number"),
        Assert(Cat(inside[f"{name}_last"] for name in ("group_count", "column"))
               == Cat(group == config.groups - 1, column == width - 1), "the last group and column are known"),
    ]
    if config.context is not Context.WINDOW:
        m.d.comb += Assert((inside["row"] == number // place.row_words)
                           & (inside["row_last"] == (inside["row"] == config.k - 1)), "rows of a tile are counted")
    if config.context.running:
        m.d.comb += [
            Assert(inside["full"] == (inside["count"] == config.most_rows), "the last row that counts is known"),
            Assert(row <= config.max_rows, "rows are counted up to the first that is left out"),
        ]
    elif config.context is Context.WINDOW:
        before, count = config.window
        m.d.comb += [
            Assert(Cat(inside[name] for name in ("waiting", "inside", "done"))
                   == Cat(row < before, (row >= before) & (row < before + count), row == before + count),
                   "a row is before, in or after the window"),
            Assert((inside["row"] == place.rows) & (inside["row_last"] == (inside["row"] == count - 1)),
                   "rows of the window are counted"),
            Assert(row <= before + count, "rows are counted up to the window's end"),
        ]
        if before:
            m.d.comb += Assert((inside["row_before"] == Mux(row < before, row, 0))
                               & (inside["row_before_last"] == (inside["row_before"] == before - 1)),
                               "rows before the window are counted")


_END = "a tile ends with its k-th row or its frame"
_FAULTS = (
    Fault("the column goes on when a frame ends off a row's end", "position.py",
          'config.width, pixel_end, self.tile_end, name="column"', 'config.width, pixel_end, name="column"', _END),
    Fault("a frame that ends in a row's last pixel, but amid it, is not cut", "position.py",
          "~(last_group & last_column))", "~last_column)", "cut tells of a frame that ends off a row's end"),
    Fault("the first pixel ends with its first beat", "position.py", "m.Elif(pixel_end)", "m.Elif(self.i_valid)",
          "the first pixel is that of the rows that are averaged"),
    Fault("a tile ends with the first beat of its last pixel", "position.py", "(last_group & last_column & last_row)",
          "(last_column & last_row)", _END),
    Fault("rows go on over a frame's end", "position.py", 'config.k, row_end, self.tile_end, name="row"',
          'config.k, row_end, name="row"', "rows are those that are averaged so far"),
    Fault("counters wrap one late", "arithmetic.py", "last.eq(count == limit - 2", "last.eq(count == limit - 1", _END),
)
_HAND_OVER = "sums are complete with the last row that they need"
_CUMULATIVE = (
    Fault("a row too many is averaged", "position.py", "full.eq(count == most - 1)", "full.eq(count == most)",
          "the rows that are averaged are known", depth=40),
    Fault("rows go on over a frame's end", "position.py", "m.d.sync += [count.eq(first), power.eq(log), counted.eq(1)",
          "m.d.sync += [power.eq(log), counted.eq(1)", "rows are those that are averaged so far"),
    Fault("the power of two is left as it was at a frame's end", "position.py", "count.eq(first), power.eq(log),",
          "count.eq(first),", "log is that of the next power of two"),
    Fault("the power of two is the next but one", "position.py", "count == 1 << power", "count + 1 == 1 << power",
          "log is that of the next power of two"),
    Fault("sums start anew with each tile", "position.py", "with m.If(frame_end):\n            m.d.sync += self.first",
          "with m.If(self.tile_end):\n            m.d.sync += self.first",
          "the first pixel is that of the rows that are averaged"),
)
_CAUSAL = (
    Fault("a frame's last tile is followed by another", "position.py", "ends = ends & ~self.i_last", "pass",
          _HAND_OVER),
    Fault("a frame starts with each tile", "position.py", "at_frame_start.eq(self.i_last)",
          "at_frame_start.eq(self.tile_end)", "a frame starts after the end of another"),
    Fault("later rows count again after the first of them", "position.py", "with m.Elif(row_end & full):",
          "with m.Elif(row_end & full & counted):", "rows are those that are averaged so far"),
)
_WINDOW = (
    Fault("the window starts a row late", "position.py", "counter(m, before, row_end & waiting",
          "counter(m, before + 1, row_end & waiting", "the rows that are averaged are known", depth=30),
    Fault("a frame that ends before its window hands nothing over", "position.py", "(frame_end & ~done)",
          "(frame_end & inside)", _HAND_OVER),
    Fault("sums are handed over again at the frame's end", "position.py", "(frame_end & ~done)", "frame_end",
          _HAND_OVER, depth=30),
    Fault("the window comes once, and never again", "position.py", "inside.eq(before == 0), done.eq(0)]",
          "inside.eq(before == 0)]", _HAND_OVER, depth=30),
    Fault("the first pixel ends before the window", "position.py", "m.Elif(pixel_end & self.counted)",
          "m.Elif(pixel_end)", "the first pixel is that of the rows that are averaged"),
)
_SIZES = ((1, 1, 1, ()), (2, 3, 1, ()), (3, 1, 3, ()), (2, 3, 2, _FAULTS), (3, 5, 3, ()))
# The row count and the power of two grow together, from a prior or from 1; the count may be full from the start.
_CONTEXTS = (
    (2, 2, 2, {"context": Context.CUMULATIVE, "max_rows": 5}, _CUMULATIVE),
    (1, 1, 1, {"context": Context.CUMULATIVE, "prior_rows": 2, "max_rows": 1}, ()),
    (3, 1, 1, {"context": Context.CUMULATIVE, "max_rows": 9}, ()),
    (1, 2, 1, {"context": Context.CAUSAL, "prior_rows": 3, "max_rows": 3}, _CAUSAL),
    (2, 1, 3, {"context": Context.CAUSAL, "prior_rows": 1, "max_rows": 4}, ()),
    (1, 1, 2, {"context": Context.WINDOW, "window": (2, 3)}, _WINDOW),
    (1, 2, 1, {"context": Context.WINDOW, "window": (0, 2)}, ()),
    (1, 3, 1, {"context": Context.WINDOW, "window": (1, 1)}, ()),
)


def _proof(k, width, groups, fields, faults):
    config = Config(k=k, width=width, channels=groups, squeeze=1, **fields)
    rows = config.k if config.context is Context.TILE else config.most_rows + sum(config.window or ())
    return Proof(f"position {tiling_name(config)} width={width} groups={groups}", functools.partial(_model, config),
                 cover=(rows + config.k) * width * groups + 4, faults=faults)


PROOFS = tuple(_proof(*size[:3], {}, size[3]) for size in _SIZES) + tuple(_proof(*size) for size in _CONTEXTS)
