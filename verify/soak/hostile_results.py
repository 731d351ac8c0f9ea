# SPDX-License-Identifier: Apache-2.0
"""The results of a command that ended well, against what its line asked for."""

from .hostile_apart import apart
from .hostile_blocks import planned_differs, simulated_differs, written_differs
from .hostile_networks import network_differs
from .hostile_sweeps import sweep_differs, working_sweep
from .hostile_twins import results_folder

__all__ = ["kind_of", "results"]


def results(line, outcome, place):
    """What is wrong, as a list of texts; of a line that has succeeded, or of whose list not everything has."""
    if not line.command:
        return [] if outcome.out.strip() or line.stdout != "file" else ["says nothing"]
    if line.command == "sweep":
        return sweep_differs(line, results_folder(line, place.work), outcome.status)
    if outcome.status:
        return []
    if line.command in ("sim", "verilog", "synth"):
        folder = results_folder(line, place.work)
        if line.planned:
            return planned_differs(line, place.work, folder)
        return apart(simulated_differs if line.command == "sim" else written_differs, line, place, folder)
    return apart(network_differs, line, place, outcome.out)


def kind_of(line, status):
    """How far a line has come, by its exit `status`: ``help``, ``planned``, ``whole``, ``simulated`` or ``not``.

    The latter two have done all that was asked for; ``simulated`` ones have been simulated as well, by the command, by
    us or by both.
    """
    if status != 0:
        return "not"
    if not line.command or line.planned:
        return "planned" if line.command else "help"
    simulates = line.command in ("sim", "build") or line.command == "verilog" and line.stdout == "file" or (
        line.command == "sweep" and line.files.get(line.said.get("configs")) == working_sweep())
    return "simulated" if simulates else "whole"
