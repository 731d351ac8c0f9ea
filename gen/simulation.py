# SPDX-License-Identifier: Apache-2.0
"""`tiled-se sim`: generate, build, run, compare, report."""

import os
import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..hdl.config import ConfigError, Tiling
from ..hdl.parameters import stream_words
from ..hdl.timing import Timing
from .block_spec import BlockSpec, prepare
from .files import discard, json_bytes, output_folder, write_all
from .npz import npz_bytes
from .options import BlockOptions
from .report import Outcome, arrays, clip_warning, report, table
from .text_table import say, warn
from .verilog import Design, generate

if TYPE_CHECKING:
    from ..cosim.job import Job
    from ..cosim.run import SimResult

__all__ = ["OUTPUT", "REPORT", "RESULTS", "bench_job", "check_simulator", "run", "simulate"]

REPORT, OUTPUT, WAVES, SIGNALS = "report.json", "output.npz", "waves.vcd", "waves.gtkw"
RESULTS = (REPORT, OUTPUT, WAVES, SIGNALS)
# Cycles from reset, or from parameters, to frames: counts of cycles begin with the first beat, which then is taken.
SETTLE = 4


def simulate(options: BlockOptions) -> bool:
    """Simulate a block and print the result; write ``report.json``, ``output.npz`` and perhaps waves into its folder.

    Returns whether the block is bit-exact and within its error bound. Raises ConfigError where an option or a file is
    wrong, the simulator is missing, or the folder can't be written, and BuildError or SimulationError where a tool
    failed.
    """
    folder = output_folder(options, RESULTS)
    spec = prepare(options)
    check_simulator(options.sim)
    if spec.registers:
        raise ConfigError("registers", options.registers, "must be none for a simulation, which drives the block's own "
                          "ports; the block behind the registers is the same")
    spec.shape.check_frames()
    discard(folder, RESULTS)
    warn(spec.warnings)
    say("generating the block")
    design = generate(spec.config, spec.baked, options.name, ram_style=options.ram_style,
                      dsp_style=options.dsp_style)
    # How far the simulation is, on a terminal only.
    progress = (lambda text: print(f"\r{text}\033[K", end="\r", flush=True)) if sys.stdout.isatty() else None
    outcome = run(spec, design, folder, say=say, progress=progress)
    summary = report(outcome)
    clipped = clip_warning(spec, summary)
    summary["warnings"] += clipped
    write_all(folder, {OUTPUT: npz_bytes(arrays(outcome)), REPORT: json_bytes(summary)})
    warn(clipped)
    print(table(outcome, summary))
    files = [REPORT, OUTPUT, *((WAVES, SIGNALS) if options.waves else ())]
    print(f"wrote       {', '.join(os.path.join(folder, name) for name in files)}")
    if not outcome.passed:
        print(f"tiled-se: mismatch: {outcome.first_failure}", file=sys.stderr)
    return outcome.passed


def check_simulator(name: str) -> None:
    """Raise ConfigError ("sim") unless the simulator `name` is installed."""
    if name == "icarus" and not shutil.which("iverilog"):
        raise ConfigError("sim", name, "needs iverilog on PATH, which is not there; verilator needs nothing")


def run(spec: BlockSpec, design: Design, folder: str | None = None, *, occupancy: bool = False,
        say: Callable[[str], None] = lambda text: None, progress: Callable[[str], None] | None = None) -> Outcome:
    """Simulate `design`, which was generated for `spec`.

    `folder` is where waves go, if the options ask for them. With `occupancy` the result has the beats in the block,
    cycle by cycle. `say` and `progress` are called with a line of text: the next step, and how far the simulation is.
    """
    # Torch takes two seconds to load, which commands that don't simulate should not take.
    from ..cosim.build import build_simulation
    from ..cosim.run import simulate as run_job

    options = spec.options
    spec.shape.check_frames()
    say(f"building the simulation with {options.sim}")
    built = build_simulation(design.verilog, design.top, design.taps, options.waves, simulator=options.sim)
    x = spec.frames()
    golden, stages = _golden(spec, spec.streamed(x))
    count, height, width, channels = x.shape
    say(f"running {count} {'frame' if count == 1 else 'frames'} of {height} x {width} x {channels}")
    wave_file = None
    if options.waves and folder is not None:
        write_all(folder, {})
        wave_file = os.path.join(folder, WAVES)
    job = _script(spec, spec.streamed(x), golden, occupancy)
    result = run_job(built, job, golden_stages=stages, wave_file=wave_file, progress=progress)
    y, mismatches = _collect(result, golden, job.elements)
    return Outcome(spec, design, built, result, x, spec.streamed(y), spec.streamed(golden), mismatches)


def bench_job(spec: BlockSpec) -> "Job":
    """The test bench's job: reset, load if loadable, all frames back to back, with the outputs to expect."""
    spec.shape.check_frames()
    x = spec.streamed(spec.frames())
    return _script(spec, x, _golden(spec, x)[0], occupancy=False)


def _script(spec: BlockSpec, x: np.ndarray, golden: np.ndarray, occupancy: bool) -> "Job":
    """The job for frames and outputs in the order of the stream."""
    from ..cosim.job import Frame, Idle, Job, Load, Reset, Send, Step

    config, options = spec.config, spec.options
    frames = tuple(Frame.of(a, b, lanes=config.lanes, data=config.data, outputs=config.outputs)
                   for a, b in zip(x, golden, strict=True))
    # Nothing may move for as long as excite takes.
    patience = 100_000 + 10 * Timing(config).tile_latency
    steps: list[Step] = [Reset(), Idle(SETTLE), Send(frames)]
    if config.loadable:
        steps.insert(1, Load(np.array(stream_words(config, spec.quantised.parameters), np.uint32)))
    return Job.of(config, steps, stall_in=options.stall, stall_out=options.stall, seed=options.seed,
                        hang_cycles=patience, occupancy=occupancy)


def _golden(spec: BlockSpec, x: np.ndarray) -> tuple[np.ndarray, Callable[[], dict[str, Any]]]:
    """The model's outputs for `x`, and a function that computes its stages, to be called where outputs differ.

    Frames and outputs are in the order of the stream.
    """
    from ..golden.integer import IntegerModel

    model = IntegerModel(spec.config, spec.quantised.parameters)
    golden = np.stack([model.run(frame[None].astype(np.int64)).y.numpy()[0] for frame in x])
    golden = golden.astype(spec.config.outputs.numpy)

    def stages() -> dict[str, Any]:
        runs = [model.run(frame[None].astype(np.int64)) for frame in x]
        results = {name: [getattr(run, name).numpy()[0] for run in runs]
                 for name in ("sums", "means", "hidden", "logits", "gates")}
        pieces, tiles = zip(*(_by_tile(spec.config, frame) for frame in golden), strict=True)
        return {**results, "outputs": list(pieces), "tiles": list(tiles)}

    return golden, stages


def _by_tile(tiling: Tiling, frame: np.ndarray) -> tuple[list[np.ndarray], list[int]]:
    """A frame (lines, line, C) in pieces that lie in one tile each, in the order of the stream, and those tiles."""
    lines, line, _ = frame.shape
    across, spans = tiling.across(line), tiling.spans(line)
    pieces: list[np.ndarray] = []
    tiles: list[int] = []
    for band, (first, stop) in enumerate(tiling.strips(lines)):
        # Tiles side by side take turns, row by row.
        for part in [frame[first:stop]] if across == 1 else np.split(frame[first:stop], stop - first):
            pieces += [part[:, left:right] for left, right in spans]
            tiles += range(band * across, (band + 1) * across)
    return pieces, tiles


def _collect(result: "SimResult", golden: np.ndarray, elements: Callable[[np.ndarray], np.ndarray],
             ) -> tuple[np.ndarray, int]:
    """The outputs in the golden output's shape and type, and how many elements are wrong or missing.

    `elements` makes integers of beats.
    """
    y, mismatches = np.zeros(golden.shape, golden.dtype), golden.size
    for number, beats in enumerate(result.outputs):
        flat = elements(beats).reshape(-1)[:golden[number].size]
        y[number].reshape(-1)[:flat.size] = flat
        mismatches -= int((flat == golden[number].reshape(-1)[:flat.size]).sum())
    return y, max(mismatches, result.mismatches)
