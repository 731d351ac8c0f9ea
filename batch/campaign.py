# SPDX-License-Identifier: Apache-2.0
"""A campaign: many tasks whose results are kept, so that the same command continues after an interruption."""

import functools
import os
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Generic, TypeVar

from ..gen.files import check_folder, discard
from .pool import DIED, Call, Engine, EngineLost, Future, drain, reason_of
from .progress import Progress
from .store import Store, digest

__all__ = ["Campaign"]

Task = TypeVar("Task", bound=Hashable)
Identity = Callable[[], dict[str, str]]


class Campaign(Generic[Task]):
    """Tasks with the results that are kept of them from earlier runs.

    Parameters
    ----------
    tasks : iterable
        Hashable, and as text what the user sees; equal ones are one task.
    what : str
        Names the tasks in what is printed, as "measurements".
    folder : str, optional
        Where results are kept; without it none are. ConfigError ("out") where it can't be written.
    settings : callable, optional
        ``settings(task)`` is all that decides the task's result beside `identity`, JSON-serialisable; None for a task
        whose result is not kept.
    identity : callable, optional
        A module's function without arguments: versions and sources that decide results, by name. A worker process with
        another identity is refused.

    Attributes
    ----------
    results : dict of task to Any
        What the calls returned, in this run or in an earlier one; JSON-serialisable if it is kept.
    failures : dict of task to str
        Why tasks failed in this run. A task may be in both, if `run` judged its result to be wrong.
    """

    def __init__(self, tasks: Iterable[Task], what: str = "tasks", folder: str | None = None,
                 settings: Callable[[Task], Any] = lambda task: None, identity: Identity | None = None):
        self.tasks = list(dict.fromkeys(tasks))
        self.what, self.folder, self._identity = what, folder, identity
        store = self._store = None if folder is None else Store(folder)
        self._keys: dict[Task, str] = {}
        self.results: dict[Task, Any] = {}
        self.failures: dict[Task, str] = {}
        if folder is not None:
            check_folder(folder)
        if store is not None:
            for task in self.tasks:
                if (decides := settings(task)) is not None:
                    self._keys[task] = key = digest(decides, identity and identity())
                    if (result := store.load(key)) is not None:
                        self.results[task] = result

    def run(self, call: Callable[[Task], Call], engine: Engine, *,
            judge: Callable[[Task, Any], str | None] = lambda task, result: None, shown: str | None = None,
            outputs: Iterable[str] = (), progress: Callable[[int, int], Progress] = Progress) -> None:
        """Run the tasks without a result; those that fail, or whose process dies, don't stop the others.

        Parameters
        ----------
        call : callable
            ``call(task)`` is what a process runs: picklable, without arguments. It fails by raising an exception.
        engine : Engine
        judge : callable
            ``judge(task, result)`` returns the reason if the result is wrong, else None: only then it is kept.
        shown : str, optional
            The folder as the user knows it; the one where results are kept by default.
        outputs : iterable of str
            Files that an earlier run has written. They are removed when the first task starts: beside a run that was
            interrupted they would pass for its results.
        progress : callable
            From the numbers of all tasks and of finished ones to what shows how far the run has come.

        Raises
        ------
        EngineLost
            Where a cluster's scheduler has gone; a further run continues.
        """
        missing = [task for task in self.tasks if task not in self.results]
        kept, started = len(self.tasks) - len(missing), False
        self.failures = {}

        def start(task: Task) -> Call:
            nonlocal started
            if not started:
                started = True
                for path in outputs:
                    discard(os.path.dirname(path), [os.path.basename(path)])
            reporter.started(task)
            return functools.partial(_attempt, call(task), self._identity, self._identity and self._identity())

        def end(task: Task, future: Future) -> None:
            nonlocal kept
            try:
                result, reason = engine.result(future)
            except (BrokenProcessPool, EngineLost):
                raise
            except Exception as error:
                # Perhaps the call could not be loaded there, or its result could not be sent back.
                cause: BaseException = error
                # The traceback of another process, which is chained as a cause, is none.
                while cause.__cause__ is not None and type(cause.__cause__).__name__ != "_RemoteTraceback":
                    cause = cause.__cause__
                reason = reason_of(cause)
            if reason is None:
                self.results[task] = result
                reason = judge(task, result)
                if reason is None and self._store is not None and task in self._keys:
                    self._store.save(self._keys[task], result)
                    kept += 1
            note(task, reason)

        def note(task: Task, failure: str | None) -> None:
            if failure is not None:
                self.failures[task] = failure
            reporter.done(task, failure)

        if self._store is not None:
            print(f"{len(self.tasks)} {self.what}, {kept} of them finished before; {engine}; results in "
                  f"{shown or self.folder}", flush=True)
        if not missing:
            return
        try:
            with progress(len(self.tasks), kept) as reporter:
                while missing:
                    # Any of the tasks that ran may have ended the pool: each gets a pool of its own.
                    for task in drain(missing, engine, start, end, reporter.say):
                        if drain([task], engine, start, end, reporter.say):
                            note(task, DIED)
        except BaseException:
            if started and self._store is not None:
                print(f"{kept} of {len(self.tasks)} {self.what} are finished; the same command continues",
                      flush=True)
            raise


def _attempt(call: Call, identity: Identity | None, expected: dict[str, str] | None) -> tuple[Any, str | None]:
    """In a worker process: what `call` returns, or why there is nothing."""
    if identity is not None and (refused := _difference(identity(), expected or {})):
        return None, refused
    try:
        return call(), None
    except Exception as error:
        # Not left to the pool: there are exceptions that can't be sent to another process.
        return None, reason_of(error)


def _difference(ours: dict[str, str], expected: dict[str, str]) -> str | None:
    """How the identity of a worker differs from the caller's, as a line; None if it doesn't."""
    names = [name for name in expected if ours.get(name) != expected[name]]
    if not names:
        return None
    return "its worker has " + ", ".join(
        "other sources, perhaps changed during the run" if name == "sources"
        else f"{name} {ours.get(name) or 'missing'} and not {expected[name] or 'missing'}" for name in names)
