# SPDX-License-Identifier: Apache-2.0
"""The bench whose beats are moved by compiled code: cocotb hands it the job, starts it, watches it, and has it judged.

It has no Python in the cycle: only every ``_WATCH_CYCLES`` cocotb comes to look.
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
        """Run all steps, and read what came. Failures of the block are no exceptions."""
        self.start()
        stopped = RisingEdge(self.dut.stopped)
        while not self.stopped:
            await First(stopped, Timer(_WATCH_CYCLES * _PERIOD_NS, "ns"))
            self._progress(*self.moved)
        self.judge()
