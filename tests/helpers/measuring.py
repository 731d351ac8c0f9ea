# SPDX-License-Identifier: Apache-2.0
"""Calls of tests, which measure or go wrong in some way, and an engine that makes calls in this process."""

import concurrent.futures
import contextlib
import os
import subprocess
import time

from tiled_se.batch import Progress
from tiled_se.batch.pool import Engine


class InPlace(Engine):
    """Runs calls in this process, one at a time."""

    def __init__(self, jobs=None):
        pass

    def __str__(self):
        return "in place"

    def room(self):
        return 1

    @contextlib.contextmanager
    def open(self):
        yield self.submit

    def submit(self, call):
        future = concurrent.futures.Future()
        try:
            future.set_result(call())
        except Exception as error:
            future.set_exception(error)
        return future


class Silent(Progress):
    """Progress that is not shown; `ended` are the tasks that have ended."""

    bar = None

    def __init__(self, *_):
        self.ended = []

    def started(self, task):
        pass

    def done(self, task, failure):
        self.ended.append(task)

    def say(self, text):
        pass


def by_name(task, folder, again=False):
    """Does what the task says, a text, and leaves a file of that name; a second time only with `again`."""
    if task.startswith("die"):
        os._exit(1)
    if task.startswith("interrupt"):
        raise KeyboardInterrupt
    with open(os.path.join(folder, task), "w" if again else "x"):
        return "no good" if task.startswith("fail") else None


def meets(task, folder, others, seconds):
    """Whether so many others have begun before this one ends, which waits for them."""
    with open(os.path.join(folder, task), "x"):
        pass
    end = time.monotonic() + seconds
    while (alone := len(os.listdir(folder)) <= others) and time.monotonic() < end:
        time.sleep(0.02)
    return not alone


def long(folder):
    """Starts a process that sleeps, and leaves its number in a file; another file tells that it could clean up."""
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            with open(os.path.join(folder, "started.tmp"), "x") as file:
                file.write(f"{os.getpid()} {process.pid}")
            os.rename(os.path.join(folder, "started.tmp"), os.path.join(folder, "started"))
            process.wait()
        finally:
            process.kill()
            process.wait()
            with open(os.path.join(folder, "cleaned"), "x"):
                pass
