# SPDX-License-Identifier: Apache-2.0
"""The test bench in which compiled code moves the beats. cocotb gives it the job, starts it and checks the results.

No Python runs in a cycle; cocotb only looks at the progress every ``_WATCH_CYCLES`` cycles.
"""

import ctypes

from cocotb.triggers import First, RisingEdge, Timer

from .ports import INSTANCE
from .transactor import Transactor

__all__ = ["Compiled"]

_WATCH_CYCLES = 1 << 18
# As in cpp/main.cpp.
_PERIOD_NS = 10


class Compiled(Transactor):
    """One run. After :meth:`run` the attributes are those of :class:`.per_beat.PerBeat`."""

    def __init__(self, dut, job, ports, progress):
        # Python finds the transactor's functions in the executable itself.
        super().__init__(ctypes.CDLL(None), job, ports)
        self.dut, self._progress = dut, progress
        for tap in job.taps:
            self._watch(tap)

    def _watch(self, tap):
        module, path = self.dut, [INSTANCE, *tap["module_path"].split(".")[1:]]
        for name in path:
            module = getattr(module, name)
        bits, index_bits = (len(getattr(module, tap[role])) if tap[role] else 0 for role in ("data", "index"))
        scope = ".".join([self.dut._name, *path])
        if not self.library.bench_tap(*self.watch(tap, scope, bits, index_bits)):
            raise LookupError(f"stage {tap['stage']}: {scope} lacks {tap['valid']}, {tap['index']} or {tap['data']}")

    async def run(self):
        """Run all steps and check the results. Failures of the block are not exceptions."""
        self.start()
        stopped = RisingEdge(self.dut.stopped)
        while not self.stopped:
            await First(stopped, Timer(_WATCH_CYCLES * _PERIOD_NS, "ns"))
            self._progress(*self.moved)
        self.judge()
