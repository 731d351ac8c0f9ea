# SPDX-License-Identifier: Apache-2.0
"""Beats of patches through the whole block: in order, each with the gates of its own patch, tlast where it came.

A stand-in replaces excite. `patch_sums` shows that it gets the patches in order, `patch_gates` that its gates go to
places in order.
"""

import functools

from amaranth.hdl import Assert, Cover, Module, Mux, Signal

from ..config import Config
from ..timing import BANDS_UNDER_WAY, Timing
from .checks import watch
from .patch_position import Place
from .proof import Fault, Proof
from .stand_in import block_of

__all__ = ["PROOFS"]

_OWN = "a beat is read with its own patch's gates"


def _model(config):
    m = Module()
    block, inside = block_of(m, config)
    ingress, buffer, fifo, scale = (inside[name] for name in ("ingress", "buffer", "gates", "scale"))
    places, depth = Timing(config).gate_places, buffer.depth
    place = Place(m, config, ingress.take, ingress.i_last)
    # The place for gates of the first patch of the band that comes.
    first, count = Signal(range(places)), Signal(range(2 * depth + 2))
    size = Mux(place.row == 0, place.patch + 1, config.tiles_across)
    with m.If(ingress.take & place.band_end):
        m.d.sync += first.eq((first + size) % places)
    m.d.sync += count.eq(count + ingress.take - scale.read)
    mark, watched, ahead = watch(m, ingress.take, scale.read, count)
    own, group, is_last, later_row = Signal(range(places)), Signal.like(ingress.group), Signal(), Signal()
    with m.If(mark):
        m.d.sync += [own.eq((first + place.patch) % places), group.eq(ingress.group), is_last.eq(ingress.i_last),
                     later_row.eq(place.row != 0)]
    read = watched & scale.read & (ahead == 0)
    m.d.comb += [
        Assert(count <= depth, "the tile buffer never overflows"),
        Assert(~scale.read | (count != 0), "no beat is read that was not taken"),
        Assert(inside["ingress/count"] <= BANDS_UNDER_WAY, "no band ends without a place for its record"),
        Assert(~read | (inside["scale_fifo/origin"] == own * config.groups), _OWN),
        Assert(~read | (scale.group == group), "and with those of its own group"),
        Assert(~read | ((scale.release & scale.tile.last) == is_last), "tlast goes with the beat that it came with"),
        Assert(~scale.skipping | ~scale.read, "nothing is read while patches are passed"),
        Cover(read & later_row & is_last, "a frame's last beat in a later row is read"),
        Cover(scale.skipping, "patches are passed"),
        Cover(fifo.freed & fifo.take, "a place is given back while one is taken"),
    ]
    return m


_FAULTS = (
    Fault("a frame's last row does not give places back", "patch_scale.py",
          "last_row = position.last_row | (self.band_valid & (position.band_rows == self.tile.rows))",
          "last_row = position.last_row", _OWN),
    Fault("a single beat is taken for the band of an older record", "patch_scale.py",
          "self.band_valid & self.tile.single, compared)", "self.tile.single, compared)",
          "tlast goes with the beat that it came with"),
)
_SIZES = (({"width": 2, "tile_width": 1}, 18, _FAULTS),)
_WHY = "an induction would need the relations of all registers of the block"


def _proof(fields, depth, faults):
    config = Config(**{"k": 2, "channels": 1, "squeeze": 1, "slack": 0} | fields)
    return Proof(f"patch control width={config.width} columns={config.columns} groups={config.groups} slack=0",
                 functools.partial(_model, config), depth=depth, cover=40, faults=faults, why=_WHY)


PROOFS = tuple(_proof(*size) for size in _SIZES)
