# SPDX-License-Identifier: Apache-2.0
"""The bench whose beats are moved by compiled code: cocotb hands it the job, starts it, watches it, and has it judged.

It has no Python in the cycle: only every ``_WATCH_CYCLES`` cocotb comes to look.
"""

import ctypes

import numpy as np
from cocotb.triggers import First, RisingEdge, Timer

from .ports import INSTANCE
from .taps import storage_bytes, unpack
from .transactor import TAP_ENDS, Transactor

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
        self.taps = {}
        self._tap_bits = [self._set_tap(tap) for tap in job.taps]

    def _set_tap(self, tap):
        """Find a tap's signals; returns its data's bits."""
        module, path = self.dut, [INSTANCE, *tap["module_path"].split(".")[1:]]
        for name in path:
            module = getattr(module, name)
        scope = ".".join([self.dut._name, *path])
        bits, index = len(getattr(module, tap["data"])), tap["index"]
        found = self.library.bench_tap(
            scope.encode(), tap["valid"].encode(), index.encode() if index else None, tap["data"].encode(),
            storage_bytes(len(getattr(module, index))) if index else 0, storage_bytes(bits))
        if not found:
            raise LookupError(f"stage {tap['stage']}: {scope} lacks {tap['valid']}, {index} or {tap['data']}")
        return bits

    async def run(self):
        """Run all steps, and read what came. Failures of the block are no exceptions."""
        self.start()
        stopped = RisingEdge(self.dut.stopped)
        while not self.stopped:
            await First(stopped, Timer(_WATCH_CYCLES * _PERIOD_NS, "ns"))
            self._progress(*self.moved)
        self.judge()
        self._read_taps()

    def _read_taps(self):
        ends = self.table(TAP_ENDS).reshape(-1, max(len(self.job.taps), 1))
        for number, (tap, bits) in enumerate(zip(self.job.taps, self._tap_bits, strict=True)):
            data = ctypes.string_at(self.library.bench_tap_bytes(number), int(ends[-1, number]))
            pieces = np.split(np.frombuffer(data, np.uint8), ends[:-1, number])
            self.taps[tap["stage"]] = [unpack(piece, tap, bits) for piece in pieces]
