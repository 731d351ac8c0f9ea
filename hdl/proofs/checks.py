# SPDX-License-Identifier: Apache-2.0
"""What many components are checked for: a stalled stream that holds still, and any one word in its order."""

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Mux, Signal

__all__ = ["around", "held", "watch"]


def around(value, depth):
    """`value`, less than twice `depth`, in a circle of that length."""
    return Mux(value >= depth, value - depth, value)


def held(m, valid, ready, *payload):
    """Assert that what is offered and not taken is offered in the next cycle, too, the same."""
    stalled = Signal(name="stalled")
    m.d.sync += stalled.eq(valid & ~ready)
    m.d.comb += Assert(~stalled | valid, "valid is held until ready")
    for i, value in enumerate(payload):
        before = Signal.like(value, name=f"before_{i}")
        m.d.sync += before.eq(value)
        m.d.comb += Assert(~stalled | (value == before), f"payload {i} is held until ready")


def watch(m, enters, leaves, count):
    """Any one of the words that enter a first-in, first-out component.

    Parameters
    ----------
    enters, leaves : Value
        A word enters or leaves in this cycle.
    count : Signal
        Words inside: those that have entered less those that have left.

    Returns
    -------
    (Signal, Signal, Signal)
        The watched word enters in this cycle; it is inside; so many must leave before it.
    """
    mark, inside, ahead = Signal(name="mark"), Signal(name="inside"), Signal.like(count, name="ahead_of_watched")
    m.d.comb += mark.eq(enters & ~inside & AnySeq(1))
    with m.If(mark):
        m.d.sync += [inside.eq(1), ahead.eq(count - leaves)]
    with m.Elif(inside & leaves):
        m.d.sync += [inside.eq(ahead != 0), ahead.eq(ahead - 1)]
    return mark, inside, ahead
