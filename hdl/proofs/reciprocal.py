# SPDX-License-Identifier: Apache-2.0
"""The reciprocal's serial division, for every row count of a small block: each bit, and the result in its cycle.

The proof assumes that a row count comes with its ``log``, and none while another is divided: excite gets no sums before
it has read those that it holds.
"""

import functools

from amaranth.asserts import AnySeq
from amaranth.hdl import Array, Assert, Assume, Const, Cover, Module, Mux, Signal

from ..config import Config, Context
from ..reciprocal import Reciprocal
from .checks import later
from .place import tiling_name
from .position import is_log
from .proof import Fault, Inside, Proof

__all__ = ["PROOFS"]


def _model(config):
    m = Module()
    divide = Reciprocal(config)
    m.submodules.divide = inside = Inside(divide)
    bits, counts = config.reciprocal_bits, range(1, config.most_rows + 1)
    # Cycles since the start; saturated, and so from the reset on.
    age, count, started = Signal(range(bits + 2), init=bits + 1), Signal(range(config.most_rows + 1)), Signal()
    m.d.comb += [
        divide.i_start.eq(AnySeq(1) & (age > bits)), divide.i.as_value().eq(AnySeq(len(divide.i.as_value()))),
        Assume((divide.i["count"] >= 1) & (divide.i["count"] <= config.most_rows) & is_log(divide.i)),
    ]
    m.d.sync += age.eq(Mux(divide.i_start, 1, age + (age <= bits)))
    with m.If(divide.i_start):
        m.d.sync += [count.eq(divide.i["count"]), started.eq(1)]

    def table(value, width):
        """Of a function of the row count and of the quotient's bits, its value for the current ones."""
        rows = [Array(Const(value(n, i), width) for i in range(bits + 2))[age] for n in (1, *counts)]
        return Array(rows)[count]

    def dividend(n, places):
        return 1 << ((n - 1).bit_length() + min(max(places, 1), bits) - 1)

    m.d.comb += [
        Assert(~started | ((age != 0) & (age <= bits + 1) & (count != 0) & (count <= config.most_rows)),
               "cycles are counted from the start"),
        Assert(~started | ((inside["divisor"] == count)
                           & (inside["quotient"] == table(lambda n, i: dividend(n, i) // n, bits))
                           & (inside["remainder"] == table(lambda n, i: dividend(n, i) % n, bits))),
               "each cycle gives a bit of the quotient"),
        Assert(inside["running"] == (started & (age <= bits)), "a division takes a cycle for each bit"),
        Assert(divide.o_valid == (started & (age == bits)), "the result comes after as many cycles as it has bits"),
        Assert(~started | (age <= bits) | (divide.o == Array(
            Const(config.reciprocal(n)[0], bits) for n in (1, *counts))[count]),
            "the result is Config.reciprocal, and stays"),
        Assert(~started | (divide.o_log == Array(Const((n - 1).bit_length(), 8) for n in (1, *counts))[count]),
               "the result has its own log"),
        Cover(later(m, divide.o_valid, 1, "ended") & (count == config.most_rows) & divide.i_start,
              "a division starts as soon as another has ended"),
    ]
    return m


_FAULTS = (
    Fault("the last bit is not rounded", "reciprocal.py", "self.o.eq(quotient + rounds)", "self.o.eq(quotient)",
          "the result is Config.reciprocal, and stays", depth=25),
    Fault("the divisor is not subtracted", "reciprocal.py", "Mux(fits, difference, twice)", "twice",
          "each cycle gives a bit of the quotient"),
    Fault("the result goes on after its last bit", "reciprocal.py", "with m.If(running & ~done):",
          "with m.If(running):", "the result is Config.reciprocal, and stays", depth=25),
    Fault("the log is that of the row count that comes", "reciprocal.py", "self.o_log.eq(self.i.log), ", "",
          "the result has its own log"),
)
_SIZES = (
    ({"max_rows": 6}, _FAULTS),
    ({"max_rows": 9, "operand_bits": 21}, ()),
    ({"max_rows": 1}, ()),
)


def _proof(fields, faults):
    config = Config(**{"context": Context.CUMULATIVE, "k": 1, "width": 1, "channels": 1, "squeeze": 1} | fields)
    return Proof(f"reciprocal {tiling_name(config)} bits={config.reciprocal_bits}", functools.partial(_model, config),
                 cover=config.reciprocal_bits + 5, faults=faults)


PROOFS = tuple(_proof(fields, faults) for fields, faults in _SIZES)
