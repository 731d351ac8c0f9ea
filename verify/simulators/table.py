# SPDX-License-Identifier: Apache-2.0
"""What `tiled-se crosscheck` prints."""

__all__ = ["table"]


def table(document):
    """A table of ``crosscheck.json``'s document: cycles that agree, and in how many runs where that is not all of them;
    then speeds, and what differs."""
    simulators, configurations = document["simulators"], document["configurations"]
    rows = [["cycles that agree (runs)", *simulators]]
    rows += [[name, *(_cell(found[simulator]) for simulator in simulators)] for name, found in configurations.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(text.rjust(width) if column else text.ljust(width)
                       for column, (text, width) in enumerate(zip(row, widths, strict=True))) for row in rows]
    lines += ["", *(f"{name:<11} {what}{_speed(name, configurations)}" for name, what in simulators.items())]
    reasons = {f"{simulator}: {about['reason']}": None if about["verdict"] == "not asked" else name
               for name, found in configurations.items() for simulator, about in found.items() if about["reason"]}
    lines += ["", *(f"{name or 'left out'}: {reason}" for reason, name in reasons.items())] if reasons else []
    return "\n".join(lines)


def _cell(about):
    if about["verdict"] != "agrees":
        return {"not asked": "n.a."}.get(about["verdict"], about["verdict"].upper())
    ran = len(about["runs"])
    return f"{about['cycles']:,}" + (f" ({ran} of {ran + len(about['left_out'])})" if about["left_out"] else "")


def _speed(simulator, configurations):
    """Cycles a second over all configurations, and the time for a model, as text; empty where nothing ran."""
    ran = [found[simulator] for found in configurations.values() if "cycles" in found[simulator]]
    seconds = sum(about["run_seconds"] for about in ran)
    if not seconds:
        return ""
    built = sum(about["build_seconds"] for about in ran) / len(ran)
    return f": {sum(about['cycles'] for about in ran) / seconds:,.0f} cycles/s, {built:.1f} s to build"
