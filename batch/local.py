# SPDX-License-Identifier: Apache-2.0
"""Processes of this machine, none of which outlives the one that started them."""

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

from .pool import Executor, Future, Job

__all__ = ["Local", "cores"]

# How long a job that is stopped may take to end its own processes and to remove its files.
GRACE_SECONDS = 10


def cores() -> int:
    """How many cores this process may use, which may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Local:
    """`jobs` processes of this machine.

    The processes end even if this one is killed: they watch a pipe, whose other end closes then.

    Parameters
    ----------
    jobs : int, optional
        One for each core by default.
    """

    died: tuple[type[Exception], ...] = ()
    poll_seconds = None

    def __init__(self, jobs: int | None = None):
        self.jobs = jobs or cores()

    def __str__(self) -> str:
        return f"{self.jobs} at a time"

    def room(self) -> int:
        """How many tasks may run now."""
        return self.jobs

    def result(self, future: Future) -> Any:
        """The result of the job of `future`, which is done; raises what the job raised."""
        return future.result()

    @contextlib.contextmanager
    def open(self) -> Iterator[Executor]:
        """An executor. Leaving the block by an exception stops its jobs."""
        # Not forked: torch does not survive a fork of a process in which it has run.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        pool = concurrent.futures.ProcessPoolExecutor(self.jobs, context, _attend, (theirs,))
        with ours, theirs:
            try:
                yield _Guarded(pool)
            except BaseException:
                ours.close()
                pool.shutdown(cancel_futures=True)
                raise
            pool.shutdown()


class _Guarded:
    def __init__(self, pool: concurrent.futures.ProcessPoolExecutor):
        self.pool = pool

    def submit(self, job: Job) -> Future:
        return self.pool.submit(_guarded, job)


class _State:
    """Of a worker process: whether a job runs, and whether the process has been told to end."""

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
    signal.pthread_kill(main, signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)


def _stop(*_: object) -> None:
    # Only once: a job that cleans up is not interrupted again.
    if not _State.stopped:
        _State.stopped = True
        if not _State.working:
            os._exit(1)
        raise KeyboardInterrupt


def _guarded(job: Job) -> Any:
    """Run `job` so that it can be stopped; a process that was stopped takes no further job."""
    _State.working = True
    try:
        return job()
    except KeyboardInterrupt:
        if _State.stopped:
            os._exit(1)
        raise
    finally:
        _State.working = False
