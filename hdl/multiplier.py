# SPDX-License-Identifier: Apache-2.0
"""A multiplier with input and output registers. All components use it, and a technology can replace it."""

import itertools

from amaranth.hdl import Cat, Module, Shape, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import delay
from .latency import LIMB_BITS

__all__ = ["Multiplier", "multiply_limbs"]


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


def multiply_limbs(m, a, b, parts, *, name=None):
    """The exact product of `a` and `b`, ``product_latency(*parts)`` cycles later.

    The factors are taken in as many limbs as the two `parts` say. A limb of each is one multiplier, which is one DSP
    block if neither has more than 18 bits; each product but the first has an adder and a register. `name` is that of
    the multiplier, or the start of the names of several.
    """
    single = name is not None and parts == (1, 1)
    prefix = f"{name}_" if name else ""
    total = None
    places = sorted(itertools.product(range(parts[0]), range(parts[1])), key=sum)
    for i, place in enumerate(places):
        x, y = (_limb(factor, *of) for factor, of in zip((a, b), zip(place, parts, strict=True), strict=True))
        m.submodules[name if single else f"{prefix or 'multiply_'}{i}"] = multiply = Multiplier(x.shape(), y.shape())
        m.d.comb += [multiply.i_a.eq(x), multiply.i_b.eq(y)]
        product = delay(m, multiply.o, max(i - 1, 0), name=f"{prefix}product_{i}")
        if total is None:
            total = product
            continue
        # The bits below these limbs are final.
        done = LIMB_BITS * sum(place)
        upper = Signal(signed(len(a) + len(b) - done), name=f"{prefix}upper_{i}", reset_less=True)
        m.d.sync += upper.eq((total >> done) + product)
        total = Cat(delay(m, total[:done], 1, name=f"{prefix}lower_{i}"), upper)
        if a.shape().signed or b.shape().signed:
            total = total.as_signed()
    return total


def _limb(factor, number, parts):
    """A limb of a factor that is divided in so many; the top one has the factor's sign."""
    if parts == 1:
        return factor
    if number < parts - 1:
        return factor[LIMB_BITS * number:LIMB_BITS * (number + 1)]
    top = factor[LIMB_BITS * number:]
    return top.as_signed() if factor.shape().signed else top
