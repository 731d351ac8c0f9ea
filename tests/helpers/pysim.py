# SPDX-License-Identifier: Apache-2.0
"""Running single components in Amaranth's own simulator."""

from amaranth.hdl import Module
from amaranth.sim import Simulator

__all__ = ["clocked", "simulate"]


def simulate(dut, bench):
    """Run the coroutine ``bench(ctx)`` against `dut`, clocked."""
    top = Module()
    top.submodules.dut = dut
    simulator = Simulator(top)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()


def clocked(dut, drive, observe, inputs, extra=0):
    """Apply a row of inputs a cycle, and hold the last one `extra` cycles more.

    Returns the tuple of `observe`'s values in each cycle, before the clock edge; `drive` and `observe` are signals.
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
