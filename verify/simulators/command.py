# SPDX-License-Identifier: Apache-2.0
"""`tiled-se crosscheck`: every named configuration in every simulator, a table, and crosscheck.json."""

import dataclasses
import functools
import os
from collections.abc import Iterable

from ...batch import Campaign, Local
from ...gen.files import json_bytes, output_folder, write_all
from ...gen.fpga.tools import TOOLS
from ...hdl.config import ConfigError
from ..configurations import NAMED, NamedBlock, quantised
from ..options import CrosscheckOptions
from .compare import differences, observe
from .simulators import REFERENCE, SIMULATORS
from .table import AGREES, DIFFERS, ERROR, NOT_RUN, passed, table

__all__ = ["RESULT", "crosscheck", "select"]

RESULT = "crosscheck.json"


@dataclasses.dataclass(frozen=True)
class CrosscheckTask:
    """One configuration in one simulator, by their names."""

    configuration: str
    simulator: str

    def __str__(self):
        return f"{self.configuration}: {self.simulator}"


def crosscheck(options: CrosscheckOptions) -> bool:
    """Run all simulators, print a table, and write ``crosscheck.json`` into the folder.

    Returns whether all installed simulators agree. ``options.only`` has words in names of configurations. Raises
    ConfigError ("only") for a word that is in no name, ToolError where yosys is not installed.
    """
    folder = output_folder(options, [RESULT])
    names = select(options.only)
    TOOLS["yosys"].check()
    campaign = Campaign([CrosscheckTask(name, simulator) for simulator in SIMULATORS for name in names
                         if not SIMULATORS[simulator].lacks])
    campaign.run(lambda task: functools.partial(_observe, task), Local(options.jobs),
                 outputs=[os.path.join(folder, RESULT)])
    document = {"reference": REFERENCE, "simulators": {name: simulator.what for name, simulator in SIMULATORS.items()},
                "configurations": {name: _judged(name, campaign) for name in names}}
    write_all(folder, {RESULT: json_bytes(document)})
    print(table(document))
    print(f"wrote       {os.path.join(folder, RESULT)}")
    return passed(document)


def select(only: Iterable[str] | None) -> list[str]:
    """The names of configurations with one of the words `only`; all if it is None.

    Raises ConfigError ("only") for a word that is in no name.
    """
    for word in only or ():
        if not any(word.lower() in name.lower() for name in NAMED):
            raise ConfigError("only", word, f"must be in one of the names: {'; '.join(NAMED)}")
    return [name for name in NAMED if only is None or any(word.lower() in name.lower() for word in only)]


def _observe(task):
    block = NamedBlock(task.configuration, *quantised(**NAMED[task.configuration]))
    return observe(block, SIMULATORS[task.simulator])


def _judged(name, campaign):
    """Each simulator's record of a configuration, with a ``verdict`` and a ``reason``."""
    reference = campaign.results.get(CrosscheckTask(name, REFERENCE))

    def judged(simulator):
        task, lacks = CrosscheckTask(name, simulator), SIMULATORS[simulator].lacks
        if lacks:
            return {"verdict": NOT_RUN, "reason": lacks}
        if task not in campaign.results or reference is None:
            return {"verdict": ERROR, "reason": campaign.failures.get(task, f"{REFERENCE} gave no result")}
        differing = differences(reference, campaign.results[task])
        verdict = DIFFERS if differing else AGREES
        return {"verdict": verdict, "reason": "; ".join(differing[:3])} | campaign.results[task]

    return {simulator: judged(simulator) for simulator in SIMULATORS}
