# SPDX-License-Identifier: Apache-2.0
"""Python's interface to the compiled transactor (cpp/transactor.cpp): gives it a job, then checks the results.

The transactor reads and writes numpy arrays in place. Its users provide clock and simulator: :mod:`.compiled` with
cocotb, :mod:`.standalone` without.
"""

import ctypes

import numpy as np

from . import texts
from .job import Load, Send, Snapshot
from .ports import MOST_STATUS_PORTS, status_ports
from .prng import limit, seed
from .scoreboard import Scoreboard, figures
from .taps import storage_bytes, unpack

__all__ = ["Transactor"]

# In the order of the enumerations in cpp/transactor.cpp and cpp/streams.h.
_OPS = ("drain", "hold", "idle", "load", "reset", "reset_after", "send", "snapshot")
_DONE, _HANG, _EXTRA, _NO_LOADER = range(1, 5)
_VIOLATIONS = (texts.VALID_FELL, texts.DATA_CHANGED)
# Tables and their columns.
_SECTIONS, _SNAPSHOTS, _BROKEN, _UNEXPECTED, _OCCUPANCY, _TAP_ENDS = range(6)
_COLUMNS = (9, 4 + MOST_STATUS_PORTS, 2, 4, 1, 1)
_NUMBERS = 6


class Transactor:
    """One run of ``job`` by the transactor in ``library``. A new one discards the previous run.

    ``ports`` are the block's, with their bits. After :meth:`judge` the attributes are those of
    :class:`.per_beat.PerBeat`.
    """

    def __init__(self, library, job, ports):
        self.job, self._ports = job, ports
        self.library = _declared(library)
        self.library.bench_new()
        self.scoreboard = Scoreboard(job)
        self.failures, self.violations, self.sections = [], [], []
        self.taps, self._watched = {}, []
        # Arrays whose memory the simulator uses.
        self._kept = []
        self._set_streams()
        self._set_steps()

    def start(self):
        """Start the steps at the next clock edge."""
        self.library.bench_start(self.job.hang_cycles, self.job.drain_cycles, self.job.occupancy)

    def _set_streams(self):
        job = self.job
        self._source(0, "s_axis", job.in_bytes, [(frame.beats, len(frame.beats) - 1) for frame in job.frames])
        if "w_axis_tvalid" in self._ports:
            self._source(1, "w_axis", 4, [(np.ascontiguousarray(step.words, "<u4"), step.tlast)
                                          for step in job.steps if isinstance(step, Load)])
        # Surplus beats must fit until they end the run.
        most = sum(len(frame.beats) for frame in job.frames) + (texts.EXTRA_BEATS + 2) * (len(job.steps) + 1)
        self._beats, self._lasts = np.empty((most, job.out_bytes), np.uint8), np.empty(most, np.uint8)
        self.library.bench_sink(self._beats.ctypes.data, self._lasts.ctypes.data, most, job.out_bytes,
                                seed(job.seed, "m_axis"), limit(job.stall_out))

    def _source(self, which, prefix, size, chunks):
        """``chunks`` are arrays of beats of `size` bytes, each with the index of its tlast, or -1."""
        self.library.bench_source(which, size, seed(self.job.seed, prefix), limit(self.job.stall_in))
        # The address of an array that is sent many times is looked up once.
        addresses = {id(beats): beats.ctypes.data for beats in {id(beats): beats for beats, _ in chunks}.values()}
        rows = np.array([(addresses[id(beats)], len(beats), last) for beats, last in chunks], np.int64).reshape(-1, 3)
        self._kept += [beats for beats, _ in chunks]
        self.library.bench_chunks(which, rows.ctypes.data, len(rows))

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
        self.library.bench_steps(table.ctypes.data, len(table))

    def watch(self, tap, scope, bits, index_bits):
        """Record a tap: its signals are in the simulator's `scope`, its data have `bits`.

        Returns the arguments for ``bench_tap``, to be called once the simulator can find the signals.
        """
        self._watched.append((tap, bits))
        index = tap["index"].encode() if tap["index"] else None
        return (scope.encode(), tap["valid"].encode(), index, tap["data"].encode(),
                storage_bytes(index_bits) if index else 0, storage_bytes(bits))

    @property
    def stopped(self):
        """Whether the steps have ended."""
        return bool(self._numbers()[0])

    @property
    def moved(self):
        """Beats delivered so far, and cycles."""
        _, cycle, _, delivered, *_ = self._numbers()
        return delivered, cycle

    def _numbers(self):
        numbers = np.zeros(_NUMBERS, np.int64)
        self.library.bench_numbers(numbers.ctypes.data)
        return numbers.tolist()

    def table(self, which):
        """A table of the transactor's: int64 (rows, columns)."""
        assert self.library.bench_columns(which) == _COLUMNS[which], which
        rows = self.library.bench_table(which, None)
        table = np.zeros((rows, _COLUMNS[which]), np.int64)
        self.library.bench_table(which, table.ctypes.data)
        return table

    def judge(self):
        """Read the results and check them, in the order of the events."""
        stop, self.cycle, self.peak, _, *pending = self._numbers()
        self.failures += [texts.unexpected(*row) for row in self.table(_UNEXPECTED).tolist()]
        self.violations = [texts.violation("m_axis", _VIOLATIONS[kind], cycle)
                           for kind, cycle in self.table(_BROKEN).tolist()]
        self.occupancy = self.table(_OCCUPANCY)[:, 0]
        self._read_snapshots()
        begun = taken = 0
        sections = self.table(_SECTIONS).tolist()
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

    def _read_taps(self):
        ends = self.table(_TAP_ENDS).reshape(-1, max(len(self._watched), 1))
        for number, (tap, bits) in enumerate(self._watched):
            data = ctypes.string_at(self.library.bench_tap_bytes(number), int(ends[-1, number]))
            pieces = np.split(np.frombuffer(data, np.uint8), ends[:-1, number])
            self.taps[tap["stage"]] = [unpack(piece, tap, bits) for piece in pieces]

    def _why(self, stop, accepted, delivered, pending):
        if stop == _EXTRA:
            return texts.EXTRA
        if stop == _NO_LOADER:
            return texts.NO_LOADER
        assert stop == _HANG, stop
        counts = accepted, self._last_snapshot["loaded"]
        waiting = list(zip(("s_axis", "w_axis"), counts, pending, strict=True))
        return texts.hang(self.job.hang_cycles, waiting, delivered, self.scoreboard.beats)

    def _read_snapshots(self):
        """The snapshots of steps, and the last one, which the transactor takes when it stops."""
        names = status_ports(self._ports)
        records = [{"cycle": cycle, "accepted": accepted, "delivered": delivered, "loaded": loaded,
                    **dict(zip(names, status, strict=False))}
                   for cycle, accepted, delivered, loaded, *status in self.table(_SNAPSHOTS).tolist()]
        steps = [step.name for step in self.job.steps if isinstance(step, Snapshot)]
        *taken, self._last_snapshot = records
        self.snapshots = dict(zip(steps, taken, strict=False))
        self.status = {name: self._last_snapshot[name] for name in names}


def _declared(library):
    """`library` with the types of its functions; by default ctypes passes numbers as int."""
    pointer, integer, word, text = ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint64, ctypes.c_char_p
    types = {
        "bench_new": (None,),
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
