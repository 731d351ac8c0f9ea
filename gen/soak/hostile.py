# SPDX-License-Identifier: Apache-2.0
"""Random command lines and damaged files against `tiled-se`, by the thousand.

None may give a traceback, a hang, a half-written file, a file outside of its own folder, or a build that differs from
what was asked. Line `number` of `seed` is the same wherever and whenever it is run.
"""

import collections
import concurrent.futures
import dataclasses
import gc
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading

from .hostile_checks import faults, snapshot
from .hostile_lines import line
from .hostile_run import Place, run, shell_line
from .hostile_twins import differs_from_twin

__all__ = ["Failure", "HostileResult", "hostile", "repeat"]

# What a line may take; a simulation or a synthesis is compiled first.
SECONDS, LONG_SECONDS = 90, 300
LONG = ("sim", "bench", "bench-sim", "sweep", "report", "build", "synth", "demo")
# What a worker process does: a line's number a line, answered by a line of JSON.
SERVE = "import sys; sys.path[:] = {path!r}; import {module} as m; m._serve({folder!r}, {seed!r})"
LIBRARIES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclasses.dataclass(frozen=True)
class Failure:
    """A line that did what it must not: its number, its arguments, what went wrong, the folder that keeps it all."""

    number: int
    arguments: tuple
    faults: tuple
    folder: str

    def __str__(self):
        return f"line {self.number}: {'; '.join(self.faults)}; {self.folder}"


@dataclasses.dataclass(frozen=True)
class HostileResult:
    """What came of a run.

    Attributes
    ----------
    count : int
    counts : dict of (str, str, str) to int
        Lines by command (empty for none), verdict (``right``, ``wrong``, ``either``) and outcome, which is the exit
        status as text, or ``hang``.
    failures : tuple of Failure
        In the order of their numbers.
    longest : float
        Seconds that the slowest line took.
    most_memory : int
        Bytes that one line took at most.
    """

    count: int
    counts: dict
    failures: tuple
    longest: float
    most_memory: int


def hostile(folder, count, seed=1, jobs=1, progress=lambda done, failures: None):
    """Run lines 0 to `count` - 1 of `seed`, `jobs` at a time: the :class:`HostileResult`.

    Parameters
    ----------
    folder : path
        Is made if it isn't there. What fails is kept in ``failures/NUMBER``, with its files and ``command.sh``.
    progress : callable
        ``progress(done, failures)``, both numbers, after each line.
    """
    folder = pathlib.Path(folder).absolute()
    shutil.rmtree(folder / "failures", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    found, lock, own = {}, threading.Lock(), threading.local()
    workers = []

    def attempt(number):
        if not hasattr(own, "worker"):
            own.worker = _Worker(folder, seed)
            workers.append(own.worker)
        result = own.worker.run(number)
        with lock:
            found[number] = result
            progress(len(found), sum(bool(result["faults"]) for result in found.values()))

    pool = concurrent.futures.ThreadPoolExecutor(jobs)
    try:
        for future in [pool.submit(attempt, number) for number in range(count)]:
            future.result()
    finally:
        pool.shutdown(cancel_futures=True)
        for worker in workers:
            worker.close()
        _remove(folder / "cache")
    counts = collections.Counter((r["command"], r["verdict"], r["outcome"]) for r in found.values())
    return HostileResult(
        count, dict(sorted(counts.items())),
        tuple(Failure(n, line(seed, n).arguments, tuple(found[n]["faults"]), str(folder / "failures" / str(n)))
              for n in sorted(found) if found[n]["faults"]),
        *(max((r[name] for r in found.values()), default=0) for name in ("seconds", "grown")))


class _Worker:
    """A process that runs lines one after the other. It has the libraries loaded, and no threads of theirs."""

    def __init__(self, folder, seed):
        self.folder, self.seed, self.process = folder, seed, None

    def run(self, number):
        """The result of line `number`, a dict."""
        if self.process is None:
            code = SERVE.format(path=[*map(str, sys.path)], module=__name__, folder=str(self.folder), seed=self.seed)
            self.process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, text=True,
                                            stdout=subprocess.PIPE, env=os.environ | dict.fromkeys(LIBRARIES, "1"))
        try:
            self.process.stdin.write(f"{number}\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if answer:
            return json.loads(answer)
        self.close()
        return {"command": "", "verdict": "", "outcome": "lost", "seconds": 0, "grown": 0,
                "faults": ["the process that ran it died"]}

    def close(self):
        """End the process."""
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()
            self.process.stdout.close()
            self.process = None


def _serve(folder, seed):
    """What a worker process does."""
    _load()
    # What is there now is never looked through again, nor copied for a fork.
    gc.collect()
    gc.freeze()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for number in sys.stdin:
        print(json.dumps(repeat(folder, seed, int(number))), file=answers, flush=True)


def _load():
    """Import what the commands import late."""
    import onnx  # noqa: F401 - for the processes that are forked from this one

    from ...golden import integer  # noqa: F401 - the same; torch comes with it
    from .. import cli, manifest, prepare, simulate, synth  # noqa: F401
    from ..network import inspect, swap_command  # noqa: F401
    from ..sweep import command  # noqa: F401


def repeat(folder, seed, number, main=None):
    """Run line `number` of `seed` alone: a dict with command, verdict, outcome, seconds, grown and faults.

    `main` stands in for the command line's own, in tests of this module.
    """
    return check(pathlib.Path(folder).absolute(), line(seed, number), main)


def check(folder, one, main=None):
    """Run the Line `one` and look at what it did; `folder` keeps it if that was wrong."""
    from ..cli import main as own

    place = Place(folder / f"run-{os.getpid()}", folder / "cache")
    _remove(place.base)
    place.make()
    for name, content in one.files.items():
        _put(place.work, name, content)
    before = snapshot(place.base)
    # Results may go to where nothing is yet; times of what was there must not change.
    outcome = run(one, place, main or own, LONG_SECONDS if one.command in LONG and not one.planned else SECONDS)
    after = {path: about for path, about in snapshot(place.base).items()
             if path not in (b"stdout", b"stderr", b"seen") and not path.startswith(b"home/")}
    before = {path: about for path, about in before.items() if not path.startswith(b"home/")}
    found = faults(one, outcome, place, before, after)
    if one.twin and not found and outcome.status == 0:
        found = differs_from_twin(one, place, lambda other: run(other, place, main or own, SECONDS).status)
    if found:
        _keep(folder / "failures" / str(one.number), place, one, found)
    _remove(place.base)
    return {"command": one.command, "verdict": one.verdict, "seconds": outcome.seconds, "grown": outcome.grown,
            "outcome": "hang" if outcome.status is None else str(outcome.status), "faults": found}


def _put(work, name, content):
    """Make what a line's `files` say."""
    path = work / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if content == "folder":
        path.mkdir()
    elif content == "fifo":
        os.mkfifo(path)
    elif isinstance(content, str):
        path.symlink_to(content.removeprefix("-> "))
    else:
        path.write_bytes(content.removeprefix(b"secret "))
        if content.startswith(b"secret "):
            path.chmod(0)


def _remove(folder):
    if folder.exists():
        shutil.rmtree(folder)


def _keep(folder, place, one, found):
    """Keep a run's folder, its command line and what was wrong."""
    _remove(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(place.base, folder)
    (folder / "command.sh").write_bytes(shell_line(one.arguments))
    (folder / "faults.txt").write_text("\n".join(found) + "\n", errors="backslashreplace")
