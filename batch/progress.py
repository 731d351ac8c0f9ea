# SPDX-License-Identifier: Apache-2.0
"""How far a run has come: a bar on a terminal, plain lines elsewhere."""

import sys

__all__ = ["Progress"]


class Progress:
    """Tells of tasks as they start and end; a context manager.

    Parameters
    ----------
    total : int
        Tasks that the run has.
    kept : int
        How many of these are finished from earlier.
    stream : text file, optional
        Standard output by default.
    """

    def __init__(self, total, kept, stream=None):
        self.total, self.count = total, kept
        self.stream = sys.stdout if stream is None else stream
        self.bar, self.running = None, {}
        if self.stream.isatty():
            from tqdm import tqdm

            # Of what was measured today only, or the time left would be far too short.
            self.bar = tqdm(total=total, initial=kept, file=self.stream, unit="task", dynamic_ncols=True,
                            smoothing=0.05)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.bar is not None:
            self.bar.close()

    def started(self, task):
        """`task` runs from now on."""
        self.running[task] = True
        self._show()

    def done(self, task, failure):
        """`task` has ended, for the reason `failure` if that isn't None."""
        self.running.pop(task, None)
        self.count += 1
        if failure is not None or self.bar is None:
            self.say(f"[{self.count}/{self.total}] {task}" + (f": FAILED, {failure}" if failure else ""))
        if self.bar is not None:
            self.bar.update()
        self._show()

    def say(self, text):
        """Print a line of its own."""
        if self.bar is not None:
            self.bar.write(text, file=self.stream)
        else:
            print(text, file=self.stream, flush=True)

    def _show(self):
        if self.bar is not None and self.running:
            # The one that runs longest; a bar has one line.
            self.bar.set_postfix_str(str(next(iter(self.running))))
