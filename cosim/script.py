# SPDX-License-Identifier: Apache-2.0
"""A job's steps as one generator: each ``yield`` lets one cycle pass.

Between two cycles a step sees the transfers of the last edge, and the beats that it queues are driven in the next
cycle. So streams continue without a gap from one step to the next.
"""

import math

from . import texts

__all__ = ["Stopped", "script"]


class Stopped(Exception):
    """The run can't continue; the text says why."""


def script(bench):
    """Run all steps of ``bench.job``, wait for the rest of the output, and watch for surplus beats."""
    for step in bench.job.steps:
        yield from _STEPS[step.op](bench, step)
    yield from _drain(bench, None)
    for _ in range(bench.job.drain_cycles):
        bench.quiet = 0
        yield


def _reset(bench, step):
    # Before the first cycle no section has begun.
    if bench.cycle:
        bench.close(complete=False)
    for source in bench.sources:
        source.clear()
    bench.in_reset = True
    bench.dut.rst.value = 1
    for _ in range(step.cycles):
        yield
    bench.dut.rst.value = 0
    bench.in_reset = False
    bench.quiet = 0


def _reset_after(bench, step):
    while bench.input.count < step.beats:
        yield
    yield from _reset(bench, step)


def _send(bench, step):
    bench.scoreboard.expect(step.frames)
    size, beats, lasts = bench.job.in_bytes, [], []
    for frame in step.frames:
        data = frame.beats.tobytes()
        beats += [int.from_bytes(data[i:i + size], "little") for i in range(0, len(data), size)]
        lasts += [0] * (len(frame.beats) - 1) + [1]
    bench.source.feed(beats, lasts)
    yield from _sent(bench.source, step)


def _load(bench, step):
    if bench.loader is None:
        raise Stopped(texts.NO_LOADER)
    words = [int(word) for word in step.words]
    bench.loader.feed(words, [int(number == step.tlast) for number in range(len(words))])
    yield from _sent(bench.loader, step)


def _sent(source, step):
    while step.wait and _unsent(source):
        yield


def _unsent(source):
    # A beat that moved at the last edge is pending until the source drives again.
    return source.pending > source.monitor.moved


def _drain(bench, _step):
    while any(map(_unsent, bench.sources)) or bench.output.count < bench.scoreboard.beats:
        yield


def _hold(bench, step):
    bench.source.most = math.inf if step.beats is None else step.beats
    yield from ()


def _idle(bench, step):
    for _ in range(step.cycles):
        bench.quiet = 0
        yield


def _snapshot(bench, step):
    bench.snapshots[step.name] = {
        "cycle": bench.cycle, "accepted": bench.input.count, "delivered": bench.output.count,
        "loaded": bench.parameters.count if bench.parameters else 0, **bench.status}
    yield from ()


_STEPS = {"drain": _drain, "hold": _hold, "idle": _idle, "load": _load, "reset": _reset, "reset_after": _reset_after,
          "send": _send, "snapshot": _snapshot}
