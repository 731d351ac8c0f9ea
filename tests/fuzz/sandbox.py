# SPDX-License-Identifier: Apache-2.0
"""Runs one command line of `tiled-se` in a process and a folder of its own, with bounded time and memory, watched."""

import atexit
import contextlib
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
import warnings
from unittest import mock

from tiled_se.cosim.cache import default_root

from . import plan

__all__ = ["Line", "Outcome", "Sandbox"]

# Bytes that the process may map beyond what it has when it starts.
ADDRESS_SPACE = 6 << 30
# Wall-clock limits, a hundred times what a line takes: a busy machine must not make one fail.
SECONDS, LONG_SECONDS = 120, 900
# A helper process that ends when its parent does may take this long.
GRACE_SECONDS, POLL_SECONDS = 3, 0.05
# File system operations of Python's auditing that make, change or remove what their first arguments name.
CHANGES = {"os.mkdir": 1, "os.rmdir": 1, "os.remove": 1, "os.rename": 2, "os.symlink": 2, "os.link": 2,
           "os.truncate": 1, "os.chmod": 1, "os.chown": 1, "os.utime": 1}
ROOT = pathlib.Path(__file__).resolve().parents[2]
# Imported once, in the process that all others are forked from: what the commands import late takes seconds.
PRELOADED = ["onnx", "pytest", "tiled_se.cli.main", "tiled_se.cosim.standalone", "tiled_se.gen.manifest",
             "tiled_se.golden.integer", "tiled_se.network.commands.swap", __name__]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Line:
    """A command line, the files that it finds, and what must become of it.

    Attributes
    ----------
    said : dict of str to str
        The options' texts as the line says them in the end, by field.
    files : dict of str to bytes or str
        What the working directory has: contents; or ``folder``, ``fifo``, ``-> TARGET``.
    verdict : str
        ``right``, ``wrong``, or ``either`` where what decides isn't known.
    blames : frozenset of str
        The message that refuses a wrong line must have one of these.
    stdout : str
        ``file``, ``full`` or ``closed``.
    interrupted : (int, int, float) or None
        A signal, and how many seconds it comes after the so-manieth file or folder is begun, or renamed, in `work`.
    planned : bool
        Whether `sim`, `verilog` and `synth` end when the configuration is known: see :mod:`.plan`.
    """

    command: str
    arguments: tuple
    said: dict = dataclasses.field(default_factory=dict)
    files: dict = dataclasses.field(default_factory=dict)
    verdict: str = "right"
    blames: frozenset = frozenset()
    stdout: str = "file"
    interrupted: tuple | None = None
    planned: bool = False

    def __repr__(self):
        """As a shell takes it, with what else decides: what hypothesis prints."""
        files = {name: f"{len(content)} bytes" if isinstance(content, bytes) else content
                 for name, content in self.files.items()}
        return f"<{self.verdict}: {ascii(self.shell)[1:-1]}; {files}, {self.stdout}, {self.interrupted}>"

    def _repr_pretty_(self, printer, cycle):
        printer.text(repr(self))

    @property
    def shell(self):
        return " ".join(["tiled-se", *map(shlex.quote, self.arguments)])


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a line ended.

    Attributes
    ----------
    base : path
        Has `work`, the folder in which it ran, two folders deep so that what leaves it by ``..`` is seen.
    status : int or None
        Exit status, negative for a signal; None where it took longer than allowed.
    out, err : str
        What it printed; bytes that are no UTF-8 are escaped.
    notes : tuple of (str, str)
        ``changed`` and a path that the process opened for writing, made, renamed or removed; ``unpickled`` and what a
        pickle asked for; ``grown`` and the bytes of memory that the process took beyond what it began with.
    left : bool
        Whether a process of the command's outlived it.
    new : list of str
        Paths below `base` that were made, changed or removed, in order.
    """

    base: pathlib.Path
    status: int | None
    out: str
    err: str
    notes: tuple
    left: bool
    new: list

    @property
    def work(self):
        return self.base / "above" / "work"

    def noted(self, kind):
        return [text for one, text in self.notes if one == kind]


class Sandbox:
    """Runs lines below `folder`. Simulations are built into the user's own cache, as those of all other tests."""

    def __init__(self, folder):
        self.base = pathlib.Path(folder) / "run"
        default_root().mkdir(parents=True, exist_ok=True)
        # Without threads of its own, the process that is forked again and again can be.
        variables = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        with mock.patch.dict(os.environ, variables, PYTHONPATH=str(ROOT)):
            multiprocessing.set_forkserver_preload(PRELOADED)
            multiprocessing.forkserver.ensure_running()

    def run(self, line, main=None, seconds=None, again=False):
        """The :class:`Outcome` of `line`.

        Parameters
        ----------
        main : callable, optional
            Stands in for the command line's own, in tests of the fuzzer; a function of a module.
        seconds : float, optional
            How long it may take.
        again : bool
            Whether it runs where the line before has run, with what that has left.
        """
        work = self.base / "above" / "work"
        if not again:
            shutil.rmtree(self.base, ignore_errors=True)
            for folder in (work, self.base / "tmp", self.base / "home"):
                folder.mkdir(parents=True)
            for name, content in line.files.items():
                _put(work / name, content)
        for name in ("stdout", "stderr", "seen"):
            (self.base / name).write_bytes(b"")
        before = _snapshot(self.base)
        process = multiprocessing.get_context("forkserver").Process(target=_child, args=(line, self.base, main))
        process.start()
        long = not line.planned and line.verdict != "wrong"
        status = _wait(process, seconds or (LONG_SECONDS if long else SECONDS))
        left = _end_group(process.pid)
        process.close()
        out, err = ((self.base / name).read_text(errors="backslashreplace") for name in ("stdout", "stderr"))
        notes = (self.base / "seen").read_text(errors="surrogateescape").split("\0")[:-1]
        after = _snapshot(self.base)
        new = sorted(path for path in before | after if before.get(path) != after.get(path))
        return Outcome(self.base, status, out, err, tuple(tuple(note.split(" ", 1)) for note in notes), left, new)

    def keep(self, line, faults):
        """Keep the last line's folder, with the line and what was wrong, until another one is kept; its path."""
        folder = self.base.with_name("failure")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.move(self.base, folder)
        (folder / "command.sh").write_bytes(os.fsencode(line.shell) + b"\n")
        (folder / "faults.txt").write_text("\n".join(faults) + "\n", errors="backslashreplace")
        return folder


def _put(path, content):
    """Make what a line's `files` say."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if content == "folder":
        path.mkdir()
    elif content == "fifo":
        os.mkfifo(path)
    elif isinstance(content, str):
        path.symlink_to(content.removeprefix("-> "))
    else:
        path.write_bytes(content)


def _snapshot(base):
    """Type and permissions, size and time of the last change of everything below `base`, by path."""
    found = {}
    for folder, folders, files in os.walk(base):
        for name in (*folders, *files):
            about = os.lstat(os.path.join(folder, name))
            whole = stat.S_ISREG(about.st_mode)
            found[os.path.relpath(os.path.join(folder, name), base)] = (
                about.st_mode, whole and about.st_size, whole and about.st_mtime_ns)
    return {path: about for path, about in found.items() if path.startswith(("above", "tmp"))}


def _wait(process, seconds):
    """The exit status of `process`; None where it had to be killed."""
    try:
        process.join(seconds)
    finally:
        status = process.exitcode
        if status is None:
            _kill(process.pid)
            process.join()
    return status


def _kill(pid):
    """End process `pid` with its group, which it may not have yet."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def _end_group(pid):
    """Kill what is left of the process's group, which may take a moment to end by itself; whether there was any."""
    end = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < end:
        try:
            os.killpg(pid, 0)
        except (ProcessLookupError, PermissionError):
            return False
        time.sleep(POLL_SECONDS)
    _kill(pid)
    return True


def _child(line, base, main):
    """What the forked process does: become one as a shell starts it, run the line, end."""
    status = 70
    try:
        _become(base, line.stdout)
        note = _watch(os.open(base / "seen", os.O_WRONLY | os.O_APPEND), line.interrupted)
        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if main is None:
            from tiled_se.cli.main import main
        if line.planned:
            plan.stop_at_the_plan()
        status = _call(main, line.arguments)
        note("grown", str(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident)))
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _become(base, stdout):
    """Be like a process that a shell has started in the sandbox."""
    os.setsid()
    if stdout == "closed":
        reading, output = os.pipe()
        os.close(reading)
    else:
        output = os.open("/dev/full" if stdout == "full" else base / "stdout", os.O_WRONLY)
    inputs = os.open(os.devnull, os.O_RDONLY), output, os.open(base / "stderr", os.O_WRONLY)
    for number, descriptor in enumerate(inputs):
        os.dup2(descriptor, number)
    sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), encoding="utf-8", errors="strict")
    sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", closefd=False), encoding="utf-8", errors="backslashreplace",
                                  line_buffering=True)
    os.chdir(base / "above" / "work")
    # Every file that isn't asked for is led to where it is seen.
    os.environ |= {"TMPDIR": str(base / "tmp"), "HOME": str(base / "home"), "XDG_CACHE_HOME": str(base / "home"),
                   "TILED_SE_CACHE": str(default_root()), "PYTHONWARNINGS": "", "PYTHONUTF8": "1"}
    os.environ.pop("PYTHONPATH", None)
    tempfile.tempdir = None
    # What the parent has registered is its own business.
    atexit._clear()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    warnings.resetwarnings()
    for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
        warnings.simplefilter("ignore", category)
    with open("/proc/self/statm") as file:
        mapped = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (mapped + ADDRESS_SPACE, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _watch(descriptor, interrupted):
    """Note in the file `descriptor` what this process changes in file systems, and what it unpickles."""
    busy, changes = threading.local(), itertools.count(1)
    number, wanted, seconds = interrupted or (0, 0, 0)
    work = os.getcwd()
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), number))

    def note(kind, text):
        os.write(descriptor, f"{kind} {text}\0".encode(errors="surrogateescape"))

    def hook(event, arguments):
        if getattr(busy, "now", False):
            return
        busy.now = True
        try:
            paths = arguments[:CHANGES.get(event, 0)]
            if event == "open":
                path, _, flags = arguments
                writing = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
                paths = [path] if writing else []
            for path in paths:
                if not isinstance(path, int):
                    path = os.path.abspath(os.fsdecode(path))
                    ours = event in ("open", "os.mkdir", "os.rename") and path.startswith(work)
                    if ours and next(changes) == wanted:
                        signal.setitimer(signal.ITIMER_REAL, seconds)
                    note("changed", path)
            if event == "pickle.find_class":
                note("unpickled", ".".join(map(str, arguments)))
        finally:
            busy.now = False

    sys.addaudithook(hook)
    return note


def _call(main, arguments):
    """The exit status of ``main(arguments)``, with all that the interpreter does at its end."""
    try:
        status = main(list(arguments))
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    try:
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
    except BaseException:
        print("Exception ignored at the end:", file=sys.stderr)
        traceback.print_exc()
        status = 120
    return (status or 0) & 0xFF
