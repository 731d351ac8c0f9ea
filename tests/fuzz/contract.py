# SPDX-License-Identifier: Apache-2.0
"""What every command does and never does, whatever it is given: exit status, message, files, memory, time."""

import csv
import json
import os
import re

import numpy as np

from tiled_se.cli.commands import COMMANDS
from tiled_se.cosim.cache import default_root

from . import plan

__all__ = ["ERROR", "breaches", "results_folder"]

MOST_GROWN = 2 << 30
MOST_MESSAGE = 10_000
ERROR = "tiled-se: error: "
# onnxruntime's own, in the folder for temporary files.
SESSION = "tmp/.ses"
# Exit statuses besides those that the command's help tells.
MISMATCH, FULL, INTERRUPTED, CLOSED_PIPE = 1, 74, (130, -15, -2), 141
# What a command that ends well has written into its folder.
RESULTS = {"sim": ("report.json", "output.npz"), "verilog": ("manifest.json",), "build": ("report.json",),
           "sweep": ("results.csv", "summary.json"), "report": ("report.json", "report.svg")}


def breaches(line, outcome):
    """What is wrong with the `outcome` of `line`, as a list of texts."""
    found = [*_ending(line, outcome), *_writing(line, outcome), *_elsewhere(outcome)]
    if outcome.status == 0 and line.verdict == "wrong":
        found.append(f"accepted, where {' or '.join(sorted(line.blames))[:200]} is wrong")
    if outcome.status == 0 and not found:
        found += _stale(line, outcome)
    return found


def results_folder(line, outcome):
    """Where the results of a line are that has succeeded; ValueError where that isn't one folder."""
    if line.said.get("out"):
        return outcome.work / line.said["out"]
    (folder,) = (outcome.work / "build").iterdir()
    return folder


def _ending(line, outcome):
    """How it ended, and what it said."""
    status, err = outcome.status, outcome.err
    if status is None:
        yield "hangs: killed"
        return
    allowed = {0, 2, *(INTERRUPTED if line.interrupted else ())}
    allowed |= {"closed": {CLOSED_PIPE}, "full": {FULL}}.get(line.stdout, set())
    if line.verdict != "right" and line.command in COMMANDS:
        allowed |= set(COMMANDS[line.command].statuses)
    if status not in allowed:
        yield f"exit status {status}"
    if "Traceback" in err or "Exception ignored" in err or re.search(r"^\S*Warning:|: \w*Warning:", err, re.M):
        yield f"a traceback or a warning: {err.strip().splitlines()[-1][:300]}"
    grown = sum(map(int, outcome.noted("grown")))
    if "too little memory" in err + outcome.out or grown > MOST_GROWN:
        yield f"takes {grown / 2**30:.1f} GiB of memory: {err[:200]}"
    if status not in (0, MISMATCH) and line.stdout != "closed" and not (line.interrupted and status < 0):
        yield from _message(line, status, err)
    if status == 2 and line.verdict == "right" and line.stdout == "file":
        yield f"refused, though right: {err.strip()[:300]}"
    if status == 0 and err and line.verdict == "right":
        yield f"says on standard error: {err.strip()[:300]}"
    if outcome.left:
        yield "a process outlived it"


def _message(line, status, err):
    """One line that names what is wrong."""
    if not err.startswith(ERROR) or not err.endswith("\n") or err.count("\n") != 1 or not err[:-1].isprintable():
        yield f"status {status} without one line of text that begins with {ERROR!r}: {err[-300:]!r}"
    elif len(err) > MOST_MESSAGE:
        yield f"a message of {len(err)} characters"
    elif line.verdict == "wrong" and not any(blame in err for blame in line.blames):
        yield f"the message names none of {', '.join(sorted(line.blames))[:200]}: {err.strip()[:300]}"
    elif line.verdict == "either" and not re.search(r"[A-Z_]+=.*\(--|argument|needs", err) and status == 2:
        yield f"the message names no option: {err.strip()[:300]}"


def _writing(line, outcome):
    """Nothing of a refused command, nothing but results where they belong, nothing half-written."""
    names = [name for name in outcome.new if name != SESSION]
    if outcome.status == 2 and line.stdout == "file" and names:
        yield f"refused, but wrote {', '.join(names)[:300]}"
    work = os.path.relpath(outcome.work, outcome.base)
    homes = [os.path.normpath(os.path.join(work, name)) for name in _targets(line)]
    for name in names:
        # A folder on the way to the results is theirs, too.
        if not any(os.path.commonpath([home, name]) in (home, name) for home in homes):
            yield f"wrote {name[:300]}, which isn't below {', '.join(homes)[:300]}"
        if outcome.status is not None and re.search(r"\.tmp$|/\.work-|/tmp[a-z0-9_]{8}$", name):
            yield f"left {name[:300]}"
        path = outcome.base / name
        if path.is_file() and (problem := _incomplete(path)):
            yield f"{name[:300]} is not complete: {problem}"


def _targets(line):
    """Where results may be, relative to the working directory."""
    said = {name: line.said[name] for name in ("out", "json", "docs") if line.said.get(name)}
    if line.command == "swap" and "out" not in said:
        said["out"] = os.path.dirname(line.said.get("model") or "") or "."
    elif "out" not in said:
        said["out"] = "build"
    if line.command == "bench":
        said.setdefault("docs", said["out"])
    return said.values()


def _elsewhere(outcome):
    """Changes anywhere in the file system that the process made itself, and what it unpickled."""
    allowed = tuple(os.path.abspath(folder) + os.sep for folder in (
        outcome.work, outcome.base / "tmp", outcome.base / "home", default_root()))
    for path in outcome.noted("changed"):
        if not (path + os.sep).startswith(allowed) and path != os.devnull:
            yield f"changed {path[:300]}"
    for name in outcome.noted("unpickled"):
        if name.split(".")[0] in ("os", "posix", "builtins", "nt"):
            yield f"unpickled {name}"


def _stale(line, outcome):
    """Results of an earlier command that would pass for this one's."""
    names = plan.RESULTS if line.planned else RESULTS.get(line.command)
    if names:
        home = os.path.relpath(results_folder(line, outcome), outcome.base)
        for name in names:
            if os.path.normpath(os.path.join(home, name)) not in outcome.new:
                yield f"{name} isn't new"


def _incomplete(path):
    """What is missing in a file of results, None if it is whole."""
    try:
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return None if all(archive[name] is not None for name in archive.files) else "an array"
        elif path.suffix == ".csv":
            with open(path, newline="") as file:
                return None if len({len(row) for row in csv.reader(file)}) == 1 else "cells"
        elif path.suffix == ".onnx":
            import onnx

            onnx.checker.check_model(onnx.load(path))
        elif path.suffix == ".svg":
            return None if path.read_text().rstrip().endswith("</svg>") else "its end"
        elif path.suffix == ".v":
            ends = [len(re.findall(rf"^{word}\b", path.read_text(), re.M)) for word in ("module", "endmodule")]
            return None if ends[0] == ends[1] > 0 else "a module's end"
        elif path.name.endswith(".params.bin"):
            words = [int(word, 16) for word in path.with_suffix(".hex").read_text().split()]
            return None if np.fromfile(path, "<u4").tolist() == words else "words"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:200]
    return None
