# SPDX-License-Identifier: Apache-2.0
"""How far a run has come: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from typing import Any, TextIO

__all__ = ["Progress", "Tally"]


class Progress:
    """Shows tasks as they start and end; a context manager.

    Parameters
    ----------
    total : int
        Tasks that the run has.
    kept : int
        How many of these are finished from earlier.
    stream : text file, optional
        Standard output by default.
    timed : bool
        Whether a task's line has the seconds since the start.
    """

    def __init__(self, total: int, kept: int, stream: TextIO | None = None, timed: bool = False):
        self.total, self.count = total, kept
        self.stream = sys.stdout if stream is None else stream
        self.start = time.monotonic() if timed else None
        self.bar: Any = None
        self.running: dict[Any, bool] = {}
        if self.stream.isatty():
            from tqdm import tqdm

            # Tasks that were finished earlier don't count for the time left, which would be far too short.
            self.bar = tqdm(total=total, initial=kept, file=self.stream, unit="task", dynamic_ncols=True,
                            smoothing=0.05)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def started(self, task: Any) -> None:
        """`task` runs from now on."""
        self.running[task] = True
        self._show()

    def done(self, task: Any, failure: str | None) -> None:
        """`task` has ended; `failure` is the reason if it failed."""
        self.running.pop(task, None)
        self.count += 1
        if failure is not None or self.bar is None:
            at = "" if self.start is None else f", at {time.monotonic() - self.start:.0f} s"
            self.say(f"[{self.count}/{self.total}] {task}{at}" + (f": FAILED, {failure}" if failure else ""))
        if self.bar is not None:
            self.bar.update()
        self._show()

    def say(self, text: str) -> None:
        """Print a line of its own."""
        if self.bar is not None:
            self.bar.write(text, file=self.stream)
        else:
            print(text, file=self.stream, flush=True)

    def _show(self) -> None:
        if self.bar is not None and self.running:
            # A bar has one line: it shows the task that runs longest.
            self.bar.set_postfix_str(str(next(iter(self.running))))


class Tally(Progress):
    """Counts many short tasks and prints a line for every tenth of them.

    Parameters
    ----------
    total : int
    what : str
        The beginning of the lines.
    """

    def __init__(self, total: int, what: str):
        self.total, self.what, self.count, self.bar, self.stream = total, what, 0, None, sys.stdout

    def started(self, task: Any) -> None:
        """Show nothing: the task is short."""

    def done(self, task: Any, failure: str | None) -> None:
        """`task` has ended."""
        self.at(self.count + 1)

    def at(self, count: int) -> None:
        """`count` tasks have ended."""
        if 10 * count // self.total > 10 * self.count // self.total:
            self.say(f"{self.what}: {count} of {self.total}")
        self.count = count
