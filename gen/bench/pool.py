# SPDX-License-Identifier: Apache-2.0
"""Tasks on several processes. What fails, even a process that dies, concerns nothing but its own task."""

import concurrent.futures
import multiprocessing

__all__ = ["run_all"]

DIED = "the process that measured it died; perhaps the machine has too little memory"


def run_all(tasks, work, folder, jobs, progress):
    """Call ``work(task, folder)`` for all tasks, `jobs` at a time, in order.

    Parameters
    ----------
    tasks : sequence of Task
    work : callable
        A module's function; it returns what failed, None if nothing did.
    folder : str
    jobs : int
        Processes.
    progress : Progress
        Its ``started(task)`` and ``done(task, failure)`` are called.

    Returns
    -------
    dict of Task to str
        What failed, and why.
    """
    failures = {}

    def note(task, failure):
        if failure is not None:
            failures[task] = failure
        progress.done(task, failure)

    waiting = list(tasks)
    while waiting:
        suspects = _run(waiting, work, folder, jobs, progress, note)
        # Which of those that ran has ended the pool nobody knows: each gets a pool of its own.
        for task in suspects:
            if _run([task], work, folder, 1, progress, note):
                note(task, DIED)
    return failures


def _run(waiting, work, folder, jobs, progress, note):
    """Take tasks from `waiting` until it is empty or a process dies: those that were running then."""
    running = {}
    with _pool(jobs) as pool:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    running[pool.submit(work, waiting[0], folder)] = waiting[0]
                    progress.started(waiting.pop(0))
                done, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    # What raises leaves the task among those that were running.
                    failure = future.result()
                    note(running.pop(future), failure)
        except concurrent.futures.process.BrokenProcessPool:
            return list(running.values())
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise
    return []


def _pool(jobs):
    # Not forked: torch, once it has run in a process, does not survive that.
    return concurrent.futures.ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"))
