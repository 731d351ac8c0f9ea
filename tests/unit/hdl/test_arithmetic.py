# SPDX-License-Identifier: Apache-2.0
"""Multiplier and saturation for every value. Memories, queues and counters are proved, see hdl/proofs."""

import itertools
import random

import pytest
from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.sim import Simulator

from tests.helpers.pysim import clocked
from tiled_se.hdl.arithmetic import saturate
from tiled_se.hdl.latency import MULTIPLY, limbs, product_latency
from tiled_se.hdl.multiplier import Multiplier, multiply_limbs


@pytest.mark.parametrize("shapes", [(signed(5), signed(3)), (signed(4), unsigned(5)), (unsigned(4), unsigned(2)),
                                    (unsigned(3), signed(1))], ids=str)
def test_multiplier(shapes):
    """Every pair of operands, one a cycle."""
    dut = Multiplier(*shapes)
    a, b = (range(-(1 << s.width - 1) if s.signed else 0, 1 << s.width - s.signed) for s in shapes)
    pairs = [(x, y) for x in a for y in b]
    seen = clocked(dut, [dut.i_a, dut.i_b], [dut.o], pairs, extra=MULTIPLY)
    assert [value for value, in seen[MULTIPLY:]] == [x * y for x, y in pairs]


@pytest.mark.parametrize("shapes", [(signed(40), unsigned(38)), (signed(36), signed(17)), (signed(19), unsigned(18)),
                                    (unsigned(35), signed(23)), (unsigned(36), unsigned(20))], ids=str)
def test_limbs(shapes):
    """Products of wide factors, one a cycle; all multipliers have factors of at most 18 bits."""
    rng = random.Random(str(shapes))
    m, factors = Module(), [Signal(shape, name=name) for shape, name in zip(shapes, "ab", strict=True)]
    parts = tuple(limbs(shape.width) for shape in shapes)
    product = multiply_limbs(m, *factors, parts)
    o = Signal(product.shape())
    m.d.comb += o.eq(product)
    pairs = [[rng.choice([low, high, rng.randint(low, high)]) for low, high in
              ((-(1 << s.width - 1), (1 << s.width - 1) - 1) if s.signed else (0, (1 << s.width) - 1) for s in shapes)]
             for _ in range(300)]
    latency = product_latency(*parts)
    seen = clocked(m, factors, [o], pairs, extra=latency)
    assert [value for value, in seen[latency:]] == [a * b for a, b in pairs]
    multipliers = [m.submodules[f"multiply_{i}"] for i in range(parts[0] * parts[1])]
    assert all(max(len(part.i_a), len(part.i_b)) <= 18 for part in multipliers)


def test_saturate():
    """Every value of narrow and wide sources, against the definition."""
    for source, target in itertools.product((signed(6), unsigned(6), signed(3), unsigned(3)),
                                            (signed(4), unsigned(4), signed(6), unsigned(5), signed(1), unsigned(1))):
        dut = Module()
        i, o = Signal(source), Signal(target)
        dut.d.comb += o.eq(saturate(i, target))
        (low, high), values = ((-(1 << s.width - 1), (1 << s.width - 1) - 1) if s.signed else (0, (1 << s.width) - 1)
                               for s in (target, source))

        async def bench(ctx, i=i, o=o, low=low, high=high, values=values):
            for value in range(values[0], values[1] + 1):
                ctx.set(i, value)
                await ctx.delay(1e-9)
                assert ctx.get(o) == min(max(value, low), high)

        simulator = Simulator(dut)
        simulator.add_testbench(bench)
        simulator.run()
