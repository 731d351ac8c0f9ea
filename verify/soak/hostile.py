# SPDX-License-Identifier: Apache-2.0
"""Random command lines and damaged files against `tiled-se`, by the thousand.

None may give a traceback, a hang, a half-written file, a file outside of its own folder, or a build that differs from
what was asked. Line `number` of `seed` is the same wherever and whenever it is run.
"""

import collections
import concurrent.futures
import dataclasses
import os
import pathlib
import shutil
import threading

from .hostile_checks import faults, snapshot
from .hostile_kept import Kept
from .hostile_lines import line
from .hostile_results import kind_of
from .hostile_run import Place, run, shell_line
from .hostile_twins import differs_from_twin
from .hostile_worker import Worker, own_folder, remove_runs

__all__ = ["Failure", "HostileResult", "hostile", "repeat"]

# What a line may take; a simulation or a synthesis is compiled first.
SECONDS, LONG_SECONDS = 90, 300
LONG = ("sim", "bench", "simspeed", "sweep", "report", "build", "synth", "demo")


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
    kinds : dict of str to int
        Lines by what has become of them: see :func:`.hostile_results.kind_of`.
    failures : tuple of Failure
        In the order of their numbers.
    longest : float
        Seconds that the slowest line took.
    most_memory : int
        Bytes that one line took at most.
    """

    count: int
    counts: dict
    kinds: dict
    failures: tuple
    longest: float
    most_memory: int


def hostile(folder, count, seed=1, jobs=1, progress=lambda done, failures: None):
    """Run lines 0 to `count` - 1 of `seed`, `jobs` at a time: the :class:`HostileResult`.

    Lines that an earlier run has found right, of the same sources, are not run again.

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
    remove_runs(folder)
    kept = Kept(folder, seed)
    found = {number: kept.found[number] for number in range(count) if number in kept.found}
    lock, own, workers = threading.Lock(), threading.local(), []

    def attempt(number):
        if not hasattr(own, "worker"):
            own.worker = Worker(folder, seed)
            workers.append(own.worker)
        result = own.worker.run(number)
        with lock:
            found[number] = result
            if not result["faults"]:
                kept.add(number, result)
            progress(len(found), sum(bool(result["faults"]) for result in found.values()))

    pool = concurrent.futures.ThreadPoolExecutor(jobs)
    try:
        for future in [pool.submit(attempt, number) for number in range(count) if number not in found]:
            future.result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.interrupt()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        for worker in workers:
            worker.close()
        remove_runs(folder)
        _remove(folder / "cache")
    return _summary(found, count, seed, folder)


def _summary(found, count, seed, folder):
    """The HostileResult of the results `found`, by number."""
    counts = collections.Counter((r["command"], r["verdict"], r["outcome"]) for r in found.values())
    kinds = collections.Counter(r["kind"] for r in found.values())
    return HostileResult(
        count, dict(sorted(counts.items())), dict(sorted(kinds.items())),
        tuple(Failure(n, line(seed, n).arguments, tuple(found[n]["faults"]), str(folder / "failures" / str(n)))
              for n in sorted(found) if found[n]["faults"]),
        *(max((r[name] for r in found.values()), default=0) for name in ("seconds", "grown")))


def repeat(folder, seed, number, main=None):
    """Run line `number` of `seed` alone: a dict with command, verdict, kind, outcome, seconds, grown and faults.

    `main` stands in for the command line's own, in tests of this module.
    """
    return check(pathlib.Path(folder).absolute(), line(seed, number), main)


def check(folder, one, main=None):
    """Run the Line `one` and look at what it did; `folder` keeps it if that was wrong."""
    from ...cli.main import main as own

    place = Place(pathlib.Path(own_folder(folder)), folder / "cache")
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
    return {"command": one.command, "verdict": one.verdict, "kind": kind_of(one, outcome.status),
            "seconds": outcome.seconds, "grown": outcome.grown,
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
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def _keep(folder, place, one, found):
    """Keep a run's folder, its command line and what was wrong."""
    _remove(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(place.base, folder)
    (folder / "command.sh").write_bytes(shell_line(one.arguments))
    (folder / "faults.txt").write_text("\n".join(found) + "\n", errors="backslashreplace")
