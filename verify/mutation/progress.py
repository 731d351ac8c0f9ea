# SPDX-License-Identifier: Apache-2.0
"""How far a run of many short tasks has come: a line every tenth of them."""

__all__ = ["Tally"]


class Tally:
    """Counts tasks that are done, as :func:`~tiled_se.batch.pool.run_all` tells of them.

    Parameters
    ----------
    total : int
    what : str
        What the lines begin with.
    """

    def __init__(self, total, what):
        self.total, self.what, self.count = total, what, 0

    def started(self, task):
        """A task has begun: of one that takes no time there is nothing to say."""

    def done(self, task, failure):
        """A task has ended."""
        self.at(self.count + 1)

    def at(self, count):
        """So many are done."""
        if 10 * count // self.total > 10 * self.count // self.total:
            self.say(f"{self.what}: {count} of {self.total}")
        self.count = count

    def say(self, text):
        """Print a line."""
        print(text, flush=True)
