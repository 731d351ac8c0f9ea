# SPDX-License-Identifier: Apache-2.0
"""All that there is to prove: tasks for other processes, and what they find put together."""

import functools

from ...batch import Campaign, Progress
from ...hdl.config import ConfigError
from .source import components, proofs_of
from .table import complaint
from .work import ERROR, Task, work

__all__ = ["Run", "select"]


def select(only):
    """The (component, number, proof) of `only`, names of components and proofs; all if it is None.

    Raises
    ------
    ConfigError
        ("only") for a name that is neither.
    """
    every = [(component, number, proof) for component in components()
             for number, proof in enumerate(proofs_of(component))]
    for name in only or ():
        if not any(name in (component, proof.name) for component, _, proof in every):
            raise ConfigError("only", name, f"must be one of {', '.join(components())}, or a proof's name in the table")
    return [(component, number, proof) for component, number, proof in every
            if only is None or component in only or proof.name in only]


class Run:
    """Proofs, their faults, and what came of them.

    Parameters
    ----------
    selected : list
        Of `select`.
    """

    def __init__(self, selected):
        self.selected = selected
        self.records = {}
        self._proofs = [Task(component, number, None, proof.name) for component, number, proof in selected]
        self._faults = [[Task(component, number, index, f"{proof.name}: {fault.name}")
                         for index, fault in enumerate(proof.faults)] for component, number, proof in selected]

    def go(self, engine):
        """Have `engine` do all tasks, proofs first: they take longest."""
        tasks = [*self._proofs, *(task for tasks in self._faults for task in tasks)]
        campaign = Campaign(tasks)
        campaign.run(lambda task: functools.partial(work, task), engine, judge=lambda _, record: complaint(record),
                     progress=functools.partial(Progress, timed=True))
        self.records = {task: {"verdict": ERROR, "seconds": None, "reason": reason, "trace": None}
                        for task, reason in campaign.failures.items()} | campaign.results

    def documents(self):
        """A record for each proof, as JSON has it."""
        return [
            {"name": proof.name, "component": component, "method": proof.method, "depth": proof.depth, "why": proof.why}
            | self._record(task)
            | {"faults": [{"name": fault.name, "file": fault.file, "breaks": fault.breaks} | self._record(its)
                          for fault, its in zip(proof.faults, tasks, strict=True)]}
            for (component, _, proof), task, tasks in zip(self.selected, self._proofs, self._faults, strict=True)]

    def _record(self, task):
        record = self.records[task]
        return record | {"trace": self._trace(task) if record["trace"] else None}

    @staticmethod
    def _trace(task):
        return f"{task.component}-{task.proof}.vcd"

    def traces(self):
        """The waveforms of what failed, by file name."""
        return {self._trace(task): record["trace"].encode() for task, record in self.records.items() if record["trace"]}
