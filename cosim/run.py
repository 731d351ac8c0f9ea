# SPDX-License-Identifier: Apache-2.0
"""Runs a job in a built simulation and reads its results."""

import contextlib
import dataclasses
import json
import subprocess
import time
from pathlib import Path

import numpy as np
from cocotb_tools.check_results import get_results

from ..hdl.errors import reason
from .environment import cocotb_environment
from .job import JOB_VARIABLE, OUTPUTS, PROGRESS, RESULT, save_facts
from .result import SimResult, SimulationError
from .scratch import scratch
from .taps import first_difference, recorded
from .waves import write_save_file

__all__ = ["SimResult", "SimulationError", "simulate"]

_LOG, _XML = "simulation.log", "results.xml"
_SHOWN_LINES = 20
_POLL_SECONDS, _QUIET_SECONDS = 0.5, 2.0


def simulate(build, job, *, golden_stages=None, wave_file=None, folder=None, progress=None, timeout=None,
             module=f"{__package__}.bench"):
    """Run ``job`` in ``build`` and return its SimResult. Wrong output is not an exception.

    Parameters
    ----------
    build : Build
    job : Job
    golden_stages : dict or callable, optional
        The golden model's stages as :func:`.taps.first_difference` takes them, or a function that computes them. If the
        run fails, it is repeated with the taps recorded, and the result names the first stage that is wrong.
    wave_file : path, optional
        Where to write waves (VCD); needs a build with ``waves=True``. A GTKWave save file is written beside it.
    folder : path, optional
        Where the job, its log and its results are kept; a temporary folder if None.
    progress : callable, optional
        Called with a line of text twice a second, once the run takes over two seconds.
    timeout : float, optional
        Wall-clock seconds after which the simulator is stopped, with SimulationError.
    module : str
        Dotted name of the module with the cocotb test; by default this package's own. A test that drives the ports
        itself needs a build with ``per_beat=True``.
    """
    job.check_ports(build.ports)
    if wave_file is not None:
        if not build.waves:
            raise ValueError("wave_file: the simulation was built without waves")
        wave_file = Path(wave_file).absolute()
        wave_file.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = stack.enter_context(scratch())
        folder = Path(folder).absolute()
        if job.taps:
            build = build.with_taps()
        record = _run(build, job, folder, wave_file, progress, timeout, module)
        if wave_file is not None:
            write_save_file(wave_file, build)
        result = _result(record, folder)
        if result.ok or golden_stages is None or not build.taps:
            return result
        again = _run(build.with_taps(), dataclasses.replace(job, taps=build.taps), folder, None, progress, timeout,
                     module)
    shown = recorded(build.taps, again["section_frames"], again["taps"], result.outputs, job)
    golden = golden_stages() if callable(golden_stages) else golden_stages
    return dataclasses.replace(result, difference=first_difference(shown, golden))


def _run(build, job, folder, wave_file, progress, timeout, module):
    """Start the simulator once; returns what the test bench has written to ``result.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    job.save(folder)
    save_facts(folder, per_beat=build.per_beat, ports=build.ports)
    try:
        return _started(build, job, folder, wave_file, progress, timeout, module)
    except SimulationError:
        # The executable may have been removed, or damaged, since it was built.
        restored = build.restored()
        if restored is None:
            raise
        return _started(restored, job, folder, wave_file, progress, timeout, module)


def _started(build, job, folder, wave_file, progress, timeout, module):
    for name in (RESULT, OUTPUTS, PROGRESS, _XML):
        (folder / name).unlink(missing_ok=True)
    with open(folder / _LOG, "w") as log:
        try:
            process = subprocess.Popen(build.command(job.seed, wave_file), cwd=folder,
                                       env=_environment(build, job, folder, module), stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=subprocess.STDOUT)
        except OSError as error:
            raise SimulationError(f"{build.executable}: {reason(error)}; it has to be built again") from error
        try:
            _wait(process, folder, progress, timeout)
        finally:
            process.kill()
            process.wait()
    return _read(folder, process.returncode)


def _wait(process, folder, progress, timeout):
    start = time.monotonic()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_SECONDS)
            return
        seconds = time.monotonic() - start
        if timeout is not None and seconds > timeout:
            raise SimulationError(f"the simulation was ended after {timeout} seconds\n{_tail(folder)}")
        if progress and seconds > _QUIET_SECONDS and (folder / PROGRESS).exists():
            done, total, cycle = json.loads((folder / PROGRESS).read_text())
            progress(f"sim: {100 * done // max(total, 1)} % of {total} beats, {cycle} cycles")


def _environment(build, job, folder, module):
    return cocotb_environment(module, build.bench_top, folder / _XML, job.seed, build.simulator == "verilator") | {
        JOB_VARIABLE: str(folder)}


def _read(folder, status):
    try:
        tests, failed = get_results(folder / _XML)
        record = json.loads((folder / RESULT).read_text())
    except (OSError, RuntimeError) as error:
        raise SimulationError(f"the simulation left no result (status {status}):\n{_tail(folder)}") from error
    # The test fails if and only if its result has failures; anything else is an error of the test bench.
    if (tests, failed) != (1, int(bool(record["failures"]))):
        raise SimulationError(f"{tests} tests ran and {failed} failed, not what was expected:\n{_tail(folder)}")
    return record


def _tail(folder):
    return "\n".join((folder / _LOG).read_text(errors="replace").rstrip().splitlines()[-_SHOWN_LINES:])


def _result(record, folder):
    with np.load(folder / OUTPUTS, allow_pickle=False) as arrays:
        beats, counts, occupancy = arrays["beats"], arrays["counts"], arrays["occupancy"]
    outputs = np.split(beats, np.cumsum(counts)[:-1]) if len(counts) else []
    fields = {field.name for field in dataclasses.fields(SimResult)} & record.keys()
    return SimResult(outputs=outputs, occupancy=occupancy, **{name: record[name] for name in fields})
