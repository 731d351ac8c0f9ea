# SPDX-License-Identifier: Apache-2.0
"""`tiled-se crosscheck`: every named configuration in every simulator, a table, and crosscheck.json."""

import dataclasses
import functools
import os

from ...batch import Campaign, Local
from ...gen.files import json_bytes, output_folder, write_all
from ...gen.fpga.tools import TOOLS
from ...hdl.config import ConfigError
from ..configurations import NAMED, quantised
from ..options import CrosscheckOptions
from .compare import ask, differences
from .simulators import REFERENCE, SIMULATORS, Block
from .table import table

__all__ = ["AGREES", "DIFFERS", "ERROR", "NOT_ASKED", "crosscheck", "select"]

RESULT = "crosscheck.json"
# Verdicts.
AGREES, DIFFERS, ERROR, NOT_ASKED = "agrees", "differs", "error", "not asked"


@dataclasses.dataclass(frozen=True)
class Task:
    """One configuration in one simulator, by their names."""

    configuration: str
    simulator: str

    def __str__(self):
        return f"{self.configuration}: {self.simulator}"


def crosscheck(options: CrosscheckOptions) -> bool:
    """Ask them all, print a table, write ``crosscheck.json`` into the folder.

    Parameters
    ----------
    options : CrosscheckOptions
        ``only``: words of configurations' names, None for all. ``jobs``: how many at a time, None for all cores.

    Returns
    -------
    bool
        Whether all agree: those that are there.

    Raises
    ------
    ConfigError
        ("only") for a word that no name has.
    ToolError
        Where yosys is not installed.
    """
    folder = output_folder(options)
    names = select(options.only)
    TOOLS["yosys"].check()
    tasks = [Task(name, simulator) for simulator in SIMULATORS for name in names if not SIMULATORS[simulator].lacks]
    campaign = Campaign(tasks)
    campaign.run(lambda task: functools.partial(_work, task), Local(options.jobs))
    records, failures = campaign.results, campaign.failures
    document = {"reference": REFERENCE, "simulators": {name: simulator.what for name, simulator in SIMULATORS.items()},
                "configurations": {name: _judged(name, records, failures) for name in names}}
    write_all(folder, {RESULT: json_bytes(document)})
    print(table(document))
    print(f"wrote       {os.path.join(folder, RESULT)}")
    return all(opinion["verdict"] in (AGREES, NOT_ASKED) for configuration in document["configurations"].values()
               for opinion in configuration.values())


def select(only):
    """The names of configurations that have one of the words `only`; all if it is None.

    Raises
    ------
    ConfigError
        ("only") for a word that no name has.
    """
    for word in only or ():
        if not any(word.lower() in name.lower() for name in NAMED):
            raise ConfigError("only", word, f"must be in one of the names: {'; '.join(NAMED)}")
    return [name for name in NAMED if only is None or any(word.lower() in name.lower() for word in only)]


def _work(task):
    return ask(Block(*quantised(**NAMED[task.configuration])), SIMULATORS[task.simulator])


def _judged(name, records, failures):
    """What each simulator says of a configuration: its record, with a ``verdict`` and a ``reason``."""
    reference, found = records.get(Task(name, REFERENCE)), {}
    for simulator, about in SIMULATORS.items():
        task = Task(name, simulator)
        if about.lacks:
            found[simulator] = {"verdict": NOT_ASKED, "reason": about.lacks}
        elif task not in records or reference is None:
            found[simulator] = {"verdict": ERROR, "reason": failures.get(task, f"{REFERENCE} gave no result")}
        else:
            differing = differences(reference, records[task])
            found[simulator] = {"verdict": DIFFERS if differing else AGREES, "reason": "; ".join(differing[:3])}
            found[simulator] |= records[task]
    return found
