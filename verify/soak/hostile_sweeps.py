# SPDX-License-Identifier: Apache-2.0
"""Sound sweeps: lists of which every configuration fails, or of which every one is right; what results.csv must say."""

import csv

__all__ = ["failing_sweep", "sweep_differs", "working_sweep"]

# All of its configurations fail when they are prepared: LANES doesn't divide C.
FAILING = """# a list
[defaults]
W = 6
C = 8
LANES = 3

[grid]
MID = ["relu", "silu"]
STALL = [0, 0.5]

[[configurations]]
label = "exactly K rows"
K = 3
SLACK = 0
"""
# One block, which is built once.
WORKING = """[defaults]
K = 2
W = 3
C = 2
CR = 1
H = 5

[grid]
STALL = [0, 0.5]

[[configurations]]
label = "another seed"
SEED = 9
FRAMES = 3
"""
LISTED = {
    FAILING: [{"W": 6, "C": 8, "LANES": 3, "MID": mid, "STALL": stall, "K": 7} for mid in ("relu", "silu")
              for stall in (0, 0.5)] + [{"label": "exactly K rows", "W": 6, "C": 8, "LANES": 3, "K": 3, "SLACK": 0}],
    WORKING: [{"K": 2, "W": 3, "C": 2, "CR": 1, "H": 5, "STALL": stall, "SEED": 1, "elements": 2 * 5 * 3 * 2}
              for stall in (0, 0.5)] + [{"label": "another seed", "K": 2, "W": 3, "C": 2, "CR": 1, "H": 5, "SEED": 9,
                                         "FRAMES": 3, "elements": 3 * 5 * 3 * 2}]}
RIGHT = {"bit_exact": 1, "mismatches": 0, "built_lanes": 2, "built_loadable": 1}


def failing_sweep():
    """A sound TOML file, of which every configuration fails at once."""
    return FAILING.encode()


def working_sweep():
    """A sound TOML file of some simulations of a block."""
    return WORKING.encode()


def sweep_differs(line, folder, status):
    """What of results.csv in `folder` isn't as the line's list says, as a list of texts; other lists are left out."""
    path = line.said.get("configs")
    content = line.files.get(path) if path else None
    if content not in (failing_sweep(), working_sweep()):
        return []
    right = content == working_sweep()
    found = [] if status == int(not right) else [f"exit status {status} of a {'right' if right else 'failing'} list"]
    with open(folder / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    listed = LISTED[content.decode()]
    if len(rows) != len(listed):
        return [*found, f"results.csv has {len(rows)} rows, not {len(listed)}"]
    for row, wanted in zip(rows, listed, strict=True):
        wanted = wanted | {"status": "ok", **RIGHT} if right else wanted | {"status": "failed"}
        found += [f"{name} of configuration {row['number']} is {row.get(name)!r}, not {value!r}"
                  for name, value in wanted.items() if not _same(row.get(name), value)]
        if not right and not row["reason"].startswith("LANES=3"):
            found.append(f"configuration {row['number']} has failed for {row['reason']}"[:300])
    return found


def _same(text, value):
    if isinstance(value, str):
        return text == value
    try:
        return float(text) == value
    except (TypeError, ValueError):
        return False
