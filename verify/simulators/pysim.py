# SPDX-License-Identifier: Apache-2.0
"""Runs a job in Amaranth's own simulator, on the block's Amaranth source instead of its Verilog.

The bench is the per-beat one of cosim, for which Amaranth's signals look like cocotb's.
"""

import time

from amaranth.hdl import ClockDomain, Elaboratable, Module
from amaranth.sim import Simulator

from ...cosim.job import Job
from ...cosim.per_beat import PerBeat
from ...cosim.result import SimResult, findings
from ...hdl.config import Config
from ...hdl.parameters import Parameters
from ...hdl.tiled_se import TiledSE

__all__ = ["run"]


class _Clocked(Elaboratable):
    """A block with the clock and reset that its Verilog has as ports."""

    def __init__(self, block):
        self.block, self.sync = block, ClockDomain("sync")

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = self.sync
        m.submodules.block = self.block
        return m


class _Pin:
    """A signal with the interface of cocotb's handles. The bench reads the value from before the clock edge."""

    def __init__(self, signal):
        self.signal, self._ctx, self._seen = signal, None, 0
        # drivers.reader reads through this attribute.
        self._handle = self

    def __len__(self):
        return len(self.signal)

    def attach(self, ctx):
        self._ctx = ctx

    def look(self):
        """Keep the value for reads after the edge."""
        self._seen = self._ctx.get(self.signal)

    def get_signal_val_binstr(self):
        return format(self._seen, f"0{len(self.signal)}b")

    def _set(self, value):
        self._ctx.set(self.signal, value)

    value = property(None, _set)


class _Device:
    """The block's ports, by name, as attributes."""

    def __init__(self, top):
        self.pins = {"rst": _Pin(top.sync.rst)} | {
            "_".join(path): _Pin(signal) for path, _, signal in top.block.signature.flatten(top.block)}
        for name, pin in self.pins.items():
            setattr(self, name, pin)


def run(config: Config, parameters: Parameters | None, job: Job) -> SimResult:
    """Run `job`.

    Parameters
    ----------
    config : Config
    parameters : Parameters or None
        The baked ones; None for a loadable block.
    job : Job
        Without taps.

    Returns
    -------
    SimResult
    """
    top = _Clocked(TiledSE(config, parameters))
    device = _Device(top)
    simulator = Simulator(top)
    simulator.add_clock(1e-8)
    ports = {name: len(pin) for name, pin in device.pins.items()}
    ran = []

    async def bench(ctx):
        for pin in device.pins.values():
            pin.attach(ctx)
        per_beat = PerBeat(device, job, ports, lambda delivered, cycle: None)
        for _ in per_beat.cycles():
            for pin in device.pins.values():
                pin.look()
            await ctx.tick()
        ran.append(per_beat)

    simulator.add_testbench(bench)
    wall, cpu = time.perf_counter(), time.process_time()
    simulator.run()
    seconds = {"run_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    return SimResult(outputs=ran[0].scoreboard.outputs, occupancy=ran[0].occupancy, **findings(ran[0]), **seconds)
