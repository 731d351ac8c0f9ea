# SPDX-License-Identifier: Apache-2.0
"""What a command may do and what it must not: exit status, message, files, memory, time."""

import csv
import json
import os
import re
import stat

import numpy as np

from .hostile_results import results

__all__ = ["faults", "snapshot"]

MOST_GROWN = 2 << 30
MOST_MESSAGE = 10_000
ERROR = "tiled-se: error: "
# onnxruntime's own, in the folder for temporary files.
SESSION = b"tmp/.ses"
# Exit statuses that the help of a command tells; with a signal, or a pipe that nobody reads, there are more.
STATUSES = {"sim": (0, 1, 2), "verilog": (0, 2), "synth": (0, 2, 3), "bench": (0, 1, 2), "simspeed": (0, 1, 2, 3),
            "sweep": (0, 1, 2, 3), "inspect": (0, 2), "swap": (0, 2), "build": (0, 1, 2), "report": (0, 1, 2),
            "sensitivity": (0, 2), "demo": (0, 1, 2), "prove": (0, 1, 2, 3), "mutate": (0, 1, 2, 3),
            "crosscheck": (0, 1, 2, 3), "soak": (0, 1, 2, 3), "": (0, 2)}
# Commands on lists, in which one may fail while the command does what it is for; of a right list only a sweep's, which
# :mod:`.hostile_sweeps` judges.
LISTS = ("bench", "sweep", "report", "build")
INTERRUPTED, CLOSED_PIPE, FULL = (130, -15, -2), 141, 74


def snapshot(base):
    """Everything below `base` by path: type and permissions, size, time of the last change."""
    found = {}
    for folder, folders, files in os.walk(os.fsencode(base)):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            about = os.lstat(path)
            whole = stat.S_ISREG(about.st_mode)
            found[os.path.relpath(path, os.fsencode(base))] = (
                about.st_mode, whole and about.st_size, whole and about.st_mtime_ns)
    return found


def faults(line, outcome, place, before, after):
    """What is wrong with the `outcome` of `line`, as a list of texts; `before` and `after` are snapshots of `place`."""
    found = list(_manners(line, outcome))
    if outcome.status == 0 and line.verdict == "wrong":
        found.append(f"accepted, where {' or '.join(sorted(line.blames))[:200]} is wrong")
    new = {path for path in after if after[path] != before.get(path)} | {path for path in before if path not in after}
    found += _files(line, outcome, place, new)
    found += _elsewhere(outcome, place)
    if outcome.status in (0, 1) and line.stdout == "file":
        try:
            found += results(line, outcome, place)
        except Exception as error:
            found.append(f"results can't be checked: {type(error).__name__}: {error}"[:500])
    return found


def _manners(line, outcome):
    """How it ended, and what it said."""
    status, err = outcome.status, outcome.err
    if status is None:
        yield f"hangs: killed after {outcome.seconds:.0f} s"
        return
    allowed = STATUSES[line.command]
    if line.interrupted:
        allowed += INTERRUPTED
    if line.stdout == "closed":
        allowed += (CLOSED_PIPE,)
    if line.stdout == "full":
        allowed += (FULL,)
    fails = line.command in LISTS and (line.verdict != "right" or line.command == "sweep")
    if status not in allowed or status == 1 and not fails:
        yield f"exit status {status}"
    if "Traceback" in err or "Exception ignored" in err or re.search(r"^\S*Warning:|: \w*Warning:", err, re.M):
        yield f"a traceback or a warning: {err.strip().splitlines()[-1][:300]}"
    if "too little memory" in err + outcome.out or outcome.grown > MOST_GROWN:
        yield f"takes {outcome.grown / 2**30:.1f} GiB of memory: {err[:200]}"
    if status not in (0, 1) and line.stdout != "closed" and not (line.interrupted and status < 0):
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


def _files(line, outcome, place, new):
    """Nothing of a refused command, nothing but results where they belong, nothing half-written."""
    names = [os.fsdecode(path) for path in sorted(new) if path != SESSION]
    if outcome.status == 2 and line.stdout == "file" and names:
        yield f"refused, but wrote {', '.join(names)[:300]}"
    work = os.path.relpath(place.work, place.base)
    homes = [os.path.normpath(os.path.join(work, name)) for name in _targets(line)]
    for name in names:
        # A folder on the way to the results is theirs, too.
        if not any(os.path.commonpath([home, name]) in (home, name) for home in homes):
            yield f"wrote {name[:300]}, which isn't below {', '.join(homes)[:300]}"
        if outcome.status is not None and re.search(r"\.tmp$|/\.work-|/tmp[a-z0-9_]{8}$", name):
            yield f"left {name[:300]}"
        whole = place.base / name
        if whole.is_file() and (problem := _incomplete(whole)):
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


def _elsewhere(outcome, place):
    """Changes anywhere in the file system that the process made itself, and what it unpickled."""
    allowed = [os.path.abspath(folder) + os.sep for folder in (
        place.work, place.temporary, place.cache, os.path.realpath(place.cache), place.base / "home")]
    for path in outcome.changed:
        if not (path + os.sep).startswith(tuple(allowed)) and path != os.devnull:
            yield f"changed {path[:300]}"
    for name in outcome.unpickled:
        if name.split(".")[0] in ("os", "posix", "builtins", "nt"):
            yield f"unpickled {name}"


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
        elif path.suffix in (".v", ".svg", ".onnx"):
            return _unfinished(path)
        elif path.name.endswith(".params.bin"):
            words = np.fromfile(path, "<u4")
            lines = path.with_suffix(".hex").read_text().split() if path.with_suffix(".hex").exists() else None
            if path.stat().st_size % 4 or lines is not None and [int(word, 16) for word in lines] != words.tolist():
                return "words"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:200]
    return None


def _unfinished(path):
    if path.suffix == ".onnx":
        import onnx

        return onnx.checker.check_model(onnx.load(path))
    text = path.read_text()
    if path.suffix == ".svg":
        return None if text.rstrip().endswith("</svg>") else "its end"
    return None if re.findall(r"^module (\w+)", text, re.M) and len(re.findall(r"^endmodule", text, re.M)) == len(
        re.findall(r"^module ", text, re.M)) else "a module's end"
