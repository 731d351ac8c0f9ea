# SPDX-License-Identifier: Apache-2.0
"""Tasks on several processes. What fails, even a process that dies, concerns nothing but its own task."""

import concurrent.futures
import time

__all__ = ["run_all"]

DIED = "the process that measured it died; perhaps the machine has too little memory"


def run_all(tasks, job, engine, progress, finish=lambda task, failure: failure):
    """Run every task's job, as many at a time as `engine` has room for, in order.

    Parameters
    ----------
    tasks : sequence
        Hashable.
    job : callable
        ``job(task)`` is what a process calls: picklable, without arguments.
    engine : Local or Cluster
        Of :mod:`.local` and :mod:`.cluster`.
    progress : Progress
        Its ``started(task)``, ``done(task, failure)`` and ``say(text)`` are called.
    finish : callable
        ``finish(task, result)`` is called here with what a job returned; it returns what failed, None if nothing did.

    Returns
    -------
    dict of task to str
        What failed, and why.

    Raises
    ------
    EngineLost
        Where a cluster's scheduler has gone.
    """
    failures = {}

    def note(task, failure):
        if failure is not None:
            failures[task] = failure
        progress.done(task, failure)

    waiting = list(tasks)
    while waiting:
        suspects = _run(waiting, job, engine, progress, finish, note)
        # Which of those that ran has ended the pool nobody knows: each gets a pool of its own.
        for task in suspects:
            if _run([task], job, engine, progress, finish, note):
                note(task, DIED)
    return failures


def _run(waiting, job, engine, progress, finish, note):
    """Take tasks from `waiting` until it is empty or a process dies: those that were running then."""
    running, told = {}, False
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
                    time.sleep(engine.poll_seconds)
                    continue
                done, _ = concurrent.futures.wait(running, engine.poll_seconds, concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    # A broken pool leaves the task among those that were running.
                    failure = _outcome(running[future], future, engine, finish)
                    note(running.pop(future), failure)
        except concurrent.futures.process.BrokenProcessPool:
            return list(running.values())
    return []


def _outcome(task, future, engine, finish):
    try:
        result = engine.result(future)
    except (concurrent.futures.process.BrokenProcessPool, engine.Lost):
        raise
    except engine.died:
        return DIED
    except Exception as error:
        # A job that can't be loaded where it should run, or whose result can't be sent back.
        # Another process's traceback is no reason of its own.
        while error.__cause__ is not None and type(error.__cause__).__name__ != "_RemoteTraceback":
            error = error.__cause__
        return f"{type(error).__name__}: {str(error).strip() or 'no message'}".splitlines()[0]
    return finish(task, result)
