# SPDX-License-Identifier: Apache-2.0
"""A process that runs command lines one after the other. It has the libraries loaded, and no threads of theirs."""

import contextlib
import gc
import json
import os
import shutil
import signal
import subprocess
import sys

__all__ = ["Worker", "own_folder", "remove_runs", "serve"]

# What a worker process does: a line's number a line, answered by a line of JSON.
SERVE = "import sys; sys.path[:] = {path!r}; import {module} as m; m.serve({folder!r}, {seed!r})"
LIBRARIES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Worker:
    """Runs lines of `seed` in `folder`; its process is started when it is needed."""

    def __init__(self, folder, seed):
        self.folder, self.seed, self.process = folder, seed, None

    def run(self, number):
        """The result of line `number`, a dict."""
        if self.process is None:
            code = SERVE.format(path=[*map(str, sys.path)], module=__name__, folder=str(self.folder), seed=self.seed)
            self.process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, text=True,
                                            stdout=subprocess.PIPE, env=os.environ | dict.fromkeys(LIBRARIES, "1"))
        try:
            self.process.stdin.write(f"{number}\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if answer:
            return json.loads(answer)
        self.close()
        return {"command": "", "verdict": "", "outcome": "lost", "kind": "lost", "seconds": 0, "grown": 0,
                "faults": ["the process that ran it died"]}

    def interrupt(self):
        """Have the process end at once, whatever it runs."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)

    def close(self):
        """End the process."""
        if self.process is not None:
            with contextlib.suppress(BrokenPipeError):
                # What it was told last may still be waiting to be written to a process that is gone.
                self.process.stdin.close()
            self.process.wait()
            self.process.stdout.close()
            self.process = None


def serve(folder, seed):
    """What a worker process does."""
    from .hostile import repeat

    try:
        _load()
        # What is there now is never looked through again, nor copied for a fork.
        gc.collect()
        gc.freeze()
        answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        for number in sys.stdin:
            print(json.dumps(repeat(folder, seed, int(number))), file=answers, flush=True)
    except KeyboardInterrupt:
        # Whoever has started this one tells the user; a second one shall not cut this short.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        shutil.rmtree(own_folder(folder), ignore_errors=True)


def own_folder(folder):
    """Where the lines of this process run."""
    return os.path.join(folder, f"run-{os.getpid()}")


def remove_runs(folder):
    """Remove what processes have left that were ended before their time."""
    for path in folder.glob("run-*"):
        shutil.rmtree(path, ignore_errors=True)


def _load():
    """Import what the commands import late, and what looks at their results."""
    import onnx  # noqa: F401 - for the processes that are forked from this one

    from ...cosim import standalone  # noqa: F401 - the same
    from ...evaluate.sweep import command  # noqa: F401
    from ...golden import integer  # noqa: F401 - the same; torch comes with it
    from ...network.commands import inspect  # noqa: F401
