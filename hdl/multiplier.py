# SPDX-License-Identifier: Apache-2.0
"""A multiplier with input and output registers. All components use it, and a technology can replace it."""

from amaranth.hdl import Module, Shape, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Multiplier"]


class Multiplier(wiring.Component):
    """The exact product ``o`` of ``i_a`` and ``i_b``, ``MULTIPLY`` cycles later.

    The operands' shapes `a` and `b` are ``signed(n)`` or ``unsigned(n)``; the product is as wide as both together, and
    signed if one of them is. With operands of at most 18 bits it is one DSP block on every FPGA family.
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
