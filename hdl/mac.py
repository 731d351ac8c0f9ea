# SPDX-License-Identifier: Apache-2.0
"""The shared multiply-accumulate units."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import delay
from .latency import operand_limbs, product_latency
from .multiplier import multiply_limbs

__all__ = ["MacArray"]


class MacArray(wiring.Component):
    """``macs`` units that multiply the same operand by a weight each, and accumulate the products.

    After a pass's last operand the accumulators move to a second row of registers and are cleared; no operand may come
    in that cycle. The second row is a shift register: one accumulator leaves a cycle while the next pass runs.

    Members
    -------
    i_valid, i_last, i_operand, i_weights : In
        An operand; ``i_last`` ends a pass.
    o : Out
        Accumulators, one a cycle; unit 0's comes ``mac_latency`` cycles after ``i_last``.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "i_valid": In(1), "i_last": In(1), "i_operand": In(signed(config.operand_bits)),
            "i_weights": In(data.ArrayLayout(signed(config.weight_bits), config.macs)),
            "o": Out(signed(config.acc_bits)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        parts = operand_limbs(config, config.operand_bits), 1
        latency = product_latency(*parts)
        valid = delay(m, self.i_valid, latency, name="valid", reset_less=False)
        move = delay(m, self.i_valid & self.i_last, latency + 1, name="last", reset_less=False)
        behind = Signal(signed(config.acc_bits))
        for unit in reversed(range(config.macs)):
            product = multiply_limbs(m, self.i_operand, self.i_weights[unit], parts, name=f"multiply_{unit}")
            acc = Signal(signed(config.acc_bits), name=f"acc_{unit}")
            drain = Signal.like(acc, name=f"drain_{unit}", reset_less=True)
            # The adder is the block's longest path, so clearing is the register's synchronous reset, not logic.
            with m.If(move):
                m.d.sync += acc.eq(0)
            with m.Elif(valid):
                m.d.sync += acc.eq(acc + product)
            m.d.sync += drain.eq(Mux(move, acc, behind))
            behind = drain
        m.d.comb += self.o.eq(behind)
        return m
