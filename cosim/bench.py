# SPDX-License-Identifier: Apache-2.0
"""The cocotb test module: runs the job in the folder that ``$TILED_SE_JOB`` names and leaves its results there.

``result.json`` has what happened, ``outputs.npz`` the beats that came. The test fails if the result has failures.
"""

import json
import os
import time
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from .drivers import Monitor, Sink, Source, reader
from .job import JOB_VARIABLE, OUTPUTS, PROGRESS, RESULT, Job
from .scoreboard import Scoreboard
from .script import Stopped, script
from .taps import Recorder

# Beats too many after which a block is taken to run wild.
_EXTRA_BEATS = 16
_PROGRESS_CYCLES = 4096


@cocotb.test(timeout_time=10, timeout_unit="sec")
async def run_job(dut):
    """Every step of the job goes through, every beat is the expected one, no stream breaks its protocol."""
    folder = Path(os.environ[JOB_VARIABLE])
    job = Job.load(folder)
    dut._log.info(f"seed {job.seed}, stalls {job.stall_in} in, {job.stall_out} out")
    bench = Bench(dut, job, folder)
    await bench.run()
    result = bench.result()
    np.savez(folder / OUTPUTS, occupancy=np.array(bench.occupancy, np.int64),
             beats=np.concatenate([np.zeros((0, job.lanes), np.uint8), *bench.scoreboard.outputs]),
             counts=np.array([len(output) for output in bench.scoreboard.outputs], np.int64))
    (folder / RESULT).write_text(json.dumps(result))
    assert not result["failures"], result["failures"][0]


class Bench:
    """One run: a script of steps, a source and a monitor for each input, a sink, a monitor and a scoreboard behind.

    ``cycle`` counts all cycles, ``quiet`` those since a beat moved on any stream. While ``in_reset`` nothing is looked
    at. The steps (:mod:`.script`) use these and the streams.
    """

    def __init__(self, dut, job, folder):
        self.dut, self.job, self.folder = dut, job, folder
        self.input, self.output = Monitor(dut, "s_axis"), Monitor(dut, "m_axis", record=True)
        self.monitors, self.source = [self.input, self.output], Source(dut, self.input, job.stall_in, job.seed)
        self.parameters = self.loader = None
        if hasattr(dut, "w_axis_tvalid"):
            self.parameters = Monitor(dut, "w_axis")
            self.monitors.append(self.parameters)
            self.loader = Source(dut, self.parameters, job.stall_in, job.seed)
        self.sources = [source for source in (self.source, self.loader) if source]
        self.sink = Sink(dut, "m_axis", job.stall_out, job.seed)
        self.scoreboard = Scoreboard(job)
        self.recorders = [Recorder(dut, tap) for tap in job.taps]
        self.status = {name: reader(getattr(dut, name)) for name in _status_ports(dut)}
        self.cycle = self.quiet = self.peak = 0
        self.in_reset = False
        self.occupancy, self.snapshots, self.sections, self.failures = [], {}, [], []
        self.total = sum(len(frame.beats) for frame in job.frames)
        self.delivered_before = 0
        self.seconds = 0.0
        dut.rst.value = 0

    async def run(self):
        """Run all steps; afterwards ``result`` has everything. Failures of the block are no exceptions."""
        start = time.perf_counter()
        Clock(self.dut.clk, 10, unit="ns").start()
        edge = RisingEdge(self.dut.clk)
        try:
            for _ in script(self):
                for source in self.sources:
                    source.drive()
                self.sink.drive()
                await edge
                self._sample()
            self.close(complete=True)
        except Stopped as stopped:
            self.failures.append(str(stopped))
            self.close(complete=True)
        self.seconds = time.perf_counter() - start

    def _sample(self):
        self.cycle += 1
        self.quiet += 1
        if self.in_reset:
            return
        for monitor in self.monitors:
            if monitor.sample(self.cycle):
                self.quiet = 0
        accepted, delivered = self.input.count, self.output.count
        if accepted - delivered > self.peak:
            self.peak = accepted - delivered
        if self.job.occupancy:
            self.occupancy.append(accepted - delivered)
        for recorder in self.recorders:
            recorder.sample()
        if delivered + (self.output.held is not None) > min(accepted, self.scoreboard.beats):
            self._unexpected(accepted, delivered)
        if self.quiet > self.job.hang_cycles:
            raise Stopped(self._hang())
        if self.cycle % _PROGRESS_CYCLES == 0:
            self._progress()

    def _unexpected(self, accepted, delivered):
        """An output beat too many, or one that comes before the input beat that it belongs to."""
        text = "m_axis: tvalid is high with nothing left to deliver"
        if delivered < self.scoreboard.beats:
            text = "m_axis: an output beat is offered before its input beat was accepted"
        if not any(failure.startswith(text) for failure in self.failures):
            self.failures.append(f"{text}, cycle {self.cycle}, after {accepted} beats in and {delivered} out")
        if delivered > self.scoreboard.beats + _EXTRA_BEATS:
            raise Stopped(f"stopped: more than {_EXTRA_BEATS} beats too many")

    def _hang(self):
        """Which side waits for which, after ``hang_cycles`` without a transfer."""
        sides = []
        for monitor, sent in ((self.input, self.source), (self.parameters, self.loader)):
            if sent and sent.pending:
                sides.append(f"{monitor.prefix}_tready stays low after {monitor.count} beats, {sent.pending} to go")
        if self.output.count < self.scoreboard.beats:
            sides.append(f"m_axis_tvalid stays low after {self.output.count} of {self.scoreboard.beats} beats")
        what = "; ".join(sides) or "a step waits for more beats than were sent"
        return f"hang: no beat moved for {self.job.hang_cycles} cycles: {what}"

    def _progress(self):
        done = self.delivered_before + self.output.count
        temporary = self.folder / f"{PROGRESS}.new"
        temporary.write_text(json.dumps([done, self.total, self.cycle]))
        temporary.rename(self.folder / PROGRESS)

    def read_status(self):
        """The status ports' values now; None for an X."""
        return {name: int(text, 2) if set(text := read()) <= {"0", "1"} else None for name, read in self.status.items()}

    def close(self, complete):
        """End a section: compare what came in it, note its figures, begin anew.

        ``complete`` says that everything expected should have come.
        """
        first, last = self.output.first, self.output.last
        count = self.output.count
        self.sections.append({
            "accepted": self.input.count, "delivered": count, "in_stall_cycles": self.input.stalled,
            "total": last - self.input.offered + 1 if count and self.input.count else None,
            "first_output_latency": first - self.input.first if count and self.input.count else None,
            "steady_throughput": (count - 1) / (last - first) if count > 1 else None})
        self.scoreboard.close(self.output.words, self.output.lasts, complete)
        self.delivered_before += count
        for watcher in (*self.monitors, *self.recorders):
            watcher.restart()

    def result(self):
        """Everything to know about the run, JSON-serialisable."""
        violations = [text for monitor in self.monitors for text in monitor.violations]
        board = self.scoreboard
        return {"failures": self.failures + board.texts() + violations, "mismatches": board.mismatches,
                "compared": board.compared, "first_mismatches": board.first, "sections": self.sections,
                "status": self.read_status(), "snapshots": self.snapshots, "peak_in_flight": self.peak,
                "cycles": self.cycle, "run_seconds": self.seconds, "section_frames": board.section_frames,
                "taps": {recorder.tap["stage"]: recorder.result() for recorder in self.recorders}}


def _status_ports(dut):
    return [name for name in ("status_frame_error", "status_peak_words", "status_loaded", "status_load_error")
            if hasattr(dut, name)]
