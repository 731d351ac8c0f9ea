# SPDX-License-Identifier: Apache-2.0
"""A second cocotb test module: the same job with the source and sink of cocotbext-axi, as its users would write it.

It takes jobs of Reset, perhaps Load, Idle and Send, without taps, snapshots or occupancy, and leaves what
:mod:`tiled_se.cosim.bench` leaves, but for the figures that only our own monitors have. Needs the package
cocotbext-axi.
"""

import itertools
import json
import logging
import os
import random
import time
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, SimTimeoutError, with_timeout
from cocotb.utils import get_sim_time
from cocotbext.axi import AxiStreamBus, AxiStreamSink, AxiStreamSource

from ...cosim.job import JOB_VARIABLE, OUTPUTS, RESULT, Idle, Job, Load, Reset, Send

_PERIOD_NS = 10


@cocotb.test(timeout_time=10, timeout_unit="sec")
async def run_job(dut):
    """Every frame comes back as expected, and nothing follows the last one."""
    folder = Path(os.environ[JOB_VARIABLE])
    job = Job.load(folder)
    Clock(dut.clk, _PERIOD_NS, unit="ns").start()
    bench = Bench(dut, job)
    wall, cpu = time.perf_counter(), time.process_time()
    await bench.run()
    seconds = {"run_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    beats = [np.frombuffer(frame, np.uint8).reshape(-1, job.out_bytes) for frame in bench.frames]
    np.savez(folder / OUTPUTS, occupancy=np.zeros(0, np.int64), counts=np.array([len(b) for b in beats], np.int64),
             beats=np.concatenate([np.zeros((0, job.out_bytes), np.uint8), *beats]))
    result = bench.result() | seconds
    (folder / RESULT).write_text(json.dumps(result))
    assert not result["failures"], result["failures"][0]


class Bench:
    """One run of ``job``: a source for each input, a sink for the output; each frame is compared when it arrives."""

    def __init__(self, dut, job):
        self.dut, self.job = dut, job
        self.sink = self._stream(AxiStreamSink, "m_axis", job.stall_out)
        self.source = self._stream(AxiStreamSource, "s_axis", job.stall_in)
        self.loader = self._stream(AxiStreamSource, "w_axis", job.stall_in) if hasattr(dut, "w_axis_tvalid") else None
        self.frames, self.failures, self.wrong = [], [], 0
        self.cycles = 0

    def _stream(self, kind, prefix, stall):
        stream = kind(AxiStreamBus.from_prefix(self.dut, prefix), self.dut.clk, self.dut.rst)
        # Each would print every frame, byte by byte.
        stream.log.setLevel(logging.WARNING)
        if stall:
            rng = random.Random(f"{self.job.seed} {prefix}")
            stream.set_pause_generator(rng.random() < stall for _ in itertools.count())
        return stream

    async def run(self):
        """Run all steps, then check that nothing follows the last frame."""
        start = get_sim_time("ns")
        try:
            for step in self.job.steps:
                await _STEPS[type(step)](self, step)
        except SimTimeoutError:
            self.failures.append(f"hang in step {step.op}, after {len(self.frames)} frames")
        await ClockCycles(self.dut.clk, self.job.drain_cycles)
        if not self.sink.empty() or self.sink.active:
            self.failures.append("m_axis: a beat came after the last frame")
        self.cycles = round((get_sim_time("ns") - start) / _PERIOD_NS)

    async def reset(self, step):
        """Reset the block, and with it source and sink."""
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, step.cycles)
        self.dut.rst.value = 0

    async def load(self, step):
        """Send the parameters, and wait until they are taken."""
        await self.loader.send(np.asarray(step.words, "<u4").tobytes())
        await with_timeout(self.loader.wait(), self._patience(len(step.words)), "ns")

    async def idle(self, step):
        """Let cycles pass."""
        await ClockCycles(self.dut.clk, step.cycles)

    async def send(self, step):
        """Queue all frames, then take each one and compare it."""
        for frame in step.frames:
            await self.source.send(frame.beats.tobytes())
        for number, frame in enumerate(step.frames):
            got = await with_timeout(self.sink.recv(), self._patience(len(frame.beats)), "ns")
            self._compare(number, frame.expected, bytes(got.tdata))

    def _patience(self, beats):
        pace = (1 - self.job.stall_in) * (1 - self.job.stall_out)
        return round(_PERIOD_NS * (self.job.hang_cycles + 4 * beats / pace))

    def _compare(self, number, expected, got):
        self.frames.append(got)
        if got == expected.tobytes():
            return
        if len(got) != expected.size:
            self.failures.append(f"frame {number} has {len(got)} bytes where {expected.size} are expected")
            return
        beats = np.frombuffer(got, np.uint8).reshape(expected.shape)
        right = self.job.elements(expected)
        wrong = np.flatnonzero(self.job.elements(beats) != right)
        self.wrong += len(wrong)
        self.failures.append(f"{len(wrong)} of {right.size} elements of frame {number} differ, the first in "
                             f"place {wrong[0]}")

    def result(self):
        """What :func:`tiled_se.cosim.run.simulate` reads; what cocotbext-axi doesn't tell is empty."""
        beats = sum(map(len, self.frames)) // self.job.out_bytes
        return {"failures": self.failures, "mismatches": self.wrong, "compared": beats * self.job.lanes,
                "first_mismatches": [], "sections": [], "status": {}, "snapshots": {}, "peak_in_flight": 0,
                "cycles": self.cycles}


_STEPS = {Reset: Bench.reset, Load: Bench.load, Idle: Bench.idle, Send: Bench.send}
