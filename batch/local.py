# SPDX-License-Identifier: Apache-2.0
"""Processes of this machine, none of which outlives the one that started them."""

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import threading
import time

from .lost import EngineLost

__all__ = ["Local", "cores"]

# What a job that is stopped has for ending its own processes and removing its files.
GRACE_SECONDS = 10


def cores():
    """How many cores this process may use: of a cluster's node a job often has a part."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


class Local:
    """`jobs` processes of this machine.

    Whether the run is interrupted, terminated or killed, its processes end: they hold one end of a pipe whose other
    one is gone then.
    """

    Lost, died, poll_seconds = EngineLost, (), None

    def __init__(self, jobs):
        self.jobs = jobs

    def __str__(self):
        return f"{self.jobs} at a time"

    def room(self):
        """How many tasks may run now."""
        return self.jobs

    def result(self, future):
        """What the job of `future`, which is done, has returned; raises what it raised."""
        return future.result()

    @contextlib.contextmanager
    def open(self):
        """An executor; what ends the block by an exception stops its jobs, too."""
        # Not forked: torch, once it has run in a process, does not survive that.
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
    def __init__(self, pool):
        self.submit = lambda job: pool.submit(_guarded, job)


class _State:
    """Of a worker process: whether a job runs, and whether it shall end."""

    working = stopped = False


def _attend(pipe):
    """Prepare a worker process: Ctrl-C is its parent's business, and the pipe's end is its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_watch, args=(pipe,), daemon=True).start()


def _watch(pipe):
    with contextlib.suppress(EOFError, OSError):
        pipe.recv()
    signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)


def _stop(*_):
    # Once: what a job does to clean up is not interrupted again.
    if not _State.stopped:
        _State.stopped = True
        if not _State.working:
            os._exit(1)
        raise KeyboardInterrupt


def _guarded(job):
    """Run `job` so that it can be stopped; a process that was stopped doesn't wait for another one."""
    _State.working = True
    try:
        return job()
    except KeyboardInterrupt:
        if _State.stopped:
            os._exit(1)
        raise
    finally:
        _State.working = False
