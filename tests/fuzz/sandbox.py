# SPDX-License-Identifier: Apache-2.0
"""Runs one command line of `tiled-se` in a process and a folder of its own, with bounded time and memory, watched."""

import atexit
import dataclasses
import io
import itertools
import multiprocessing
import multiprocessing.forkserver
import os
import pathlib
import resource
import shlex
import shutil
import signal
import stat
import sys
import tempfile
import threading
import time
import traceback
from unittest import mock

from tiled_se.cosim.cache import default_root

from . import plan

__all__ = ["Line", "Outcome", "Sandbox"]

# Bytes that the process may map in addition to those that it has when it starts.
ADDRESS_SPACE = 6 << 30
# Wall-clock limits, a hundred times what a line takes: a busy machine must not make one fail. Then the time that a
# helper process may take to end after its parent.
SECONDS, LONG_SECONDS, GRACE_SECONDS = 120, 900, 3
# File system operations of Python's auditing that make, change or remove what their first arguments name.
CHANGES = {"os.mkdir": 1, "os.rmdir": 1, "os.remove": 1, "os.rename": 2, "os.symlink": 2, "os.link": 2,
           "os.truncate": 1, "os.chmod": 1, "os.chown": 1, "os.utime": 1}
ROOT = pathlib.Path(__file__).resolve().parents[2]
# Imported once, in the process that all others are forked from: what the commands import late takes seconds.
PRELOADED = ["onnx", "pytest", "tiled_se.cli.main", "tiled_se.cosim.standalone", "tiled_se.gen.manifest",
             "tiled_se.golden.integer", "tiled_se.network.commands.swap", __name__]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Line:
    """A command line, the files that it finds, and what must become of it."""

    command: str
    arguments: tuple
    # The options' texts that count, by field.
    said: dict = dataclasses.field(default_factory=dict)
    # What the working directory has: contents as bytes, or functions that make a path.
    files: dict = dataclasses.field(default_factory=dict)
    # "right", "wrong", or "either"; the message that refuses a wrong line must have one of the blames.
    verdict: str = "right"
    blames: frozenset = frozenset()
    # "file", "full" or "closed".
    stdout: str = "file"
    # A signal, the number of the file that is opened, made or renamed before it comes, and the seconds between them.
    interrupted: tuple | None = None
    # The most bytes that a file may get before the system refuses to write more.
    room: int | None = None
    # Whether `sim`, `verilog` and `synth` end when the configuration is known, see `plan`.
    planned: bool = False

    def __repr__(self):
        """As a shell takes it, with what else decides: what hypothesis prints."""
        files = {name: len(content) if isinstance(content, bytes) else content for name, content in self.files.items()}
        return f"<{self.verdict}: {ascii(self.shell)[1:-1]}; {files}, {self.stdout}, {self.interrupted}, {self.room}>"

    @property
    def shell(self):
        return " ".join(["tiled-se", *map(shlex.quote, self.arguments)])


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a line ended."""

    # Has `work`, the folder in which it ran, two folders deep so that what leaves it by ``..`` is seen.
    base: pathlib.Path
    # Exit status, negative for a signal; None where it took longer than allowed.
    status: int | None
    out: str
    err: str
    # Paths that the process opened for writing, made, renamed or removed; bytes of memory that it took after it began.
    changed: list
    grown: int
    # Whether a process of the command's outlived it.
    left: bool
    # Paths below `base` that were made, changed or removed, in order.
    new: list

    @property
    def work(self):
        return self.base / "above" / "work"


class Sandbox:
    """Runs lines below `folder`. Simulations are built into the user's own cache, as those of all other tests."""

    def __init__(self, folder):
        self.base = pathlib.Path(folder) / "run"
        default_root().mkdir(parents=True, exist_ok=True)
        # A process can only be forked safely while it has no threads.
        variables = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        with mock.patch.dict(os.environ, variables, PYTHONPATH=str(ROOT)):
            multiprocessing.set_forkserver_preload(PRELOADED)
            multiprocessing.forkserver.ensure_running()

    def run(self, line, main=None, seconds=None, again=False):
        """The :class:`Outcome` of `line`, which may take so many `seconds`.

        `main`, a function of a module, replaces the command line's own. With `again`, the folder of the line before
        is used, with the files that are in it.
        """
        work = self.base / "above" / "work"
        if not again:
            shutil.rmtree(self.base, ignore_errors=True)
            for folder in (work, self.base / "tmp", self.base / "home"):
                folder.mkdir(parents=True)
            for name, content in line.files.items():
                (work / name).parent.mkdir(parents=True, exist_ok=True)
                if isinstance(content, bytes):
                    (work / name).write_bytes(content)
                else:
                    content(work / name)
        for name in ("stdout", "stderr", "seen"):
            (self.base / name).write_bytes(b"")
        before = _snapshot(self.base)
        process = multiprocessing.get_context("forkserver").Process(target=_child, args=(line, self.base, main))
        process.start()
        long = not line.planned and line.verdict != "wrong"
        status, left = _end(process, seconds or (LONG_SECONDS if long else SECONDS))
        out, err = ((self.base / name).read_text(errors="backslashreplace") for name in ("stdout", "stderr"))
        *changed, grown = (self.base / "seen").read_text(errors="surrogateescape").split("\0")
        after = _snapshot(self.base)
        new = sorted(path for path in before | after if before.get(path) != after.get(path))
        return Outcome(self.base, status, out, err, changed, int(grown or 0), left, new)

    def keep(self, line, faults):
        """Keep the last line's folder, with the line and what was wrong, until another one is kept; its path."""
        folder = self.base.with_name("failure")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.move(self.base, folder)
        (folder / "command.sh").write_bytes(os.fsencode(line.shell) + b"\n")
        (folder / "faults.txt").write_text("\n".join(faults) + "\n", errors="backslashreplace")
        return folder


def _snapshot(base):
    """Type and permissions, and of a file size and time of the last change, of what a command may see, by path."""
    found = {}
    for top in ("above", "tmp"):
        for folder, folders, files in os.walk(base / top):
            for path in (os.path.join(folder, name) for name in (*folders, *files)):
                about = os.lstat(path)
                whole = (about.st_size, about.st_mtime_ns) if stat.S_ISREG(about.st_mode) else ()
                found[os.path.relpath(path, base)] = (about.st_mode, *whole)
    return found


def _end(process, seconds):
    """``(status, left)`` of :class:`Outcome`; nothing of `process` is alive after it."""
    try:
        process.join(seconds)
        status, end = process.exitcode, time.monotonic() + GRACE_SECONDS
        while status is not None and _signal(process.pid, 0) and time.monotonic() < end:
            time.sleep(0.05)
        return status, status is not None and _signal(process.pid, 0)
    finally:
        _signal(process.pid, signal.SIGKILL)
        # It may not be the leader of its group yet.
        process.kill()
        process.join()


def _signal(group, number):
    """Send a signal to a group of processes; whether there is one."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _child(line, base, main):
    """What the forked process does: become one as a shell starts it, run the line, end as an interpreter does."""
    status = 70
    try:
        _become(base, line)
        seen = os.open(base / "seen", os.O_WRONLY | os.O_APPEND)
        _watch(seen, line.interrupted)
        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if main is None:
            from tiled_se.cli.main import main
        if line.planned:
            plan.stop_at_the_plan()
        try:
            ended = main(list(line.arguments))
        except SystemExit as error:
            ended = error.code
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os.write(seen, b"%d" % (1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident)))
        status = (ended or 0) & 0xFF
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _become(base, line):
    """Be like a process that a shell has started in the sandbox."""
    os.setsid()
    if line.stdout == "closed":
        reading, output = os.pipe()
        os.close(reading)
    else:
        output = os.open("/dev/full" if line.stdout == "full" else base / "stdout", os.O_WRONLY)
    for number, file in enumerate((os.open(os.devnull, os.O_RDONLY), output, os.open(base / "stderr", os.O_WRONLY))):
        os.dup2(file, number)
    sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), encoding="utf-8", errors="strict")
    sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", closefd=False), encoding="utf-8", errors="backslashreplace",
                                  line_buffering=True)
    os.chdir(base / "above" / "work")
    # Files that no option names go to folders that are watched.
    os.environ |= {"TMPDIR": str(base / "tmp"), "HOME": str(base / "home"), "XDG_CACHE_HOME": str(base / "home"),
                   "TILED_SE_CACHE": str(default_root()), "PYTHONWARNINGS": "", "PYTHONUTF8": "1"}
    os.environ.pop("PYTHONPATH", None)
    tempfile.tempdir = None
    # The parent's registered functions are not this process's.
    atexit._clear()
    with open("/proc/self/statm") as file:
        mapped = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (mapped + ADDRESS_SPACE, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if line.room:
        resource.setrlimit(resource.RLIMIT_FSIZE, (line.room, line.room))


def _watch(seen, interrupted):
    """Note in the file `seen` what this process changes in file systems, and interrupt it there."""
    busy, changes, work = threading.local(), itertools.count(1), os.getcwd()
    number, wanted, seconds = interrupted or (0, 0, 0)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), number))

    def hook(event, arguments):
        paths = arguments[:CHANGES.get(event, 0)]
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            paths = arguments[:1]
        if getattr(busy, "now", False) or not paths:
            return
        busy.now = True
        try:
            for path in (os.path.abspath(os.fsdecode(path)) for path in paths if not isinstance(path, int)):
                ours = event in ("open", "os.mkdir", "os.rename") and path.startswith(work)
                if ours and next(changes) == wanted:
                    signal.setitimer(signal.ITIMER_REAL, seconds)
                os.write(seen, os.fsencode(path) + b"\0")
        finally:
            busy.now = False

    sys.addaudithook(hook)
