# SPDX-License-Identifier: Apache-2.0
"""Running single components in Amaranth's own simulator."""

from amaranth.hdl import Elaboratable, Module
from amaranth.sim import Simulator

__all__ = ["clocked", "simulate"]


class _WithClock(Elaboratable):
    """A component that may be combinational, in a module that has a clock in any case."""

    def __init__(self, dut):
        self.dut = dut

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = self.dut
        return m


def simulate(dut, bench):
    """Run the coroutine ``bench(ctx)`` against `dut`, clocked."""
    simulator = Simulator(_WithClock(dut))
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()


def clocked(dut, drive, observe, inputs, extra=0):
    """Apply a row of inputs each cycle and record outputs in the same cycle, before the clock edge.

    Parameters
    ----------
    drive, observe : list of signals
    inputs : list of rows, a value for each of `drive`
    extra : int
        Cycles more, with the last row held.

    Returns
    -------
    list of tuple
        A row of `observe` for each cycle.
    """
    seen = []

    async def bench(ctx):
        for row in list(inputs) + [inputs[-1]] * extra:
            for signal, value in zip(drive, row, strict=True):
                ctx.set(signal, value)
            seen.append(tuple(ctx.get(signal) for signal in observe))
            await ctx.tick()

    simulate(dut, bench)
    return seen
