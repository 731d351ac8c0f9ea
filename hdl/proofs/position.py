# SPDX-License-Identifier: Apache-2.0
"""The position in the tile, compared with divisions of the beat's number, for frames that end anywhere."""

import functools

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Cover, Module, Mux, Signal

from ..config import Config
from ..position import TilePosition
from .proof import Fault, Inside, Proof

__all__ = ["PROOFS"]


def _model(config):
    m = Module()
    position = TilePosition(config)
    m.submodules.position = inside = Inside(position)
    valid, last = position.i_valid, position.i_last
    m.d.comb += [valid.eq(AnySeq(1)), last.eq(AnySeq(1))]
    row_words = config.width * config.groups
    number = Signal(range(config.tile_words))
    row_end, tile_end = (number + 1) % row_words == 0, last | (number == config.tile_words - 1)
    with m.If(valid):
        m.d.sync += number.eq(Mux(tile_end, 0, number + 1))
    m.d.comb += [
        Assert(position.tile_end == (valid & tile_end), "a tile ends with its k-th row or its frame"),
        Assert(position.cut == (valid & last & ~row_end), "cut tells of a frame that ends off a row's end"),
        Assert(position.rows == number // row_words, "rows are those that have begun, less one"),
        Assert(position.group == number % config.groups, "the group is the beat's place in its pixel"),
        Assert(position.first_beat == (number == 0), "the first beat is the tile's first"),
        Assert(position.first_pixel == (number < config.groups), "the first pixel is the tile's first"),
        Assert(number < config.tile_words, "a tile has k rows at most"),
        Cover(valid & tile_end & ~last, "a tile ends amid its frame"),
        Cover(valid & last & (number == config.tile_words - 1), "a frame ends with a full tile"),
    ]
    if config.tile_words > 1:
        m.d.comb += Cover(valid & last & (number == config.tile_words // 2), "a frame ends early")
    _counters(m, config, inside, number)
    return m


def _counters(m, config, inside, number):
    """The relations between the registers."""
    column, _, row = inside["column"], inside["last_column"], inside["rows"]
    m.d.comb += [
        Assert(column == number // config.groups % config.width, "the column is the pixel's place in its row"),
        Assert((inside["last_group"] == (inside["group"] == config.groups - 1))
               & (inside["last_column"] == (column == config.width - 1))
               & (inside["last_row"] == (row == config.k - 1)), "counters know where they wrap"),
    ]


_END = "a tile ends with its k-th row or its frame"
_FAULTS = (
    Fault("the column goes on when a frame ends off a row's end", "position.py",
          'config.width, pixel_end, self.tile_end, name="column"', 'config.width, pixel_end, name="column"', _END),
    Fault("a frame that ends in a row's last pixel, but amid it, is not cut", "position.py",
          "~(last_group & last_column))", "~last_column)", "cut tells of a frame that ends off a row's end"),
    Fault("the first pixel ends with its first beat", "position.py", "m.Elif(pixel_end)", "m.Elif(self.i_valid)",
          "the first pixel is the tile's first"),
    Fault("a tile ends with the first beat of its last pixel", "position.py", "(last_group & last_column & last_row)",
          "(last_column & last_row)", _END),
    Fault("rows go on over a frame's end", "position.py", 'config.k, row_end, self.tile_end, name="row"',
          'config.k, row_end, name="row"', "rows are those that have begun, less one"),
    Fault("counters wrap one late", "arithmetic.py", "last.eq(count == limit - 2", "last.eq(count == limit - 1", _END),
)
_SIZES = ((1, 1, 1, ()), (2, 3, 1, ()), (3, 1, 3, ()), (2, 3, 2, _FAULTS), (3, 5, 3, ()))
PROOFS = tuple(Proof(f"position k={k} width={width} groups={groups}",
                     functools.partial(_model, Config(k=k, width=width, channels=groups, squeeze=1)),
                     cover=k * width * groups + 4, faults=faults) for k, width, groups, faults in _SIZES)
