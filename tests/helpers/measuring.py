# SPDX-License-Identifier: Apache-2.0
"""What the processes of benchmarks and sweeps do in tests: measure, or go wrong in some way."""

import os
import subprocess
import time

from tiled_se.evaluate import measure


def off_by_one(task, folder):
    """`measure.work` with an analytic count that is wrong."""
    right = measure._analytic

    def wrong(job):
        figures = right(job)
        return figures | {"total_cycles": figures["total_cycles"] + 1}

    measure._analytic = wrong
    try:
        return measure.work(task, folder)
    finally:
        measure._analytic = right


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
