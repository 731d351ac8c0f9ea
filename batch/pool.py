# SPDX-License-Identifier: Apache-2.0
"""Processes that make calls, and what they raise."""

import abc
import concurrent.futures
import time
from collections.abc import Callable, Hashable
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from ..hdl.errors import ToolFailure

__all__ = ["DIED", "Engine", "EngineLost", "TaskFailed", "ToolReason", "drain", "reason_of"]

DIED = "the process that measured it died; perhaps the machine has too little memory"
Task = TypeVar("Task", bound=Hashable)
Future = concurrent.futures.Future[Any]
# What a process runs: picklable, without arguments.
Call = Callable[[], Any]


class EngineLost(ToolFailure):
    """A cluster's scheduler has gone; the text is one line, for the user."""


class TaskFailed(Exception):
    """Raised by a call: the text is the reason, a line for the user."""


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


class ToolReason(str):
    """The reason of a task whose tool is missing or failed."""

    __slots__ = ()


def reason_of(error: BaseException) -> str:
    """`error` as a line, without what a tool printed; a :class:`ToolReason` if it is a tool's."""
    name = "" if isinstance(error, (TaskFailed, ToolFailure)) else f"{type(error).__name__}: "
    line = f"{name}{str(error).strip() or 'no message'}".splitlines()[0].rstrip(":")
    return ToolReason(line) if isinstance(error, ToolFailure) else line


def drain(waiting: list[Task], engine: Engine, start: Callable[[Task], Call], end: Callable[[Task, Future], None],
          say: Callable[[str], None]) -> list[Task]:
    """Run the calls of tasks, as many at a time as `engine` has room for, in order.

    Takes tasks from `waiting` until it is empty or a process dies; returns the tasks that were running then.
    ``start(task)`` returns what a process calls, ``end(task, future)`` is called when that is done, and ``say(text)``
    while the engine has no room at all.
    """
    running: dict[Future, Task] = {}
    told = False
    with engine.open() as submit:
        try:
            while waiting or running:
                room = engine.room()
                while waiting and len(running) < room:
                    running[submit(start(waiting[0]))] = waiting[0]
                    waiting.pop(0)
                if not room and not told:
                    say(f"{engine} has no workers; waiting for some")
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
