# SPDX-License-Identifier: Apache-2.0
"""Tasks on several processes. A task that fails, or whose process dies, leaves the others alone."""

import concurrent.futures
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from ..hdl.errors import ToolFailure

__all__ = ["DIED", "Engine", "EngineLost", "Executor", "Reporter", "TaskFailed", "reason_of", "run_all"]

DIED = "the process that measured it died; perhaps the machine has too little memory"
Task = TypeVar("Task", bound=Hashable)
Future = concurrent.futures.Future[Any]
Job = Callable[[], Any]


class EngineLost(ToolFailure):
    """A cluster's scheduler has gone; the text is one line, for the user."""


class TaskFailed(Exception):
    """Raised by a job: the text is the reason, a line for the user."""


class Executor(Protocol):
    """Runs the jobs of an engine."""

    def submit(self, job: Job) -> Future:
        """Have a process run `job`."""


class Engine(Protocol):
    """Processes: :class:`~.local.Local` ones, or those of a :class:`~.cluster.Cluster`.

    Attributes
    ----------
    died : exception class, or a tuple of them
        Raised by `result` for a job that has ended its processes.
    poll_seconds : float or None
        How often `room` may change; None is never.
    """

    @property
    def died(self) -> Any: ...

    @property
    def poll_seconds(self) -> float | None: ...

    def room(self) -> int:
        """How many tasks may run now."""

    def result(self, future: Future) -> Any:
        """The result of the job of `future`, which is done; raises what the job raised, or EngineLost."""

    def open(self) -> AbstractContextManager[Executor]:
        """An executor. Leaving the block by an exception stops its jobs."""


class Reporter(Protocol):
    """Shows how far a run has come, as :mod:`.progress` does."""

    def started(self, task: Any) -> None:
        """`task` runs from now on."""

    def done(self, task: Any, failure: str | None) -> None:
        """`task` has ended; `failure` is the reason if it failed."""

    def say(self, text: str) -> None:
        """Print a line of its own."""


def run_all(tasks: Sequence[Task], job: Callable[[Task], Job], engine: Engine, progress: Reporter,
            finish: Callable[[Task, Any], str | None] = lambda task, failure: failure) -> dict[Task, str]:
    """Run every task's job, as many at a time as `engine` has room for, in order.

    Parameters
    ----------
    tasks : sequence
        Hashable.
    job : callable
        ``job(task)`` is what a process calls: picklable, without arguments.
    engine : Engine
    progress : Reporter
    finish : callable
        ``finish(task, result)`` is called in this process with what a job returned; it returns the reason if the task
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

    waiting = list(tasks)
    while waiting:
        suspects = _run(waiting, job, engine, progress, finish, note)
        # Any of the tasks that ran may have ended the pool: each gets a pool of its own.
        for task in suspects:
            if _run([task], job, engine, progress, finish, note):
                note(task, DIED)
    return failures


def reason_of(error: BaseException) -> str:
    """`error` as a line."""
    name = "" if isinstance(error, TaskFailed) else f"{type(error).__name__}: "
    return f"{name}{str(error).strip() or 'no message'}".splitlines()[0]


def _run(waiting: list[Task], job: Callable[[Task], Job], engine: Engine, progress: Reporter,
         finish: Callable[[Task, Any], str | None], note: Callable[[Task, str | None], None]) -> list[Task]:
    """Take tasks from `waiting` until it is empty or a process dies; returns the tasks that were running then."""
    running: dict[Future, Task] = {}
    told = False
    with engine.open() as executor:
        try:
            while waiting or running:
                room = engine.room()
                while waiting and len(running) < room:
                    running[executor.submit(job(waiting[0]))] = waiting[0]
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
                    failure = _failure(running[future], future, engine, finish)
                    note(running.pop(future), failure)
        except BrokenProcessPool:
            return list(running.values())
    return []


def _failure(task: Task, future: Future, engine: Engine, finish: Callable[[Task, Any], str | None]) -> str | None:
    try:
        result = engine.result(future)
    except (BrokenProcessPool, EngineLost):
        raise
    except engine.died:
        return DIED
    except Exception as error:
        # Perhaps the job could not be loaded there, or its result could not be sent back.
        cause: BaseException = error
        # The traceback of another process, which is chained as a cause, is none.
        while cause.__cause__ is not None and type(cause.__cause__).__name__ != "_RemoteTraceback":
            cause = cause.__cause__
        return reason_of(cause)
    return finish(task, result)
