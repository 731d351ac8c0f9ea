# SPDX-License-Identifier: Apache-2.0
"""Checks that several proofs share: a stalled stream does not change, and words keep their order."""

from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Assert, Assume, Mux, Signal

from ..arithmetic import delay

__all__ = ["any_below", "around", "held", "later", "watch"]


def any_below(m, limit, name):
    """Any number below `limit`, constant in time."""
    number = Signal(range(limit), name=name)
    if limit > 1:
        m.d.comb += [number.eq(AnyConst(len(number))), Assume(number < limit)]
    return number


def around(value, depth):
    """`value` modulo `depth`; it must be less than twice `depth`."""
    return Mux(value >= depth, value - depth, value)


def later(m, value, cycles, name):
    """`value`, `cycles` clock cycles later, 0 after a reset."""
    return delay(m, value, cycles, name=name, reset_less=False)


def held(m, valid, ready, *payload):
    """Assert that an offer that is not taken stays, unchanged, in the next cycle."""
    stalled = Signal(name="stalled")
    m.d.sync += stalled.eq(valid & ~ready)
    m.d.comb += Assert(~stalled | valid, "valid is held until ready")
    for i, value in enumerate(payload):
        before = Signal.like(value, name=f"before_{i}")
        m.d.sync += before.eq(value)
        m.d.comb += Assert(~stalled | (value == before), f"payload {i} is held until ready")


def watch(m, enters, leaves, count):
    """Watch any one of the words that enter a first-in, first-out component.

    `enters` and `leaves` are 'a word enters or leaves in this cycle'; the Signal `count` has entered less left words.
    Returns Signals: the watched word enters in this cycle; it is inside; the number of words that leave before it.
    """
    mark, inside, ahead = Signal(name="mark"), Signal(name="inside"), Signal.like(count, name="ahead_of_watched")
    m.d.comb += mark.eq(enters & ~inside & AnySeq(1))
    with m.If(mark):
        m.d.sync += [inside.eq(1), ahead.eq(count - leaves)]
    with m.Elif(inside & leaves):
        m.d.sync += [inside.eq(ahead != 0), ahead.eq(ahead - 1)]
    return mark, inside, ahead
