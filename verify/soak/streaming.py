# SPDX-License-Identifier: Apache-2.0
"""One configuration of a soak test, in a worker process: draw it, build it, stream through it, judge."""

import collections
import pathlib
import shutil

import numpy as np
import torch

from ...batch.store import BLOCK, MEASURING, sources
from ...cosim.build import build_simulation
from ...cosim.job import Job
from ...cosim.result import SimulationError
from ...cosim.run import simulate
from ...gen.report import tool_versions
from ...gen.verilog import generate
from ...gen.wording import config_fields
from .blocks import draw
from .episodes import Episodes
from .frames import Pool
from .judge import Verdict, judge
from .script import Script

__all__ = ["identity", "stream_through"]

# The run that nothing stalls, and those with stalls.
RUNS = 5
STALLS = (0.0, 0.05, 0.3, 0.5, 0.7, 0.9, 0.97)
# Streams of random numbers: see blocks.py.
POOL_STREAM, RUN_STREAM = 2, 3
MOST_FAULTS = 10
TIMEOUT_SECONDS = 900
OWN_FILES = ("verify/configurations.py", *(f"verify/soak/{name}.py" for name in (
    "blocks", "episodes", "judge", "frames", "script", "streaming")))


def identity():
    """All that decides a result beside seed, number and beats: versions of the tools, a hash of the code."""
    return tool_versions() | {"sources": sources(*BLOCK, *MEASURING, *OWN_FILES)}


def stream_through(seed, number, beats, keep=None):
    """Stream at least `beats` beats through block `number` of `seed`.

    Folder `keep` gets the Verilog and the simulations' files. The result is JSON-serialisable, and always the same for
    the same arguments: ``number``, ``block`` (a text), ``config``, ``runs`` (of each its stalls, seed, beats, cycles),
    ``counts`` of events, and the sums of ``beats``, ``cycles``, ``lost`` and ``wrong``; ``redraws`` (see blocks.py);
    ``faults`` has the first ten texts.
    """
    torch.set_num_threads(1)
    block = draw(seed, number)
    design = generate(block.config, None if block.config.loadable else block.sets[0][1])
    if keep:
        pathlib.Path(keep).mkdir(parents=True, exist_ok=True)
        pathlib.Path(keep, f"{design.top}.v").write_text(design.verilog)
        for run in range(RUNS):
            # Of an earlier run, which this one would keep if its build failed.
            shutil.rmtree(pathlib.Path(keep, f"run{run}"), ignore_errors=True)
    built = build_simulation(design.verilog, design.top)
    pool = Pool(block, np.random.default_rng([seed, number, POOL_STREAM]))
    runs, verdicts, counts = [], [], collections.Counter()
    for run in range(RUNS):
        rng = np.random.default_rng([seed, number, RUN_STREAM, run])
        stalls = _stalls(rng) if run else (0.0, 0.0)
        script = _script(block, pool, rng, stalls, -(-beats // RUNS))
        job = Job.of(block.config, script.steps, stall_in=stalls[0], stall_out=stalls[1],
                     seed=int(rng.integers(1, 1 << 31)))
        counts.update(script.counts)
        try:
            result = simulate(built, job, folder=keep and str(pathlib.Path(keep, f"run{run}")), timeout=TIMEOUT_SECONDS)
            verdict = judge(script, result, any(stalls))
        except SimulationError as error:
            verdict = Verdict(0, 0, 0, 0, [str(error).splitlines()[0]])
        verdicts.append(verdict)
        runs.append({"stall_in": stalls[0], "stall_out": stalls[1], "seed": job.seed, "beats": verdict.beats,
                     "cycles": verdict.cycles})
    faults = [f"run {run}: {fault}" for run, verdict in enumerate(verdicts) for fault in verdict.faults]
    return {"number": number, "block": str(block), "config": config_fields(block.config), "runs": runs,
            **{name: sum(getattr(verdict, name) for verdict in verdicts)
               for name in ("beats", "cycles", "lost", "wrong")},
            "redraws": block.redraws, "faults": faults[:MOST_FAULTS], "counts": dict(sorted(counts.items()))}


def _script(block, pool, rng, stalls, beats):
    """A Script of at least `beats` beats. Without stalls, half of them are in sections whose cycles are known."""
    script = Script(block, pool)
    episodes = Episodes(script, rng, 1 / (1 - max(stalls)))
    if not any(stalls):
        for share in (8, 4, 8):
            episodes.timed(beats // share)
        beats //= 2
    episodes.random(beats)
    return script


def _stalls(rng):
    """Probabilities that the source and the sink pause, at least one of them not 0."""
    while True:
        pair = tuple(float(rng.choice(STALLS)) if rng.random() < 0.6 else round(rng.uniform(0, 0.97), 3)
                     for _ in range(2))
        if any(pair):
            return pair
