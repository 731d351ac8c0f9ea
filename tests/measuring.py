# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks' processes do in tests: measure, or go wrong in some way."""

import importlib.util
import os
import sys
import types

from tiled_se.gen.bench import measure
from tiled_se.hdl.timing import Timing

SCHEDULE = "tiled_se.hdl.schedule"


def predict(config, heights):
    """Stands in for the schedule's own: right for blocks at full rate whose tiles are all long enough."""
    row = config.width * config.groups
    first = min(config.k, heights[0]) * row - 1 + Timing(config).output_latency
    return types.SimpleNamespace(total_cycles=first + row * sum(heights), first_output_latency=first,
                                 steady_throughput=1.0, peak_words=first)


def have_schedule():
    """Put `predict` in the schedule's place, where that isn't there yet."""
    if SCHEDULE not in sys.modules and importlib.util.find_spec(SCHEDULE) is None:
        sys.modules[SCHEDULE] = types.SimpleNamespace(predict=predict)


def work(task, folder):
    """`measure.work`."""
    have_schedule()
    return measure.work(task, folder)


def off_by_one(task, folder):
    """`measure.work` with an analytic count that is wrong."""
    have_schedule()
    right = measure._analytic

    def wrong(job):
        figures = right(job)
        return figures | {"total_cycles": figures["total_cycles"] + 1}

    measure._analytic = wrong
    try:
        return measure.work(task, folder)
    finally:
        measure._analytic = right


def by_name(task, folder):
    """Does what the task says, a text, and leaves a file of that name."""
    if task.startswith("die"):
        os._exit(1)
    if task.startswith("interrupt"):
        raise KeyboardInterrupt
    with open(os.path.join(folder, task), "x"):
        return "no good" if task.startswith("fail") else None
