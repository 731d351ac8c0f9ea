# SPDX-License-Identifier: Apache-2.0
"""The cocotb test module: runs the job in the folder that ``$TILED_SE_JOB`` names, and writes its results there.

``result.json`` has the results, ``outputs.npz`` the output beats. The test fails if the result has failures.
"""

import json
import os
import time
from pathlib import Path

import cocotb
import numpy as np

from .compiled import Compiled
from .job import JOB_VARIABLE, OUTPUTS, PROGRESS, RESULT, Job, load_facts
from .per_beat import PerBeat
from .result import findings


@cocotb.test()
async def run_job(dut):
    """Every step of the job completes, every beat is as expected, and no stream breaks its protocol."""
    folder = Path(os.environ[JOB_VARIABLE])
    job, facts = Job.load(folder), load_facts(folder)
    dut._log.info(f"seed {job.seed}, stalls {job.stall_in} in, {job.stall_out} out")
    wall, cpu = time.perf_counter(), time.process_time()
    bench = (PerBeat if facts["per_beat"] else Compiled)(dut, job, facts["ports"], _progress(folder, job))
    await bench.run()
    seconds = {"run_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    stages = {"section_frames": bench.scoreboard.section_frames, "taps": bench.taps}
    result = findings(bench) | seconds | stages
    outputs = bench.scoreboard.outputs
    np.savez(folder / OUTPUTS, occupancy=np.array(bench.occupancy, np.int64),
             beats=np.concatenate([np.zeros((0, job.out_bytes), np.uint8), *outputs]),
             counts=np.array([len(output) for output in outputs], np.int64))
    (folder / RESULT).write_text(json.dumps(result))
    assert not result["failures"], result["failures"][0]


def _progress(folder, job):
    total = sum(len(frame.beats) for frame in job.frames)

    def progress(delivered, cycle):
        temporary = folder / f"{PROGRESS}.new"
        temporary.write_text(json.dumps([delivered, total, cycle]))
        temporary.rename(folder / PROGRESS)

    return progress
