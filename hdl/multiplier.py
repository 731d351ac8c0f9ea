# SPDX-License-Identifier: Apache-2.0
"""A multiplier with input and output registers. All components use it, and a technology can replace it."""

from amaranth.hdl import Cat, Module, Shape, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import delay
from .latency import LIMB_BITS, limbs

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


def multiply_limbs(m, a, b):
    """The exact product of a signed `a` and of `b`, ``MULTIPLY + limbs(len(a)) - 1`` cycles later.

    `a` is taken limb by limb; each limb but the first has an adder and a register. `b` is not divided: each limb's
    multiplier is one DSP block if `b` has at most 18 bits, and takes several if it is wider.
    """
    total = None
    for i in range(limbs(len(a))):
        top = i == limbs(len(a)) - 1
        limb = a[LIMB_BITS * i:].as_signed() if top else a[LIMB_BITS * i:LIMB_BITS * (i + 1)]
        m.submodules[f"multiply_{i}"] = multiply = Multiplier(limb.shape(), b.shape())
        m.d.comb += [multiply.i_a.eq(limb), multiply.i_b.eq(b)]
        product = delay(m, multiply.o, max(i - 1, 0), name=f"product_{i}")
        if total is None:
            total = product
            continue
        # The bits below this limb are final.
        done = LIMB_BITS * i
        upper = Signal(signed(len(a) + len(b) - done), name=f"upper_{i}", reset_less=True)
        m.d.sync += upper.eq((total >> done) + product)
        total = Cat(delay(m, total[:done], 1, name=f"lower_{i}"), upper).as_signed()
    return total
