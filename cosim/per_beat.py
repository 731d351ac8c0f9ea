# SPDX-License-Identifier: Apache-2.0
"""The test bench in which Python moves the beats, with a call of each driver a cycle. It works with any simulator."""

from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from . import texts
from .drivers import Monitor, Sink, Source, reader
from .ports import status_ports
from .scoreboard import Scoreboard, figures, to_beats, to_lasts
from .script import Stopped, script
from .taps import Recorder

__all__ = ["PerBeat"]

_PROGRESS_CYCLES = 4096


class PerBeat:
    """One run: a source and a monitor for each input; a sink, a monitor and a scoreboard for the output.

    ``dut`` is the block; ``progress(delivered, cycle)`` is called from time to time. ``cycle`` counts all cycles,
    ``quiet`` those since the last transfer on any stream. While ``in_reset`` nothing is checked. The steps
    (:mod:`.script`) use these and the streams.
    """

    def __init__(self, dut, job, ports, progress):
        self.dut, self.job, self._progress = dut, job, progress
        self.input, self.output = Monitor(dut, "s_axis"), Monitor(dut, "m_axis", record=True)
        self.monitors, self.source = [self.input, self.output], Source(dut, self.input, job.stall_in, job.seed)
        self.parameters = self.loader = None
        if "w_axis_tvalid" in ports:
            self.parameters = Monitor(dut, "w_axis")
            self.monitors.append(self.parameters)
            self.loader = Source(dut, self.parameters, job.stall_in, job.seed)
        self.sources = [source for source in (self.source, self.loader) if source]
        self.sink = Sink(dut, "m_axis", job.stall_out, job.seed)
        self.scoreboard = Scoreboard(job)
        self.recorders = [Recorder(dut, tap) for tap in job.taps]
        self._status = {name: reader(getattr(dut, name)) for name in status_ports(ports)}
        self.cycle = self.quiet = self.peak = 0
        self.in_reset = False
        self.occupancy, self.snapshots, self.sections, self.failures, self._noted = [], {}, [], [], set()
        self.delivered_before = 0
        dut.rst.value = 0

    async def run(self):
        """Run all steps. Failures of the block are not exceptions."""
        Clock(self.dut.clk, 10, unit="ns").start()
        edge = RisingEdge(self.dut.clk)
        for _ in self.cycles():
            await edge

    def cycles(self):
        """All steps as a generator, for a caller that has the clock. It yields when the next cycle's inputs are set.

        The caller resumes it at that cycle's rising edge; it then reads the block's outputs before the edge.
        """
        try:
            for _ in script(self):
                for source in self.sources:
                    source.drive()
                self.sink.drive()
                yield
                self._sample()
            self.close(complete=True)
        except Stopped as stopped:
            self.failures.append(str(stopped))
            self.close(complete=True)

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
            waiting = [(source.monitor.prefix, source.monitor.count, source.pending) for source in self.sources]
            raise Stopped(texts.hang(self.job.hang_cycles, waiting, delivered, self.scoreboard.beats))
        if self.cycle % _PROGRESS_CYCLES == 0:
            self._progress(self.delivered_before + self.output.count, self.cycle)

    def _unexpected(self, accepted, delivered):
        early = delivered < self.scoreboard.beats
        if early not in self._noted:
            self._noted.add(early)
            self.failures.append(texts.unexpected(early, self.cycle, accepted, delivered))
        if delivered > self.scoreboard.beats + texts.EXTRA_BEATS:
            raise Stopped(texts.EXTRA)

    @property
    def status(self):
        """The status ports' values now; None for an X."""
        shown = {name: read() for name, read in self._status.items()}
        return {name: int(bits, 2) if set(bits) <= {"0", "1"} else None for name, bits in shown.items()}

    def close(self, complete):
        """End a section: compare its output, record its figures, start the next one.

        If ``complete``, all expected beats must have come.
        """
        count = self.output.count
        self.sections.append(figures(self.input.count, count, self.input.stalled, self.input.offered, self.input.first,
                                     self.output.first, self.output.last))
        beats, unknown = to_beats(self.output.words, self.job.out_bytes)
        self.scoreboard.close(beats, to_lasts(self.output.lasts), complete, unknown)
        self.delivered_before += count
        for watcher in (*self.monitors, *self.recorders):
            watcher.restart()

    @property
    def violations(self):
        """The streams' violations of their protocol."""
        return [text for monitor in self.monitors for text in monitor.violations]

    @property
    def taps(self):
        """The stages' recorded values, as :func:`.taps.first_difference` takes them."""
        return {recorder.tap["stage"]: recorder.result() for recorder in self.recorders}
