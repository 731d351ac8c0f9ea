# SPDX-License-Identifier: Apache-2.0
"""Measurements of blocks, made in processes of their own and kept in a folder.

A result is kept under two keys. One is a hash of the task and of all sources: it is looked up without generating
anything. The other one, of simulations and syntheses, is a hash of the Verilog text: they are not repeated after a
change of the sources that leaves the hardware as it is.
"""

import dataclasses
import functools
import importlib.util

from ..batch import Campaign, Local, Store, TaskFailed, digest, sources
from ..batch.store import BLOCK, MEASURING
from ..cosim.scratch import scratch
from ..gen.block_spec import prepare
from ..gen.fpga.tools import TOOLS
from ..gen.report import tool_versions
from ..gen.verilog import generate
from ..gen.wording import config_fields
from ..hdl.schedule import predict
from ..hdl.timing import Timing
from .tasks import Kind

__all__ = ["identity", "measure", "measure_task"]

OWN_FILES = ("evaluate/measure.py",)
# Points of an occupancy curve; each is the largest number in its share of the cycles.
CURVE_POINTS = 240


def measure(tasks, what, folder, jobs=None, outputs=()):
    """Measure those of `tasks` that `folder` has no result of, and keep the results there, as :class:`.Campaign` does.

    `what` names the tasks in what is printed; `jobs` are processes at a time, one for each core by default; `outputs`
    are files of an earlier run, removed when the first task starts. Returns two dicts: task to figures, task to the
    reason why it failed.
    """
    campaign = Campaign(tasks, what, folder, lambda task: task.settings, identity)
    campaign.run(lambda task: functools.partial(measure_task, task, folder), Local(jobs), outputs=outputs)
    return campaign.results, campaign.failures


def measure_task(task, folder):
    """The figures of `task`, a dict; simulation or synthesis are taken from `folder` if it has them."""
    spec = _prepared(task)
    design = generate(spec.config, spec.baked)
    figures, store = _static(spec, design), Store(folder)
    if task.kind is Kind.CYCLES:
        figures |= _cycles(task, spec, design, store)
    elif task.kind is Kind.SYNTH:
        figures["synth"] = _by_verilog(task, design, store, lambda: _synthesise(spec))
    return figures


def _prepared(task):
    """The block of `task`, with the rows of a tile that it has to have."""
    def high(k):
        return prepare(dataclasses.replace(task.options, k=k))

    def fast(spec):
        return Timing(spec.config).full_rate

    spec, most = high(task.options.k), task.most_k
    # Where the highest tile's gates come too late, so do those of all others.
    if most is None or fast(spec) or not fast(high(most)):
        return spec
    return next(spec for spec in map(high, range(task.options.k + 1, most + 1)) if fast(spec))


@functools.cache
def _tools():
    synthesis = [tool.package for tool in TOOLS.values() if importlib.util.find_spec(tool.module)]
    return tool_versions() | tool_versions(synthesis)


def identity():
    """All that decides a result beside its task: versions of the tools, a hash of the code."""
    return _tools() | {"sources": sources(*BLOCK, *MEASURING, *OWN_FILES)}


def _by_verilog(task, design, store, measurement):
    """What `measurement` returns, or what it returned for the same Verilog."""
    key = f"rtl-{digest(task.settings, design.verilog, _tools(), sources(*MEASURING, *OWN_FILES))}"
    result = store.load(key)
    if result is None:
        result = measurement()
        store.save(key, result)
    return result


def _static(spec, design):
    """Figures that netlist and parameters give, in bits, beats and cycles."""
    config, timing = spec.config, Timing(spec.config)
    return {"config": config_fields(config), "sram": design.sram, "tile_beats": config.tile_words,
            "excite_cycles": timing.excite_cycles, "full_rate": timing.full_rate,
            "first_output_latency": timing.first_output_latency}


def _cycles(task, spec, design, store):
    simulated = _by_verilog(task, design, store, lambda: _simulate(task, spec, design))
    return {"simulated": simulated, "analytic": _analytic(spec), "height": spec.shape.height,
            "frames": spec.shape.frames, "shortest_tile_beats": _shortest_tile(spec)}


def _shortest_tile(spec):
    """Beats of the shortest tile of a frame of `spec`."""
    config = spec.config
    return min(stop - first for first, stop in config.strips(spec.lines)) * config.last_columns * config.groups


def _simulate(task, spec, design):
    import torch

    from ..gen.simulation import run

    # The other processes have the other cores.
    torch.set_num_threads(1)
    outcome = run(spec, design, occupancy=task.occupancy)
    if not outcome.passed:
        raise TaskFailed(f"mismatch: {outcome.first_failure}")
    result = outcome.result
    # The high-water mark is the bench's own count where the block has no port for it.
    peak = result.status.get("status_peak_words", result.peak_in_flight)
    figures = {"total_cycles": result.total_cycles, "first_output_latency": result.first_output_latency,
               "steady_throughput": result.steady_throughput, "input_stalls": result.in_stall_cycles,
               "peak_elements": peak * spec.config.lanes, "elements": int(outcome.y.size)}
    return figures | ({"occupancy": _curve(result.occupancy, spec.config.lanes)} if task.occupancy else {})


def _curve(occupancy, lanes):
    """The cycles in which the block held anything as a curve: its step in cycles, and the most elements in each step.

    It has CURVE_POINTS points at most.
    """
    held = occupancy.nonzero()[0]
    occupancy = occupancy[held[0]:held[-1] + 1]
    step = -(-len(occupancy) // CURVE_POINTS)
    return {"step": step, "elements": [int(occupancy[at:at + step].max()) * lanes
                                       for at in range(0, len(occupancy), step)]}


def _analytic(spec):
    """The cycle counts that follow from the parameters, for the same frames."""
    prediction = predict(spec.config, [spec.shape.height] * spec.shape.frames)
    return dataclasses.asdict(prediction) | {"peak_elements": prediction.peak_words * spec.config.lanes}


def _synthesise(spec):
    """The contents of synth.json."""
    from ..gen.fpga.report import report
    from ..gen.fpga.synth import run

    with scratch() as folder:
        return report(run(spec, folder))
