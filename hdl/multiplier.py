# SPDX-License-Identifier: Apache-2.0
"""The one multiplier: registers before and behind it. A technology's own can stand in for it."""

from amaranth.hdl import Module, Shape, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Multiplier"]


class Multiplier(wiring.Component):
    """``i_a * i_b``, exactly, ``MULTIPLY`` cycles later.

    Operands of at most 18 bits are one DSP block on every FPGA family.

    Parameters
    ----------
    a, b : Shape
        ``signed(n)`` or ``unsigned(n)``.

    Members
    -------
    i_a, i_b : In
    o : Out
        As many bits as both operands have; signed if one of them is.
    """

    def __init__(self, a, b):
        a, b = Shape.cast(a), Shape.cast(b)
        product = signed if a.signed or b.signed else unsigned
        super().__init__({"i_a": In(a), "i_b": In(b), "o": Out(product(a.width + b.width))})

    def elaborate(self, platform):
        if platform is not None:
            return platform.multiplier(self)
        m = Module()
        a, b = Signal.like(self.i_a, reset_less=True), Signal.like(self.i_b, reset_less=True)
        m.d.sync += [a.eq(self.i_a), b.eq(self.i_b), self.o.eq(a * b)]
        return m
