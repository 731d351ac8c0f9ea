# SPDX-License-Identifier: Apache-2.0
"""The workers of a dask.distributed scheduler, with the interface of :mod:`.local`."""

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

from ..hdl.config import ConfigError
from .pool import DIED, Call, Engine, EngineLost, Future, TaskFailed

__all__ = ["Cluster"]

CONNECT_SECONDS = 5


class Cluster(Engine):
    """Workers of the scheduler at `address`: a task for each of their threads, `jobs` at most if that is given.

    Workers may come and go, and need no file system in common. The scheduler gives a task whose worker dies to another
    one; after repeated worker deaths it gives up on the task.
    """

    poll_seconds = 1.0

    def __init__(self, address: str, jobs: int | None = None):
        self.address, self.jobs = address, jobs
        self.client: Any = None

    def __str__(self) -> str:
        return f"scheduler {self.address}"

    def room(self) -> int:
        """How many tasks may run now."""
        with self._connected():
            threads = sum(self.client.ncores().values())
        return threads if self.jobs is None else min(self.jobs, threads)

    def result(self, future: Future) -> Any:
        """See :class:`.Engine`."""
        from distributed import KilledWorker

        # When the scheduler goes, the client cancels its futures.
        if future.cancelled():
            raise self._lost()
        try:
            return future.result()
        except KilledWorker:
            raise TaskFailed(DIED) from None

    @contextlib.contextmanager
    def open(self) -> Iterator[Callable[[Call], Future]]:
        """See :class:`.Engine`; but calls that run when an exception leaves the block run to their end.

        Raises
        ------
        ConfigError
            ("scheduler") where none answers.
        """
        import dask
        from distributed import Client

        # The caller reports a failed connection in a line. Tasks are large where they carry files.
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

                def submit(call: Call) -> Future:
                    with self._connected():
                        return executor.submit(call)

                try:
                    yield submit
                except BaseException:
                    with contextlib.suppress(Exception):
                        executor.shutdown(wait=False)
                    raise

    @contextlib.contextmanager
    def _connected(self) -> Iterator[None]:
        from distributed.client import ClosedClientError

        try:
            yield
        except (OSError, asyncio.TimeoutError, concurrent.futures.CancelledError, ClosedClientError):
            raise self._lost() from None

    def _lost(self) -> EngineLost:
        return EngineLost(f"the scheduler at {self.address} has gone")


def _within(seconds: float, connect: Callable[[], Any]) -> Any:
    """What `connect` returns; None if it fails or takes longer, as it does if no scheduler listens there."""
    results = []

    def run() -> None:
        with contextlib.suppress(OSError, ValueError, asyncio.TimeoutError):
            results.append(connect())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    return results[0] if results else None
