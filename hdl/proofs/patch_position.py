# SPDX-License-Identifier: Apache-2.0
"""The position in a band of patches, compared with divisions of the beat's number, for frames that end anywhere."""

import functools

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Cover, Module, Mux, Signal

from ..config import Config
from ..patch_position import PatchPosition
from .proof import Fault, Inside, Proof

__all__ = ["PROOFS", "Place", "position"]


class Place:
    """The place of a beat in its band, by division of its ``number``: what `PatchPosition` only counts.

    ``row`` and ``patch``; ``segment``, the beat's number in its segment; whether it ends its segment, row or band, if
    `last` does not tell that it ends its frame, too.
    """

    def __init__(self, m, config, valid, last):
        words = config.width * config.groups
        self.number = number = Signal(range(config.tile_words), name="number")
        self.row, place = number // words, number % words
        self.patch = place // (config.columns * config.groups)
        self.segment = place % (config.columns * config.groups)
        self.row_end = (number + 1) % words == 0
        self.segment_end = last | self.row_end | ((place + 1) % (config.columns * config.groups) == 0)
        self.band_end = last | (number == config.tile_words - 1)
        with m.If(valid):
            m.d.sync += number.eq(Mux(self.band_end, 0, number + 1))


def position(m, config, inside, place):
    """The registers of a `PatchPosition` are the digits of that number."""
    column = place.segment // config.groups
    limit = Mux(place.patch == config.tiles_across - 1, config.last_columns, config.columns)
    m.d.comb += [
        Assert(place.number < config.tile_words, "a band has k rows at most"),
        Assert((inside["column"] == column) & (inside["group_count"] == place.number % config.groups)
               & (inside["patch_count"] == place.patch) & (inside["row"] == place.row),
               "group, column, patch and row are the digits of a beat's number in its band"),
        Assert((inside["last_group"] == (inside["group_count"] == config.groups - 1))
               & (inside["last_column"] == (column == limit - 1))
               & (inside["patch_count_last"] == (place.patch == config.tiles_across - 1))
               & (inside["row_last"] == (place.row == config.k - 1)), "counters know where they wrap"),
    ]


def _model(config):
    m = Module()
    dut = PatchPosition(config)
    m.submodules.position = inside = Inside(dut)
    valid, last = dut.i_valid, dut.i_last
    m.d.comb += [valid.eq(AnySeq(1)), last.eq(AnySeq(1))]
    place = Place(m, config, valid, last)
    position(m, config, inside, place)
    tile_end = place.band_end if config.banded else place.segment_end
    after_end, first_pixel = Signal(init=1), place.segment < config.groups
    narrow = (place.patch == config.tiles_across - 1) & (config.last_columns != config.columns)
    row_next = Mux(place.segment_end, ~place.band_end & ((place.row != 0) | place.row_end),
                   (place.row != 0) & (place.segment + 1 < config.groups))
    with m.If(valid):
        m.d.sync += after_end.eq(tile_end)
    m.d.comb += [
        Assert(dut.band_end == (valid & place.band_end), "a band ends with its k-th row or its frame"),
        Assert(dut.segment_end == (valid & place.segment_end), "a segment ends with its last column or its frame"),
        Assert(dut.row_end == (valid & place.row_end), "a row ends with the last column of the last patch"),
        Assert(dut.tile_end == (valid & tile_end), "patches of one row end with their segment, others with the band"),
        Assert(dut.cut == (valid & last & ~place.row_end), "cut tells of a frame that ends off a row's end"),
        Assert((dut.band_rows == place.row) & (dut.last_row == (place.row == config.k - 1))
               & (dut.first_row == (place.row == 0)), "rows are those that have begun, less one"),
        Assert(dut.rows == place.row + Mux(narrow, config.k, 0), "those of a narrower patch count from k on"),
        Assert((dut.patch == place.patch) & (dut.last_patch == (place.patch == config.tiles_across - 1)),
               "patches are counted from the left"),
        Assert(dut.group == place.number % config.groups, "the group is the beat's place in its pixel"),
        Assert(dut.first_pixel == first_pixel, "the first pixel is the segment's first"),
        Assert(dut.first_beat == after_end, "the first beat is that after an end"),
        Assert(~valid | (dut.later_row_next == row_next), "it is known whether the next beat goes on with sums"),
        Assert(valid | (dut.later_row_next == (first_pixel & (place.row != 0))),
               "while no beat moves, the next beat is the one that waits"),
        Cover(valid & place.band_end & ~last, "a band ends amid its frame"),
        Cover(valid & last & (place.patch != 0) & (place.row == config.k - 1), "a frame ends amid a band"),
    ]
    return m


_FAULTS = (
    Fault("the rightmost patch is as wide as others", "patch_position.py",
          "limit = Mux(self.last_patch, config.last_columns, config.columns)", "limit = config.columns",
          "a row ends with the last column of the last patch"),
    Fault("the patch goes on when a frame ends off a row's end", "patch_position.py",
          'segment_done, self.band_end, name="patch_count"', 'segment_done, name="patch_count"',
          "patches are counted from the left"),
    Fault("a frame that ends with a patch is not cut", "patch_position.py",
          "self.cut.eq(self.i_valid & self.i_last & ~(last_group & last_column & last_patch))",
          "self.cut.eq(self.i_valid & self.i_last & ~(last_group & last_column))",
          "cut tells of a frame that ends off a row's end"),
    Fault("the first row goes on with sums", "patch_position.py", "~self.band_end & (self.row_end | ~self.first_row)",
          "~self.band_end", "it is known whether the next beat goes on with sums"),
    Fault("a narrow patch of a single column has two", "patch_position.py",
          "last_column.eq(config.last_columns == 1)", "last_column.eq(0)",
          "a segment ends with its last column or its frame"),
)
# k, width, columns of a patch, groups.
_SIZES = ((2, 3, 2, 2, _FAULTS[1:]), (3, 8, 3, 1, _FAULTS[:1]), (2, 2, 1, 1, ()), (1, 5, 2, 3, ()), (3, 4, 2, 3, ()))
PROOFS = tuple(Proof(f"patch position k={k} width={width} columns={columns} groups={groups}", functools.partial(
    _model, Config(k=k, width=width, tile_width=columns, channels=groups, squeeze=1)), cover=k * width * groups + 4,
    faults=faults) for k, width, columns, groups, faults in _SIZES)
