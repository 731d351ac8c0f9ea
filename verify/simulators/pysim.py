# SPDX-License-Identifier: Apache-2.0
"""Runs a job in Amaranth's own simulator, on the block's Amaranth source instead of its Verilog.

The bench is the per-beat one of cosim, for which Amaranth's signals look like cocotb's.
"""

import time
import types

from amaranth.hdl import ClockDomain, Module
from amaranth.sim import Simulator

from ...cosim.job import Job
from ...cosim.per_beat import PerBeat
from ...cosim.result import SimResult, findings
from ...hdl.config import Config
from ...hdl.parameters import Parameters
from ...hdl.tiled_se import TiledSE

__all__ = ["run"]


class _Pin:
    """A signal with the interface of cocotb's handles. The bench reads the value from before the clock edge."""

    def __init__(self, ctx, signal):
        self._ctx, self._signal, self._seen = ctx, signal, 0
        # drivers.reader reads through this attribute.
        self._handle = self

    def __len__(self):
        return len(self._signal)

    def look(self):
        """Keep the value for reads after the edge."""
        self._seen = self._ctx.get(self._signal)

    def get_signal_val_binstr(self):
        return format(self._seen, f"0{len(self)}b")

    def _set(self, value):
        self._ctx.set(self._signal, value)

    value = property(None, _set)


def run(config: Config, parameters: Parameters | None, job: Job) -> SimResult:
    """Run `job`, which is without taps. `parameters` are the baked ones; None for a loadable block."""
    top, sync, block = Module(), ClockDomain("sync"), TiledSE(config, parameters)
    top.domains.sync, top.submodules.block = sync, block
    signals = {"rst": sync.rst} | {"_".join(path): signal for path, _, signal in block.signature.flatten(block)}
    simulator = Simulator(top)
    simulator.add_clock(1e-8)
    ran = []

    async def bench(ctx):
        pins = {name: _Pin(ctx, signal) for name, signal in signals.items()}
        ports = {name: len(pin) for name, pin in pins.items()}
        per_beat = PerBeat(types.SimpleNamespace(**pins), job, ports, lambda delivered, cycle: None)
        for _ in per_beat.cycles():
            for pin in pins.values():
                pin.look()
            await ctx.tick()
        ran.append(per_beat)

    simulator.add_testbench(bench)
    wall, cpu = time.perf_counter(), time.process_time()
    simulator.run()
    seconds = {"run_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    return SimResult(outputs=ran[0].scoreboard.outputs, occupancy=ran[0].occupancy, **findings(ran[0]), **seconds)
