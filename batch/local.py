# SPDX-License-Identifier: Apache-2.0
"""Processes of this machine, none of which outlives the one that started them."""

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import threading
import time
import types
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

from .pool import Call, Engine, Future

__all__ = ["Local", "cores"]

# How long a call that is stopped may take to end its own processes and to remove its files.
GRACE_SECONDS = 10
# Seconds until a process that did not stop, as it was in a finaliser, is told again.
RETRY_SECONDS = 0.02


def cores() -> int:
    """How many cores this process may use, which may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Local(Engine):
    """`jobs` processes of this machine.

    The processes end even if this one is killed: they watch a pipe, whose other end closes then.

    Parameters
    ----------
    jobs : int, optional
        One for each core by default.
    """

    def __init__(self, jobs: int | None = None):
        self.jobs = jobs or cores()

    def __str__(self) -> str:
        return f"{self.jobs} at a time"

    def room(self) -> int:
        """Always the same number."""
        return self.jobs

    @contextlib.contextmanager
    def open(self) -> Iterator[Callable[[Call], Future]]:
        """See :class:`.Engine`."""
        # Not forked: torch does not survive a fork of a process in which it has run.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        pool = concurrent.futures.ProcessPoolExecutor(self.jobs, context, _attend, (theirs,))
        with ours, theirs:
            try:
                yield lambda call: pool.submit(_guarded, call)
            except BaseException:
                ours.close()
                pool.shutdown(cancel_futures=True)
                raise
            pool.shutdown()


class _State:
    """Of a worker process: whether a call runs, and whether the process has been told to end."""

    working = stopped = False


def _attend(pipe: Connection) -> None:
    """Prepare a worker process: its parent handles Ctrl-C, and the process ends when the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_watch, args=(pipe,), daemon=True).start()


def _watch(pipe: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        pipe.recv()
    main = threading.main_thread().ident
    assert main is not None  # it has started
    end = time.monotonic() + GRACE_SECONDS
    while not _State.stopped and time.monotonic() < end:
        signal.pthread_kill(main, signal.SIGTERM)
        time.sleep(RETRY_SECONDS)
    time.sleep(max(0, end - time.monotonic()))
    os._exit(1)


def _in_finaliser(frame: types.FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


def _stop(_: int, frame: types.FrameType | None) -> None:
    # Python ignores what is raised in a finaliser, and says so on standard error: `_watch` tries again.
    if _State.working and _in_finaliser(frame):
        return
    # Only once: a call that cleans up is not interrupted again.
    if not _State.stopped:
        _State.stopped = True
        if not _State.working:
            os._exit(1)
        raise KeyboardInterrupt


def _guarded(call: Call) -> Any:
    """Make `call` so that it can be stopped; a process that was stopped takes no further one."""
    _State.working = True
    try:
        return call()
    except KeyboardInterrupt:
        if _State.stopped:
            os._exit(1)
        raise
    finally:
        _State.working = False
