# SPDX-License-Identifier: Apache-2.0
"""The shared multiply-accumulate units."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import delay

__all__ = ["MacArray"]


class MacArray(wiring.Component):
    """``macs`` units, each with a weight of its own, that take the same operand each cycle.

    At a pass's last operand the accumulators move to a second row of registers, from where they leave one a cycle while
    the next pass runs.

    Members
    -------
    i_valid, i_first, i_last, i_outputs, i_operand, i_weights : In
        An operand; ``i_first`` starts a pass, ``i_last`` ends it, and ``i_outputs`` accumulators then leave.
    o_valid, o : Out
        Accumulators, unit 0 first, from three cycles after ``i_last`` on.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "i_valid": In(1), "i_first": In(1), "i_last": In(1), "i_outputs": In(range(config.macs + 1)),
            "i_operand": In(signed(config.operand_bits)),
            "i_weights": In(data.ArrayLayout(signed(8), config.macs)),
            "o_valid": Out(1), "o": Out(signed(config.acc_bits)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        # Registers before and behind the multiplier: a DSP block's own.
        operand = delay(m, self.i_operand, 1, name="operand")
        valid = delay(m, self.i_valid, 2, name="valid", reset_less=False)
        first = delay(m, self.i_first, 2, name="first")
        last = delay(m, self.i_valid & self.i_last, 2, name="last", reset_less=False)
        outputs = delay(m, self.i_outputs, 2, name="outputs")

        sums = []
        for unit in range(config.macs):
            weight = delay(m, self.i_weights[unit], 1, name=f"weight_{unit}")
            product = Signal(signed(config.operand_bits + 8), name=f"product_{unit}", reset_less=True)
            acc = Signal(signed(config.acc_bits), name=f"acc_{unit}", reset_less=True)
            total = Signal.like(acc, name=f"sum_{unit}")
            m.d.sync += product.eq(operand * weight)
            m.d.comb += total.eq(Mux(first, 0, acc) + product)
            with m.If(valid):
                m.d.sync += acc.eq(total)
            sums.append(total)

        left = Signal(range(config.macs + 1))
        drain = [Signal(signed(config.acc_bits), name=f"drain_{i}", reset_less=True) for i in range(config.macs)]
        with m.If(last):
            m.d.sync += left.eq(outputs)
            m.d.sync += [register.eq(total) for register, total in zip(drain, sums, strict=True)]
        with m.Elif(self.o_valid):
            m.d.sync += left.eq(left - 1)
            m.d.sync += [register.eq(after) for register, after in zip(drain, drain[1:], strict=False)]
        m.d.comb += [self.o_valid.eq(left != 0), self.o.eq(drain[0])]
        return m
