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

__all__ = ["breaches", "results_folder"]

MOST_GROWN = 1 << 30
MOST_MESSAGE = 10_000
ERROR = "tiled-se: error: "
# onnxruntime's own, in the folder for temporary files.
SESSION = "tmp/.ses"
# Exit statuses in addition to those in the command's help.
MISMATCH, INTERRUPTED, UNPRINTED = 1, {130, -15, -2}, {"full": {74}, "closed": {141}}
# Commands that go on after an item that fails, and end with MISMATCH.
GO_ON = ("bench", "sweep", "report", "build")
# What a command that ends well has written into its folder.
RESULTS = {"sim": ("report.json", "output.npz"), "verilog": ("manifest.json",), "build": ("report.json",),
           "sweep": ("results.csv", "summary.json"), "report": ("report.json", "report.svg"),
           "evaluate": ("evaluate.json", "evaluate.csv")}


def breaches(line, outcome):
    """What is wrong with the `outcome` of `line`, as a list of texts."""
    found = [*_ending(line, outcome), *_writing(line, outcome), *_elsewhere(outcome)]
    if outcome.status == 0 and line.verdict == "wrong":
        found.append(f"accepted, where {' or '.join(sorted(line.blames))[:200]} is wrong")
    # Results of an earlier command must not pass for this one's.
    names = plan.RESULTS if line.planned else RESULTS.get(line.command, ())
    if outcome.status == 0 and names and not found:
        home = os.path.relpath(results_folder(line, outcome), outcome.base)
        found += [f"{name} isn't new" for name in names if os.path.normpath(f"{home}/{name}") not in outcome.new]
    return found


def results_folder(line, outcome):
    """Where the results of a line are that has succeeded; ValueError where that isn't one folder."""
    if line.said.get("out"):
        return outcome.work / line.said["out"]
    (folder,) = (outcome.work / "build").iterdir()
    return folder


def _ending(line, outcome):
    """How it ended, and what it said."""
    # Warnings change nothing.
    status, err = outcome.status, re.sub(r"^tiled-se: warning: .*\n", "", outcome.err, flags=re.M)
    if status is None:
        yield "hangs: killed"
        return
    allowed = {0, 2, *(INTERRUPTED if line.interrupted else ()), *UNPRINTED.get(line.stdout, ())}
    if line.command in GO_ON and line.verdict != "right":
        allowed |= set(COMMANDS[line.command].statuses)
    elif line.verdict == "either" or line.room:
        # A tool may fail on what was not refused, or where there is too little room.
        allowed |= set(COMMANDS[line.command].statuses) - {MISMATCH}
    if status not in allowed:
        yield f"exit status {status}"
    if "Traceback" in err or "Exception ignored" in err or re.search(r"^\S*Warning:|: \w*Warning:", err, re.M):
        yield f"a traceback or a warning: {err.strip().splitlines()[-1][:300]}"
    if "too little memory" in err + outcome.out or outcome.grown > MOST_GROWN:
        yield f"takes {outcome.grown / 2**30:.1f} GiB of memory: {err[:200]}"
    if status not in (0, MISMATCH) and line.stdout != "closed" and not (line.interrupted and status < 0):
        yield from _message(line, status, err)
    if line.verdict == "right" and (status == 2 and line.stdout == "file" or status == 0 and err):
        yield f"refused, though right, or more than results: {err.strip()[:300]}"
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
    # Where the system refuses to write a file, folders for it may have been made.
    kept = [name for name in names if not line.room or (outcome.base / name).is_file()]
    if outcome.status == 2 and line.stdout == "file" and kept:
        yield f"refused, but wrote {', '.join(kept)[:300]}"
    work = os.path.relpath(outcome.work, outcome.base)
    homes = [os.path.normpath(os.path.join(work, name)) for name in _targets(line)]
    for name in names:
        # A folder on the way to the results is theirs, too.
        if not any(os.path.commonpath([home, name]) in (home, name) for home in homes):
            yield f"wrote {name[:300]}, which isn't below {', '.join(homes)[:300]}"
        if outcome.status is not None and re.search(r"\.tmp$|/\.work-|/tmp[a-z0-9_]{8}$", name):
            yield f"left {name[:300]}"
        try:
            _check_whole(outcome.base / name)
        except Exception as error:
            yield f"{name[:300]} is not complete: {type(error).__name__}: {error}"[:500]


def _targets(line):
    """Where results may be, relative to the working directory."""
    said = {name: line.said[name] for name in ("out", "json", "docs") if line.said.get(name)}
    said.setdefault("out", os.path.dirname(line.said.get("model") or "") or "." if line.command == "swap" else "build")
    if line.command == "bench":
        said.setdefault("docs", said["out"])
    return said.values()


def _elsewhere(outcome):
    """Changes anywhere in the file system that the process made itself."""
    allowed = tuple(os.path.abspath(folder) + os.sep for folder in (
        outcome.work, outcome.base / "tmp", outcome.base / "home", default_root()))
    yield from (f"changed {path[:300]}" for path in outcome.changed
                if not (path + os.sep).startswith(allowed) and path != os.devnull)


def _check_whole(path):
    """Raise an exception where a file of results is not whole."""
    if not path.is_file():
        return
    text = path.read_text() if path.suffix in (".json", ".svg", ".v") else ""
    if path.suffix == ".json":
        json.loads(text)
    elif path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            dict(archive)
    elif path.suffix == ".csv":
        with open(path, newline="") as file:
            assert len({len(row) for row in csv.reader(file)}) == 1
    elif path.suffix == ".onnx":
        import onnx

        onnx.checker.check_model(onnx.load(path))
    elif path.suffix == ".svg":
        assert text.rstrip().endswith("</svg>")
    elif path.suffix == ".v":
        modules, ends = (len(re.findall(rf"^{word}\b", text, re.M)) for word in ("module", "endmodule"))
        assert modules == ends > 0
    elif path.name.endswith(".params.bin"):
        words = [int(word, 16) for word in path.with_suffix(".hex").read_text().split()]
        assert np.fromfile(path, "<u4").tolist() == words
