# SPDX-License-Identifier: Apache-2.0
"""The sums of patches, with their ingress: excite gets each patch's once, in order, the sums of all its beats only.

Data are 0 or 1. The proof assumes that excite holds a patch's sums at least as long as layer 1 takes, which the
sequencer's proof shows. Frames end anywhere, and both sides pause at any time.
"""

import functools

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Cover, Module, Mux, Signal

from ..arithmetic import delay
from ..config import Config
from ..patch_ingress import PatchIngress
from ..patch_sums import PatchSums
from ..timing import BANDS_UNDER_WAY, Timing
from .checks import any_below
from .patch_position import Place
from .proof import Fault, Inside, Proof

__all__ = ["PROOFS"]


def _neighbours(m, config, ingress, sums):
    """The source, a tile buffer that has room at any time, and excite, which holds sums for any time from layer 1's."""
    timing = Timing(config)
    least = timing.start_latency + timing.layer_cycles[0] - 1
    held, age, bit = Signal(), Signal(range(least + 2)), Signal(name="bit")
    m.d.sync += [
        age.eq(Mux(sums.o_start, 1, age + (age <= least))),
        held.eq((held | sums.o_start) & ~(held & (age >= least) & AnySeq(1))),
    ]
    m.d.comb += [
        ingress.i_valid.eq(AnySeq(1)), ingress.i_last.eq(AnySeq(1)), ingress.admit.eq(1), bit.eq(AnySeq(1)),
        ingress.room.eq(AnySeq(1)),
        ingress.release.eq(AnySeq(1) & ingress.tile_valid), ingress.sums_free.eq(~held), ingress.busy.eq(sums.busy),
        sums.i_valid.eq(ingress.take), sums.i_group.eq(ingress.group), sums.i_first.eq(ingress.first_pixel),
        sums.i_resumes.eq(ingress.resumes), sums.i_end.eq(ingress.band_end), sums.flush.eq(ingress.flush),
        sums.direct.eq(ingress.direct), sums.words.eq(ingress.flush_words), sums.end.eq(ingress.flush_end),
        sums.send.eq(ingress.send), sums.send_end.eq(ingress.send_end), sums.read_start.eq(ingress.read_start),
        ingress.reading_next.eq(sums.reading_next), sums.i_data.as_value().eq(delay(m, bit, 1, name="data")),
        Assert(~(sums.o_start & held), "a patch is sent only when excite can take it"),
    ]
    return bit


def _model(config):
    m = Module()
    ingress, sums = PatchIngress(config, range(Timing(config).buffer_words)), PatchSums(config)
    m.submodules.ingress, m.submodules.sums = ingress, (inside := Inside(sums))
    bit = _neighbours(m, config, ingress, sums)
    place = Place(m, config, ingress.take, ingress.i_last)
    ends = ingress.take & place.band_end
    # Patches of the bands that have ended, less those that were sent. In a band's last row these go before it ends.
    unsent = Signal(range(-config.tiles_across, 2 * config.tiles_across + 2))
    bands = Signal(range(BANDS_UNDER_WAY + 2))
    size = Mux(place.row == 0, place.patch + 1, config.tiles_across)
    m.d.sync += [unsent.eq(unsent + Mux(ends, size, 0) - ingress.send), bands.eq(bands + ends - ingress.release)]
    ram = inside["ram"]
    m.d.comb += [
        Assert(bands <= BANDS_UNDER_WAY, "no band ends without a place for its record"),
        Assert(~(ram.we & ram.re) | (ram.waddr != ram.raddr), "no sum is read while it is written"),
        Assert(~(inside["reading"] & ingress.take & ingress.resumes), "sums are read for one reader at a time"),
    ]
    _watch(m, config, ingress, sums, place, ends, size, unsent, bit)
    return m


def _watch(m, config, ingress, sums, place, ends, size, unsent, bit):
    """Any one sum of any one patch: it is compared when excite gets it."""
    patch, group = any_below(m, config.tiles_across, "watched_patch"), any_below(m, config.groups, "watched_group")
    watched, ended, going = Signal(), Signal(), Signal()
    ahead = Signal(range(3 * config.tiles_across + 2))
    expected, rows = Signal(config.sum_bits), Signal(range(config.k))
    begins = ingress.take & (place.number == 0) & ~watched & ~going & AnySeq(1)
    mine = begins | (watched & ~ended)
    adds = ingress.take & mine & (place.patch == patch) & (ingress.group == group)
    goes = watched & ingress.send & (ahead == 0)
    arrives = going & sums.o_valid & (sums.o_group == group)
    narrow = (patch == config.tiles_across - 1) & (config.last_columns != config.columns)
    with m.If(begins):
        m.d.sync += [watched.eq(1), ended.eq(0), expected.eq(0), ahead.eq(unsent - ingress.send + patch)]
    with m.Elif(watched & ingress.send):
        m.d.sync += [ahead.eq(ahead - 1), watched.eq(ahead != 0), going.eq(ahead == 0)]
    with m.If(adds):
        m.d.sync += expected.eq(Mux(begins, 0, expected) + bit)
    with m.If(ends & mine):
        m.d.sync += [ended.eq(1), rows.eq(place.row)]
        # A frame that ends in the first row may not reach the patch.
        with m.If(size <= patch):
            m.d.sync += watched.eq(0)
    with m.If(arrives):
        m.d.sync += going.eq(0)
    total = Mux(ingress.words > group, sums.o_sums[0], 0)
    known = Mux(ended, rows, config.k - 1)
    m.d.comb += [
        Assert(~arrives | (total == expected), "excite gets the sum of all of the patch's beats, and of no others"),
        Assert(~arrives | (ingress.rows == known + Mux(narrow, config.k, 0)), "with the patch's rows"),
        Assert(~goes | ended | ((place.row == config.k - 1) & (place.patch >= patch)), "no patch goes before it ends"),
        Assert(~(ingress.send & going), "a patch's sums have arrived before the next one is sent"),
        Cover(arrives & (expected == config.k * config.columns), "a full sum arrives"),
        Cover(arrives & ended & (rows == 0), "a sum of a frame of a row arrives"),
        Cover(arrives & ingress.take & (place.number != 0) & (unsent == 1), "a sum arrives while another one waits"),
    ]


_SUM = "excite gets the sum of all of the patch's beats, and of no others"
_FAULTS = (
    Fault("a patch's sums are read before they are written", "patch_ingress.py", "written = ~Cat(flushes).any()",
          "written = 1", _SUM),
    Fault("a band's first row overwrites sums that wait", "patch_ingress.py",
          "return ~first_row | none | (patch < following)", "return none | 1", _SUM),
    Fault("excite's reads take the port from beats", "patch_ingress.py",
          "goes_on &= ~(self.reading_next & position.later_row_next)", "pass",
          "sums are read for one reader at a time"),
)
_SIZES = (({"width": 2, "tile_width": 1}, 18, _FAULTS), ({"width": 3, "tile_width": 2, "channels": 2}, 17, ()))
_WHY = "an induction would need the relations of all registers that hold sums; four bands of the smallest size fit in"


def _proof(fields, depth, faults):
    config = Config(**{"k": 2, "channels": 1, "squeeze": 1} | fields)
    return Proof(f"patch sums width={config.width} columns={config.columns} groups={config.groups}",
                 functools.partial(_model, config), depth=depth, cover=40, faults=faults, why=_WHY)


PROOFS = tuple(_proof(*size) for size in _SIZES)
