# SPDX-License-Identifier: Apache-2.0
"""The bench whose beats are moved by compiled code: cocotb hands it the job, starts it, watches it, and judges.

Beats go from and to numpy arrays, which the compiled transactor (cpp/transactor.cpp) uses in place. It has no Python in
the cycle: only every ``_WATCH_CYCLES`` cocotb comes to look.
"""

import ctypes

import numpy as np
from cocotb.triggers import First, RisingEdge, Timer

from . import texts
from .job import Load, Send, Snapshot
from .ports import INSTANCE, MOST_STATUS_PORTS, status_ports
from .prng import limit, seed
from .scoreboard import Scoreboard, figures
from .taps import storage_bytes, unpack

__all__ = ["Compiled"]

_WATCH_CYCLES = 1 << 18
# As in cpp/main.cpp.
_PERIOD_NS = 10
# In the order of the enumerations in cpp/transactor.cpp and cpp/streams.h.
_OPS = ("drain", "hold", "idle", "load", "reset", "reset_after", "send", "snapshot")
_DONE, _HANG, _EXTRA, _NO_LOADER = range(1, 5)
_VIOLATIONS = (texts.VALID_FELL, texts.DATA_CHANGED)
_STATUS_PORTS = MOST_STATUS_PORTS
# Tables and their columns.
_SECTIONS, _SNAPSHOTS, _BROKEN, _UNEXPECTED, _OCCUPANCY, _TAP_ENDS = range(6)
_COLUMNS = (9, 4 + _STATUS_PORTS, 2, 4, 1, 1)
_NUMBERS = 6


class Compiled:
    """One run. After :meth:`run` the attributes are those of :class:`.per_beat.PerBeat`."""

    def __init__(self, dut, job, ports, progress):
        self.dut, self.job, self._ports, self._progress = dut, job, ports, progress
        self._library = _declared(ctypes.CDLL(None))
        self.scoreboard = Scoreboard(job)
        self.failures, self.violations, self.sections, self.taps = [], [], [], {}
        # The simulator uses their memory: they have to stay.
        self._kept = []
        self._set_streams()
        self._set_steps()
        self._tap_bits = [self._set_tap(tap) for tap in job.taps]

    def _set_streams(self):
        job = self.job
        self._source(0, "s_axis", job.lanes, [(frame.beats, len(frame.beats) - 1) for frame in job.frames])
        if "w_axis_tvalid" in self._ports:
            self._source(1, "w_axis", 4, [(np.ascontiguousarray(step.words, "<u4"), step.tlast)
                                          for step in job.steps if isinstance(step, Load)])
        # What comes too much ends the run; until then it has to fit.
        most = sum(len(frame.beats) for frame in job.frames) + (texts.EXTRA_BEATS + 2) * (len(job.steps) + 1)
        self._beats, self._lasts = np.empty((most, job.lanes), np.uint8), np.empty(most, np.uint8)
        self._library.bench_sink(self._beats.ctypes.data, self._lasts.ctypes.data, most, job.lanes,
                                 seed(job.seed, "m_axis"), limit(job.stall_out))

    def _source(self, which, prefix, lanes, chunks):
        """``chunks`` are arrays of beats, each with the place of its tlast, or -1."""
        self._library.bench_source(which, lanes, seed(self.job.seed, prefix), limit(self.job.stall_in))
        # An array that is sent many times has its address looked up once.
        addresses = {id(beats): beats.ctypes.data for beats in {id(beats): beats for beats, _ in chunks}.values()}
        rows = np.array([(addresses[id(beats)], len(beats), last) for beats, last in chunks], np.int64).reshape(-1, 3)
        self._kept += [beats for beats, _ in chunks]
        self._library.bench_chunks(which, rows.ctypes.data, len(rows))

    def _set_steps(self):
        """Rows of op, wait, first, count, as cpp/transactor.cpp has them; it keeps a copy."""
        rows, sent, loaded = [], 0, 0
        for step in self.job.steps:
            wait, first, count = getattr(step, "wait", True), 0, getattr(step, "cycles", 0)
            if isinstance(step, Send):
                first, count = sent, len(step.frames)
                sent += count
            elif isinstance(step, Load):
                first, count = loaded, 1
                loaded += count
            elif step.op == "hold":
                count = -1 if step.beats is None else step.beats
            elif step.op == "reset_after":
                first = step.beats
            rows.append([_OPS.index(step.op), wait, first, count])
        table = np.array(rows, np.int64).reshape(-1, 4)
        self._library.bench_steps(table.ctypes.data, len(table))

    def _set_tap(self, tap):
        """Find a tap's signals; returns its data's bits."""
        module, path = self.dut, [INSTANCE, *tap["module_path"].split(".")[1:]]
        for name in path:
            module = getattr(module, name)
        scope = ".".join([self.dut._name, *path])
        bits, index = len(getattr(module, tap["data"])), tap["index"]
        found = self._library.bench_tap(
            scope.encode(), tap["valid"].encode(), index.encode() if index else None, tap["data"].encode(),
            storage_bytes(len(getattr(module, index))) if index else 0, storage_bytes(bits))
        if not found:
            raise LookupError(f"stage {tap['stage']}: {scope} lacks {tap['valid']}, {index} or {tap['data']}")
        return bits

    async def run(self):
        """Run all steps, and read what came. Failures of the block are no exceptions."""
        self._library.bench_start(self.job.hang_cycles, self.job.drain_cycles, self.job.occupancy)
        stopped = RisingEdge(self.dut.stopped)
        while not self._numbers()[0]:
            await First(stopped, Timer(_WATCH_CYCLES * _PERIOD_NS, "ns"))
            _, cycle, _, delivered, *_ = self._numbers()
            self._progress(delivered, cycle)
        self._judge()

    def _numbers(self):
        numbers = np.zeros(_NUMBERS, np.int64)
        self._library.bench_numbers(numbers.ctypes.data)
        return numbers.tolist()

    def _table(self, which):
        assert self._library.bench_columns(which) == _COLUMNS[which], which
        rows = self._library.bench_table(which, None)
        table = np.zeros((rows, _COLUMNS[which]), np.int64)
        self._library.bench_table(which, table.ctypes.data)
        return table

    def _judge(self):
        """Everything that happened, in the order in which it did."""
        stop, self.cycle, self.peak, _, *pending = self._numbers()
        self.failures += [texts.unexpected(*row) for row in self._table(_UNEXPECTED).tolist()]
        self.violations = [texts.violation("m_axis", _VIOLATIONS[kind], cycle)
                           for kind, cycle in self._table(_BROKEN).tolist()]
        self.occupancy = self._table(_OCCUPANCY)[:, 0]
        self._read_snapshots()
        begun = taken = 0
        sections = self._table(_SECTIONS).tolist()
        for number, (steps, end, accepted, stalled, offered, first_in, delivered, *out) in enumerate(sections):
            for step in self.job.steps[begun:steps]:
                if isinstance(step, Send):
                    self.scoreboard.expect(step.frames)
            final = number == len(sections) - 1
            if final and stop != _DONE:
                self.failures.append(self._why(stop, accepted, delivered, pending))
            self.scoreboard.close(self._beats[taken:end], self._lasts[taken:end], complete=final)
            self.sections.append(figures(accepted, delivered, stalled, offered, first_in, *out))
            begun, taken = steps, end
        self._read_taps()

    def _why(self, stop, accepted, delivered, pending):
        if stop == _EXTRA:
            return texts.extra()
        if stop == _NO_LOADER:
            return texts.NO_LOADER
        assert stop == _HANG, stop
        counts = accepted, self._last_snapshot["loaded"]
        waiting = list(zip(("s_axis", "w_axis"), counts, pending, strict=True))
        return texts.hang(self.job.hang_cycles, waiting, delivered, self.scoreboard.beats)

    def _read_snapshots(self):
        """Those of steps, and the last one, which the transactor adds when it stops."""
        names = status_ports(self._ports)
        records = [{"cycle": cycle, "accepted": accepted, "delivered": delivered, "loaded": loaded,
                    **dict(zip(names, status, strict=False))}
                   for cycle, accepted, delivered, loaded, *status in self._table(_SNAPSHOTS).tolist()]
        steps = [step.name for step in self.job.steps if isinstance(step, Snapshot)]
        *taken, self._last_snapshot = records
        self.snapshots = dict(zip(steps, taken, strict=False))
        self.status = {name: self._last_snapshot[name] for name in names}

    def _read_taps(self):
        ends = self._table(_TAP_ENDS).reshape(-1, max(len(self.job.taps), 1))
        for number, (tap, bits) in enumerate(zip(self.job.taps, self._tap_bits, strict=True)):
            data = ctypes.string_at(self._library.bench_tap_bytes(number), int(ends[-1, number]))
            pieces = np.split(np.frombuffer(data, np.uint8), ends[:-1, number])
            self.taps[tap["stage"]] = [unpack(piece, tap, bits) for piece in pieces]


def _declared(library):
    """`library` with its functions' types: ctypes would pass 64-bit numbers as int."""
    pointer, integer, word, text = ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint64, ctypes.c_char_p
    types = {
        "bench_source": (None, ctypes.c_int, integer, word, word),
        "bench_chunks": (None, ctypes.c_int, pointer, integer),
        "bench_sink": (None, pointer, pointer, integer, integer, word, word),
        "bench_steps": (None, pointer, integer),
        "bench_tap": (ctypes.c_int, text, text, text, text, integer, integer),
        "bench_start": (None, integer, integer, ctypes.c_int),
        "bench_numbers": (None, pointer),
        "bench_table": (integer, ctypes.c_int, pointer),
        "bench_columns": (integer, ctypes.c_int),
        "bench_tap_bytes": (pointer, ctypes.c_int),
    }
    for name, (result, *arguments) in types.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
