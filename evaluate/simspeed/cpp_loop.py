# SPDX-License-Identifier: Apache-2.0
"""A test bench without cocotb: ``loop.cpp``, a plain C++ loop around the model that Verilator makes."""

import dataclasses
import json
import subprocess
from pathlib import Path

import numpy as np

from ...cosim import verilate
from ...cosim.cache import Cache, digest
from ...cosim.job import Load, Send
from ...cosim.ports import module_ports
from ...cosim.result import SimulationError
from ...hdl.errors import reason

__all__ = ["LoopResult", "build_loop", "run_loop", "write_stimulus"]

_MAIN = Path(__file__).with_name("loop.cpp")
_RUNTIME = ("verilated", "verilated_threads")
_SEEDS = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class LoopResult:
    """The counts of a run of the loop.

    ``cycles`` is all of them, ``total_cycles`` those from the first beat offered to the last beat out, both counted;
    ``cpu_seconds`` is what the run itself took. ``beats`` came and were compared; ``wrong`` is how many had other data
    or another tlast than expected, ``missing`` how many did not come, ``extra`` the cycles in which one was on offer
    after the last. ``loaded`` is False where the block did not take its parameters.
    """

    cycles: int
    total_cycles: int
    cpu_seconds: float
    beats: int
    wrong: int
    missing: int
    extra: int
    loaded: bool

    @property
    def failures(self):
        """Texts; empty if everything was right."""
        if not self.loaded:
            return ["w_axis: the parameters were not taken"]
        what = {"differ": self.wrong, "did not come": self.missing, "came after the last": self.extra}
        return [f"m_axis: {count} beats {text}, {self.beats} came" for text, count in what.items() if count]


def build_loop(verilog_text, top, cache=None):
    """The executable for module ``top`` of ``verilog_text``, made once and then taken from the cache.

    It is translated and compiled as :func:`tiled_se.cosim.build.build_simulation` does it for cocotb, but nothing in it
    is public. Raises BuildError where a tool is missing or has failed.
    """
    cache = Cache() if cache is None else cache
    ports = module_ports(verilog_text, top)
    defines = {"IN_BYTES": ports["s_axis_tdata"] // 8, "OUT_BYTES": ports["m_axis_tdata"] // 8,
               "LOADABLE": int("w_axis_tvalid" in ports)}
    sources = [path.read_text() for path in (_MAIN, Path(__file__), Path(verilate.__file__))]
    key = digest(verilog_text, top, defines, sources, verilate.runtime_identity())
    runtime = verilate.runtime(cache)

    def make(folder):
        (folder / "design.v").write_text(verilog_text)
        fast, slow = verilate.translate(folder, ["--top-module", top, "design.v"])
        units = {"fast": (verilate.FAST, [*fast, _MAIN]), "slow": (verilate.SLOW, slow)}
        flags = [*verilate.cxx_flags(False), *(f"-D{name}={value}" for name, value in defines.items())]
        verilate.compile_units(folder, units, flags, runtime)
        verilate.link(folder, units, runtime, _RUNTIME)

    return cache.get(f"{key}-loop", make)[0] / verilate.EXECUTABLE


def write_stimulus(path, job):
    """Write the job's parameters and frames, all of one height and with their expected output, as the loop reads them.

    Steps other than Load and Send are the loop's own: four cycles of reset, four of rest.
    """
    words = [step.words for step in job.steps if isinstance(step, Load)]
    frames = [frame for step in job.steps if isinstance(step, Send) for frame in step.frames]
    sides = [np.stack([getattr(frame, name) for frame in frames]) for name in ("beats", "expected")]
    words = np.concatenate([np.zeros(0, "<u4"), *words]).astype("<u4")
    head = np.array([len(words), len(frames), len(frames[0].beats)], "<u8")
    Path(path).write_bytes(b"".join(part.tobytes() for part in (head, words, *sides)))


def run_loop(executable, stimulus, job, frames):
    """Send ``frames`` frames, those of the file ``stimulus`` in turn, with the job's pauses: a :class:`LoopResult`.

    Wrong output is a result. Raises SimulationError where the loop itself fails.
    """
    if job.stall_in != job.stall_out:
        raise ValueError(f"stall_out={job.stall_out}: must be stall_in={job.stall_in}")
    command = [executable, stimulus, frames, job.stall_in, job.seed, job.hang_cycles, "+verilator+rand+reset+2",
               f"+verilator+seed+{job.seed % _SEEDS + 1}"]
    try:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise SimulationError(f"{executable}: {reason(error)}; it has to be built again") from None
    # Status 1 is a wrong output, which the figures tell.
    if done.returncode not in (0, 1) or not done.stdout:
        raise SimulationError(f"the C++ loop failed with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return LoopResult(**json.loads(done.stdout.splitlines()[-1]))
