# SPDX-License-Identifier: Apache-2.0
"""Tasks on several processes. A task that fails, or whose process dies, leaves the others alone."""

import abc
import concurrent.futures
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from ..hdl.errors import ToolFailure
from .progress import Progress

__all__ = ["DIED", "Engine", "EngineLost", "TaskFailed", "reason_of", "run_all"]

DIED = "the process that measured it died; perhaps the machine has too little memory"
Task = TypeVar("Task", bound=Hashable)
Future = concurrent.futures.Future[Any]
# What a process runs: picklable, without arguments.
Call = Callable[[], Any]


class EngineLost(ToolFailure):
    """A cluster's scheduler has gone; the text is one line, for the user."""


class TaskFailed(Exception):
    """Raised by a job: the text is the reason, a line for the user."""


class Engine(abc.ABC):
    """Processes: those of this machine (:class:`~.local.Local`) or of a cluster (:class:`~.cluster.Cluster`).

    Attributes
    ----------
    poll_seconds : float or None
        How often `room` may change; None is never.
    """

    poll_seconds: float | None = None

    @abc.abstractmethod
    def room(self) -> int:
        """How many tasks may run now."""

    @abc.abstractmethod
    def open(self) -> AbstractContextManager[Callable[[Call], Future]]:
        """A function that has a process make a call. Leaving the block by an exception stops the calls."""

    def result(self, future: Future) -> Any:
        """What the call of `future`, which is done, returned; raises what it raised, TaskFailed or EngineLost."""
        return future.result()


def run_all(tasks: Sequence[Task], call: Callable[[Task], Call], engine: Engine, progress: Progress,
            finish: Callable[[Task, Any], str | None] = lambda task, failure: failure) -> dict[Task, str]:
    """Run every task's call, as many at a time as `engine` has room for, in order.

    Parameters
    ----------
    tasks : sequence
        Hashable.
    call : callable
        ``call(task)`` is what a process runs: picklable, without arguments.
    engine : Engine
    progress : Progress
    finish : callable
        ``finish(task, result)`` is called in this process with what a call returned; it returns the reason if the task
        failed, else None.

    Returns
    -------
    dict of task to str
        The tasks that failed, and why.

    Raises
    ------
    EngineLost
        Where a cluster's scheduler has gone.
    """
    failures: dict[Task, str] = {}

    def note(task: Task, failure: str | None) -> None:
        if failure is not None:
            failures[task] = failure
        progress.done(task, failure)

    def end(task: Task, future: Future) -> None:
        try:
            result = engine.result(future)
        except (BrokenProcessPool, EngineLost):
            raise
        except Exception as error:
            # Perhaps the call could not be loaded there, or its result could not be sent back.
            cause: BaseException = error
            # The traceback of another process, which is chained as a cause, is none.
            while cause.__cause__ is not None and type(cause.__cause__).__name__ != "_RemoteTraceback":
                cause = cause.__cause__
            note(task, reason_of(cause))
        else:
            note(task, finish(task, result))

    waiting = list(tasks)
    while waiting:
        suspects = _run(waiting, call, engine, progress, end)
        # Any of the tasks that ran may have ended the pool: each gets a pool of its own.
        for task in suspects:
            if _run([task], call, engine, progress, end):
                note(task, DIED)
    return failures


def reason_of(error: BaseException) -> str:
    """`error` as a line."""
    name = "" if isinstance(error, TaskFailed) else f"{type(error).__name__}: "
    return f"{name}{str(error).strip() or 'no message'}".splitlines()[0]


def _run(waiting: list[Task], call: Callable[[Task], Call], engine: Engine, progress: Progress,
         end: Callable[[Task, Future], None]) -> list[Task]:
    """Take tasks from `waiting` until it is empty or a process dies; returns the tasks that were running then."""
    running: dict[Future, Task] = {}
    told = False
    with engine.open() as submit:
        try:
            while waiting or running:
                room = engine.room()
                while waiting and len(running) < room:
                    running[submit(call(waiting[0]))] = waiting[0]
                    progress.started(waiting.pop(0))
                if not room and not told:
                    progress.say(f"{engine} has no workers; waiting for some")
                told = not room
                if not running:
                    time.sleep(engine.poll_seconds or 0)
                    continue
                done, _ = concurrent.futures.wait(running, engine.poll_seconds, concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    # If the pool is broken, the task stays among those that were running.
                    end(running[future], future)
                    del running[future]
        except BrokenProcessPool:
            return list(running.values())
    return []
