# SPDX-License-Identifier: Apache-2.0
"""What `tiled-se crosscheck` prints, and its section of the documentation."""

from ...gen.text_table import aligned, markdown
from ..configurations import NAMED

__all__ = ["AGREES", "DIFFERS", "ERROR", "NOT_RUN", "complete", "passed", "section", "table"]

# Verdicts.
AGREES, DIFFERS, ERROR, NOT_RUN = "agrees", "differs", "error", "not run"


def passed(document: dict) -> bool:
    """Whether all simulators that were run agree."""
    return _verdicts(document) <= {AGREES, NOT_RUN}


def _verdicts(document):
    return {record["verdict"] for records in document["configurations"].values() for record in records.values()}


def table(document: dict) -> str:
    """crosscheck.json for the terminal: cycles that agree, with the number of scenarios if some were left out; speeds;
    and differences."""
    simulators, configurations = document["simulators"], document["configurations"]
    rows = [["cycles that agree (scenarios)", *simulators]]
    rows += [[name, *(_cell(records[simulator]) for simulator in simulators)]
             for name, records in configurations.items()]
    lines = [*aligned(rows), "", *(f"{name:<11} {what}{_speed(name, configurations)}"
                                   for name, what in simulators.items())]
    # A simulator that was not run has the same reason in each configuration.
    reasons = {f"{simulator}: {record['reason']}": None if record["verdict"] == NOT_RUN else name
               for name, records in configurations.items() for simulator, record in records.items()
               if record["reason"]}
    lines += ["", *(f"{name or 'left out'}: {reason}" for reason, name in reasons.items())] if reasons else []
    return "\n".join(lines)


def _cell(record):
    if record["verdict"] != AGREES:
        return "n.a." if record["verdict"] == NOT_RUN else record["verdict"].upper()
    made = len(record["scenarios"])
    return f"{record['cycles']:,}" + (f" ({made} of {made + len(record['left_out'])})" if record["left_out"] else "")


def _speed(simulator, configurations):
    """Cycles per second over all configurations and the mean time to build a model, as text; empty without results."""
    records = [record[simulator] for record in configurations.values() if "cycles" in record[simulator]]
    seconds = sum(record["run_seconds"] for record in records)
    if not seconds:
        return ""
    built = sum(record["build_seconds"] for record in records) / len(records)
    return f": {sum(record['cycles'] for record in records) / seconds:,.0f} cycles/s, {built:.1f} s to build"


def complete(document: dict) -> bool:
    """Whether crosscheck.json has every named configuration, in simulators that are all installed."""
    return list(document["configurations"]) == list(NAMED) and NOT_RUN not in _verdicts(document)


def section(document: dict) -> str:
    """crosscheck.json as a table of Markdown, a row for each simulator."""
    rows = []
    for name, what in document["simulators"].items():
        records = [records[name] for records in document["configurations"].values()]
        made = [record for record in records if "cycles" in record]
        rows.append([what, f"{sum(record['verdict'] == AGREES for record in records)} of {len(records)}",
                     sum(len(record["scenarios"]) for record in made), sum(record["cycles"] for record in made)])
    return markdown([["simulator", "agrees on configurations", "scenarios", "cycles"], *rows])
