# SPDX-License-Identifier: Apache-2.0
"""How long each test bench runs, and the rounds in which they take turns."""

import math

__all__ = ["MOST_FRAMES", "Wrong", "measure"]

# A run this much shorter than wanted is too coarse to tell how many frames fill the time.
_COARSE, _MOST_GROWTH = 0.2, 20
MOST_FRAMES = 1 << 16


class Wrong(Exception):
    """A test bench has seen a wrong output, so its figures are worthless; the text names both."""


def measure(benches, seconds, repeats, say):
    """Run every test bench `repeats` times, in turn, each run long enough to take about `seconds` CPU seconds.

    `benches` are functions from a number of frames to a :class:`~.benches.Run`, by name; `say` is called with a line of
    text: what comes next. Returns a dict of Runs by name for each round, in a list; raises Wrong.
    """
    say("finding out how many frames each bench takes for its time")
    frames = {name: _enough(name, bench, seconds) for name, bench in benches.items()}
    rounds = []
    for number in range(1, repeats + 1):
        say(f"round {number} of {repeats}")
        rounds.append({name: _right(name, bench(frames[name])) for name, bench in benches.items()})
    return rounds


def _enough(name, bench, seconds):
    """The number of frames that takes this test bench about `seconds`, at least one."""
    frames = 1
    while True:
        run = _right(name, bench(frames))
        spent = max(run.cpu_seconds, seconds / (_MOST_GROWTH * MOST_FRAMES))
        wanted = max(1, min(math.ceil(frames * min(seconds / spent, _MOST_GROWTH)), MOST_FRAMES))
        if run.cpu_seconds >= _COARSE * seconds or wanted <= frames:
            return wanted
        frames = wanted


def _right(name, run):
    if run.failures:
        raise Wrong(f"{name}: {run.failures[0]}")
    if run.cpu_seconds <= 0:
        raise Wrong(f"{name}: {run.frames} frames took no time that this system's clock shows; more SECONDS are needed")
    return run
