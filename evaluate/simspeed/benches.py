# SPDX-License-Identifier: Apache-2.0
"""The four test benches. Each gets the same Verilog, parameters and frames, and compares every output."""

import contextlib
import dataclasses
import importlib.util
import itertools
from pathlib import Path

from ...cosim.build import build_simulation
from ...cosim.job import Send
from ...cosim.run import simulate
from ...cosim.scratch import scratch
from ...gen.simulation import bench_job
from .cpp_loop import build_loop, run_loop, write_stimulus

__all__ = ["AXI_PACKAGE", "BENCHES", "Run", "made", "unavailable"]

AXI_PACKAGE = "cocotbext-axi"
# The cocotb test with that package's source and sink.
AXI_TEST = f"{__package__}.cocotbext_axi"
# Name to what it is, in the order in which they are shown.
BENCHES = {
    "fast": "this project's bench: cocotb arms and judges, compiled code moves the beats",
    "per_beat": "this project's bench with its drivers in Python, which act every cycle",
    "cocotbext_axi": "cocotbext-axi's AxiStreamSource and AxiStreamSink",
    "cpp": "a loop in C++ that calls the Verilated model's eval(), without cocotb and VPI",
}


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of a test bench: frames sent, cycles simulated, CPU seconds of the run itself, what was wrong."""

    frames: int
    cycles: int
    cpu_seconds: float
    failures: tuple

    @property
    def rate(self):
        """Cycles per CPU second."""
        return self.cycles / self.cpu_seconds


def unavailable():
    """The test benches that can't run here, a dict of name to the reason."""
    try:
        found = importlib.util.find_spec("cocotbext.axi")
    except ModuleNotFoundError:
        found = None
    return {} if found else {"cocotbext_axi": f"{AXI_PACKAGE} is not installed: pip install 'tiled-se[simspeed]'"}


@contextlib.contextmanager
def made(spec, design, names):
    """Build what the test benches `names` need; yields a dict of name to a function from a number of frames to a Run.

    Frames are the spec's own, in turn. Raises BuildError; the functions raise SimulationError.
    """
    base = bench_job(spec)
    # The test benches in Python get no public signals, which help to find a fault and cost speed.
    compiled = build_simulation(design.verilog, design.top, design.taps)
    python = build_simulation(design.verilog, design.top, per_beat=True)
    loop = build_loop(design.verilog, design.top)

    def bench(function):
        def run(frames):
            result = function(frames)
            return Run(frames, result.cycles, result.cpu_seconds, tuple(result.failures))
        return run

    with scratch() as folder:
        stimulus = Path(folder) / "stimulus.bin"
        write_stimulus(stimulus, base)

        functions = {"fast": lambda frames: simulate(compiled, _sending(base, frames)),
                     "per_beat": lambda frames: simulate(python, _sending(base, frames)),
                     "cocotbext_axi": lambda frames: simulate(python, _sending(base, frames), module=AXI_TEST),
                     "cpp": lambda frames: run_loop(loop, stimulus, base, frames)}
        yield {name: bench(functions[name]) for name in BENCHES if name in names}


def _sending(base, count):
    """`base` with `count` frames, its own in turn."""
    frames = tuple(itertools.islice(itertools.cycle(base.frames), count))
    return dataclasses.replace(base, steps=(*base.steps[:-1], Send(frames)))
