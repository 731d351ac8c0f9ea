# SPDX-License-Identifier: Apache-2.0
"""A task's measurement: runs in a process of its own, returns figures, keeps them in the store.

Two keys lead to a result. One is hashed from the task and all sources: it is found without generating anything. The
other one, of simulations and syntheses, is hashed from the Verilog text: those are not repeated for a change of the
sources that leaves the hardware as it is.
"""

import dataclasses
import tempfile

from ..batch.store import Store, digest, hardware_sources, measuring_sources
from ..gen.prepare import prepare
from ..gen.report import config_fields
from ..gen.verilog import generate
from ..hdl.timing import Timing
from .tasks import Kind

__all__ = ["Wrong", "finished", "measured", "work"]

# Points of an occupancy curve; each is the largest number in its share of the cycles.
CURVE_POINTS = 240


class Wrong(Exception):
    """A block was measured to be wrong."""


def work(task, folder):
    """Measure `task`, keep the result in `folder`: a string that says what failed, or None."""
    try:
        measured(task, Store(folder))
    except KeyboardInterrupt:
        raise
    except Exception as error:
        # Whatever it was, the other tasks go on; the first line is for the list of failures.
        return f"{type(error).__name__}: {str(error).strip() or 'no message'}".splitlines()[0]
    return None


def finished(task, store):
    """The result of `task` if it needs no more measuring, else None."""
    return store.load(_key(task))


def measured(task, store):
    """The result of `task`, a dict: from the store, or measured and kept there."""
    result = finished(task, store)
    if result is None:
        result = MEASUREMENTS[task.kind](task, store)
        store.save(_key(task), result)
    return result


def _key(task):
    return f"{task.kind.value}-{digest(task.settings, hardware_sources(), measuring_sources())}"


def _by_verilog(task, design, store, measure):
    """What `measure` returns, or what it did for the same Verilog."""
    key = f"rtl-{task.kind.value}-{digest(task.settings, design.verilog, measuring_sources())}"
    result = store.load(key)
    if result is None:
        result = measure()
        store.save(key, result)
    return result


def _memory(task, store):
    job = prepare(task.options)
    return _static(job, generate(job.config, job.baked))


def _static(job, design):
    """What netlist and parameters tell: all of it in bits, beats and cycles."""
    config, timing = job.config, Timing(job.config)
    return {"config": config_fields(config), "sram": design.sram, "tile_beats": config.tile_words,
            "excite_cycles": timing.excite_cycles, "full_rate": timing.full_rate,
            "first_output_latency": config.tile_words - 1 + timing.output_latency}


def _cycles(task, store):
    job = prepare(task.options)
    design = generate(job.config, job.baked)
    simulated = _by_verilog(task, design, store, lambda: _simulate(task, job, design))
    height, k = job.shape.height, job.config.k
    rows = min(k, height % k or k, height)
    return {**_static(job, design), "simulated": simulated, "analytic": _analytic(job), "height": height,
            "frames": job.shape.frames, "shortest_tile_beats": rows * job.config.width * job.config.groups}


def _simulate(task, job, design):
    # One thread: the other processes have the other cores.
    import torch

    from ..gen.simulate import run

    torch.set_num_threads(1)
    outcome = run(job, design, occupancy=task.occupancy)
    if not outcome.bit_exact:
        raise Wrong(f"not bit-exact: {outcome.first_failure}")
    result = outcome.result
    # The high-water mark is the bench's own count where the block has no port for it.
    peak = result.status.get("status_peak_words", result.peak_in_flight)
    figures = {"total_cycles": result.total_cycles, "first_output_latency": result.first_output_latency,
               "steady_throughput": result.steady_throughput, "input_stalls": result.in_stall_cycles,
               "peak_elements": peak * job.config.lanes, "elements": int(outcome.y.size)}
    return figures | ({"occupancy": _curve(result.occupancy, job.config.lanes)} if task.occupancy else {})


def _curve(occupancy, lanes):
    """The cycles in which the block held anything as a curve: its step in cycles, and the most elements in each step.

    It has CURVE_POINTS points at most.
    """
    held = occupancy.nonzero()[0]
    occupancy = occupancy[held[0]:held[-1] + 1]
    step = -(-len(occupancy) // CURVE_POINTS)
    return {"step": step, "elements": [int(occupancy[at:at + step].max()) * lanes
                                       for at in range(0, len(occupancy), step)]}


def _analytic(job):
    """The cycle counts that follow from the parameters, for the same frames."""
    from ..hdl.schedule import predict

    found = predict(job.config, [job.shape.height] * job.shape.frames)
    return {"total_cycles": found.total_cycles, "first_output_latency": found.first_output_latency,
            "steady_throughput": found.steady_throughput, "peak_elements": found.peak_words * job.config.lanes}


def _synth(task, store):
    job = prepare(task.options)
    design = generate(job.config, job.baked)
    return {**_static(job, design), "synth": _by_verilog(task, design, store, lambda: _synthesise(job, task.target))}


def _synthesise(job, target):
    """The contents of synth.json for `job` on `target`."""
    from ..gen.fpga.report import report
    from ..gen.fpga.synth import run
    from ..gen.fpga.targets import Target

    job = dataclasses.replace(job, options=dataclasses.replace(job.options, target=Target(target)))
    with tempfile.TemporaryDirectory(prefix="tiled-se-") as folder:
        return report(run(job, folder))


MEASUREMENTS = {Kind.MEMORY: _memory, Kind.CYCLES: _cycles, Kind.SYNTH: _synth}
