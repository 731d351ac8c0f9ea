# SPDX-License-Identifier: Apache-2.0
"""The workers of a dask.distributed scheduler, behind what :mod:`.local` offers."""

import asyncio
import concurrent.futures
import contextlib
import logging
import threading

from ..hdl.config import ConfigError
from .lost import EngineLost

__all__ = ["Cluster"]

CONNECT_SECONDS = 5


class Cluster:
    """Workers of the scheduler at `address`: a task for each of their threads, `jobs` at most if that is given.

    Workers may come and go. A task whose worker dies is given to another one by the scheduler, which after some deaths
    has enough of it. Nothing is read from or written to a file system that workers share.
    """

    Lost, poll_seconds = EngineLost, 1.0

    def __init__(self, address, jobs=None):
        self.address, self.jobs, self.client = address, jobs, None

    def __str__(self):
        return f"scheduler {self.address}"

    @property
    def died(self):
        """What a task raises that has ended its workers."""
        from distributed import KilledWorker

        return KilledWorker

    def room(self):
        """How many tasks may run now."""
        with self._connected():
            threads = sum(self.client.ncores().values())
        return threads if self.jobs is None else min(self.jobs, threads)

    def result(self, future):
        """What the job of `future`, which is done, has returned; raises what it raised, or EngineLost."""
        # The client cancels what it waits for when the scheduler goes.
        if future.cancelled():
            raise self._lost()
        return future.result()

    @contextlib.contextmanager
    def open(self):
        """An executor. What is running when the block ends by an exception runs to its end, and is forgotten.

        Raises
        ------
        ConfigError
            ("scheduler") where none answers.
        """
        import dask
        from distributed import Client

        # Of a connection that fails the caller tells in a line; files go with their task.
        for name in ("distributed", "distributed.client"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        with dask.config.set({"distributed.comm.timeouts.connect": CONNECT_SECONDS,
                              "distributed.admin.large-graph-warning-threshold": "100 GiB"}):
            self.client = _within(2 * CONNECT_SECONDS, lambda: Client(
                self.address, timeout=CONNECT_SECONDS, set_as_default=False))
            if self.client is None:
                raise ConfigError("scheduler", self.address,
                                  f"no scheduler of this version answered in {CONNECT_SECONDS} seconds")
            with self.client:
                executor = self.client.get_executor(pure=False)
                try:
                    yield _Connected(self, executor)
                except BaseException:
                    with contextlib.suppress(Exception):
                        executor.shutdown(wait=False)
                    raise

    @contextlib.contextmanager
    def _connected(self):
        from distributed.client import ClosedClientError

        try:
            yield
        except (OSError, asyncio.TimeoutError, concurrent.futures.CancelledError, ClosedClientError):
            raise self._lost() from None

    def _lost(self):
        return EngineLost(f"the scheduler at {self.address} has gone")


def _within(seconds, connect):
    """What `connect` returns; None if it fails, or is not done in time: something that is no scheduler may keep it."""
    found = []

    def run():
        with contextlib.suppress(OSError, ValueError, asyncio.TimeoutError):
            found.append(connect())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    return found[0] if found else None


class _Connected:
    def __init__(self, cluster, executor):
        self.cluster, self.executor = cluster, executor

    def submit(self, job):
        with self.cluster._connected():
            return self.executor.submit(job)
