# SPDX-License-Identifier: Apache-2.0
"""A tile's beats are read with its own gates: its descriptor, from where it is due to its tile's release."""

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Cover, Mux, Signal
from amaranth.lib import enum

from ..config import Context
from ..timing import GATE_TILES, TILES_UNDER_WAY
from .ingress import started

__all__ = ["own_gates"]


class _Stage(enum.Enum, shape=2):
    """Where the sums or gates of a descriptor are."""

    OWED = 0
    HELD = 1
    SECOND = 2
    GATES = 3


def own_gates(m, config, ingress, scale, excite, fifo, inside, taken, place, waiting):
    """Any descriptor: its tile's beats, and no others, are read with its gates; returns the number of descriptors.

    Descriptors are counted from where they are due to their tile's release. `waiting` are those that wait for excite.
    """
    due, finished = Signal(range(TILES_UNDER_WAY + 2)), inside["ingress/count"]
    held, second, done, start = excite["held"], excite["second"], excite["done"], started(ingress, config)
    comes, follows, with_it = place.hand_over, 0, 0
    if config.context is Context.CAUSAL:
        # The first one of a frame, and that of the next tile, may be due with the same beat.
        comes, follows, with_it = place.frame_start, place.hand_over, ~place.fresh
    elif config.context is Context.WINDOW:
        with_it = place.row == sum(config.window)
    stage, before = Signal(_Stage), Signal(range(GATE_TILES + 1))
    mark, watched, ahead, second_one = Signal(), Signal(), Signal.like(due), Signal()
    m.d.comb += [second_one.eq(follows & (~comes | AnySeq(1))), mark.eq((comes | follows) & ~watched & AnySeq(1))]
    m.d.sync += due.eq(due + comes + follows - scale.release)
    in_excite = held + second + taken
    with m.If(mark):
        m.d.sync += [watched.eq(1), ahead.eq(due + (second_one & comes) - scale.release)]
    with m.Elif(watched & scale.release):
        m.d.sync += [watched.eq(ahead != 0), ahead.eq(ahead - 1)]
    with m.If(mark):
        m.d.sync += stage.eq(_Stage.OWED)
    with m.Elif((stage == _Stage.OWED) & start & (ahead == in_excite)):
        m.d.sync += stage.eq(_Stage.HELD)
    with m.Elif((stage == _Stage.HELD) & done):
        m.d.sync += stage.eq(_Stage.SECOND)
    with m.Elif((stage == _Stage.SECOND) & fifo.take):
        m.d.sync += [stage.eq(_Stage.GATES), before.eq(taken - scale.release)]
    with m.Elif((stage == _Stage.GATES) & scale.release):
        m.d.sync += before.eq(before - 1)
    its_gates = watched & (stage == _Stage.GATES) & (before == 0)
    m.d.comb += [
        Assert(due == waiting + in_excite, "every descriptor is somewhere, once"),
        Assert(due == finished + with_it, "every tile has one descriptor, when its rows are complete"),
        Assert(~watched | (ahead < due), "a descriptor whose tile was not released is inside"),
        Assert(~watched | Mux(
            stage == _Stage.OWED, (ahead >= in_excite) & (ahead < in_excite + waiting), Mux(
                stage == _Stage.HELD, held & (ahead == second + taken), Mux(
                    stage == _Stage.SECOND, second & (ahead == taken), ahead == before))), "tiles keep their order"),
        Assert(~(watched & scale.read) | ((ahead == 0) == its_gates), "a tile's beats are read with its own gates"),
        Assert(~start | ~held, "sums are handed over only where there is a place"),
        Cover(watched & scale.release & (ahead == 0) & (due > GATE_TILES), "a tile is released with two after it"),
    ]
    return due
