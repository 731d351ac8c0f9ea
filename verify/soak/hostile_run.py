# SPDX-License-Identifier: Apache-2.0
"""One command line of `tiled-se` in a process of its own: in its own folder, with bounded time and memory, watched."""

import contextlib
import dataclasses
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time
import warnings

from .hostile_child import become, call
from .hostile_planned import stop_at_the_plan

__all__ = ["Outcome", "Place", "run", "shell_line"]

POLL_SECONDS = 0.02
# Helpers that see their parent's end by a pipe have so many polls to follow it.
GRACE_POLLS = 150


@dataclasses.dataclass(frozen=True)
class Place:
    """Folders of a run: `base` with `work`, in which it runs, and `temporary`; `cache` is one for all runs."""

    base: pathlib.Path
    cache: pathlib.Path

    @property
    def work(self):
        """The working directory, two folders deep: what leaves it by ``..`` is still seen."""
        return self.base / "above" / "work"

    @property
    def temporary(self):
        """What TMPDIR says."""
        return self.base / "tmp"

    def make(self):
        """Make the folders."""
        for folder in (self.work, self.temporary, self.base / "home", self.cache):
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def environment(self):
        """Variables that lead every file that isn't asked for to where it is seen."""
        return {"TMPDIR": str(self.temporary), "HOME": str(self.base / "home"), "TILED_SE_CACHE": str(self.cache),
                "XDG_CACHE_HOME": str(self.cache / "xdg"), "PYTHONWARNINGS": "", "PYTHONUNBUFFERED": "",
                "PYTHONUTF8": "1"}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Attributes
    ----------
    status : int or None
        Exit status, negative for a signal; None where it took longer than allowed.
    out, err : str
        What it printed; bytes that are no UTF-8 are escaped.
    seconds : float
    grown : int
        Bytes of memory, at most: of a forked process beyond what it began with, of another one's in all.
    changed : tuple of str
        Paths that this process itself has opened for writing, made, renamed or removed; of a forked one only.
    unpickled : tuple of str
        What a pickle has asked for.
    left : bool
        Whether a process of the command's outlived it.
    """

    status: int | None
    out: str
    err: str
    seconds: float
    grown: int
    changed: tuple = ()
    unpickled: tuple = ()
    left: bool = False


def run(line, place, main, seconds):
    """Run a :class:`~.hostile_lines.Line` in `place`: the :class:`Outcome`.

    Parameters
    ----------
    main : callable
        ``main(arguments)`` gives the exit status. It is called in a fork of this process; not for a `fresh` line, which
        an interpreter of its own runs.
    seconds : float
        How long it may take; then it is killed.
    """
    out, err, seen = (place.base / name for name in ("stdout", "stderr", "seen"))
    seen.touch()
    baseline = 0 if line.fresh else _resident()
    start = time.monotonic()
    with open(err, "wb") as errors, _output(line.stdout, out) as output:
        pid = (_start if line.fresh else _fork)(line, place, main, output, errors.fileno(), seen)
    try:
        status, usage = _wait(pid, start, seconds, line.interrupted)
    except BaseException:
        # It is in a session of its own, which no interrupt of ours reaches.
        _kill(pid)
        raise
    took = time.monotonic() - start
    left = _end_group(pid)
    seen = [entry.split(" ", 1) for entry in seen.read_text(errors="surrogateescape").split("\0") if entry]
    return Outcome(
        status, *(path.read_text(errors="backslashreplace") if path.exists() else "" for path in (out, err)),
        took, max(usage.ru_maxrss * 1024 - baseline, 0), tuple(text for kind, text in seen if kind == "changed"),
        tuple(text for kind, text in seen if kind == "unpickled"), left)


@contextlib.contextmanager
def _output(kind, path):
    """A descriptor for standard output: a file, a full disk, or a pipe that nobody reads."""
    if kind == "closed":
        reading, writing = os.pipe()
        os.close(reading)
    else:
        writing = os.open("/dev/full" if kind == "full" else path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        yield writing
    finally:
        os.close(writing)


def _resident():
    """Bytes of memory that this process has now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _start(line, place, main, output, errors, seen):
    command = [sys.executable, "-m", "tiled_se.cli", *line.arguments]
    # Its own session: whatever it leaves behind can be found, and ended.
    process = subprocess.Popen(command, cwd=place.work, env=os.environ | place.environment, stdin=subprocess.DEVNULL,
                               stdout=output, stderr=errors, start_new_session=True)
    # It is waited for by its number.
    process.returncode = 0
    return process.pid


def _fork(line, place, main, output, errors, seen):
    with warnings.catch_warnings():
        # Libraries' threads, of which the command finds none: it makes its own.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        become(place, output, errors, seen)
        if line.planned:
            stop_at_the_plan()
        status = call(main, line.arguments)
    finally:
        os._exit(status)


def _wait(pid, start, seconds, interrupted):
    """The exit status of process `pid`, None where it had to be killed, and what it used."""
    if interrupted is not None:
        number, after = interrupted
        pending = (number, start + after)
    else:
        pending = None
    pause = 0.001
    while True:
        found, status, usage = os.wait4(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status), usage
        now = time.monotonic()
        if now - start > seconds:
            os.killpg(pid, signal.SIGKILL)
            return None, os.wait4(pid, 0)[2]
        if pending and now >= pending[1]:
            os.kill(pid, pending[0])
            pending = None
        time.sleep(pause)
        pause = min(pause * 1.5, POLL_SECONDS)


def _kill(pid):
    """End process `pid` with its group, which it may not have yet, and wait for it."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _end_group(pid):
    """Kill what is left of the process's group, which may take a moment to end by itself; whether there was any."""
    for _ in range(GRACE_POLLS):
        try:
            os.killpg(pid, 0)
        except (ProcessLookupError, PermissionError):
            return False
        time.sleep(POLL_SECONDS)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    return True


def shell_line(arguments):
    """The command line as a shell takes it, in bytes: what isn't UTF-8 is as it was."""
    return os.fsencode(" ".join(["tiled-se", *map(shlex.quote, arguments)])) + b"\n"
