# SPDX-License-Identifier: Apache-2.0
"""One configuration's co-simulation, in a worker process of this machine or of another one.

Only Python objects go in and come out, so that caller and worker need no file system in common.
"""

import functools
import os
import pickle
import platform
import tempfile
import threading
import time

from ...batch.store import simulating_sources
from ...cosim.icarus import icarus_version
from ...gen.fields import from_texts
from ...gen.options import SimOptions, describe
from ...gen.prepare import prepare
from ...gen.report import report, tool_versions
from ...gen.simulate import check_simulator, run
from ...gen.verilog import generate
from ...hdl.config import ConfigError

__all__ = ["FAILED", "MISMATCH", "OK", "difference", "identity", "work"]

OK, MISMATCH, FAILED = "ok", "mismatch", "failed"
OWN_FILES = ("evaluate/sweep/work.py",)
# Blocks that a process keeps: neighbours in a list often differ in what doesn't concern the hardware.
MOST_DESIGNS = 8
# A worker may run several tasks in threads, of which neither Amaranth nor torch's settings know.
_LOCK = threading.Lock()
_designs = {}


@functools.cache
def identity():
    """What decides a result beside its configuration: versions of the tools, and a hash of our sources."""
    return tool_versions() | {"icarus": icarus_version(), "sources": simulating_sources(*OWN_FILES)}


def difference(other):
    """In what a worker with the identity `other` differs from this process, as a text; None if it doesn't."""
    ours = identity()
    names = [name for name in ours if ours[name] != other.get(name)]
    if not names:
        return None
    return "its worker has " + ", ".join(f"{name} {other.get(name)} and not {ours[name]}" for name in names)


def work(task):
    """Simulate one configuration.

    Parameters
    ----------
    task : dict
        ``texts``, the options by name as the command line has them; ``files``, for WEIGHTS and INPUT the path as it was
        given and the file's content (str, bytes) by option; ``identity`` of the caller.

    Returns
    -------
    dict
        JSON-serialisable: ``status`` (OK, MISMATCH or FAILED), ``reason`` (a line, None if OK), ``report`` (as
        `tiled-se sim` writes it, None if FAILED), ``seconds``, ``host``, and ``identity`` of this process.
    """
    start = time.perf_counter()
    refused = difference(task["identity"]) and "refused: the worker is of another version"
    status, reason, found = (FAILED, refused, None) if refused else _in_folder(task)
    return {"status": status, "reason": reason, "report": found, "seconds": time.perf_counter() - start,
            "host": platform.node(), "identity": identity()}


def _in_folder(task):
    """Status, reason and report, with the task's files in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="tiled-se-") as folder:
        texts, given = dict(task["texts"]), {}
        for name, (path, content) in task["files"].items():
            texts[name] = os.path.join(folder, f"{name}.npz")
            given[texts[name]] = path
            with open(texts[name], "wb") as file:
                file.write(content)
        status, reason, found = _simulate(texts)
    for ours, theirs in given.items():
        reason = reason and reason.replace(ours, theirs)
    if found:
        found["config"] |= {name: path for name, (path, _) in task["files"].items()}
    return status, reason, found


def _simulate(texts):
    try:
        outcome = _outcome(from_texts(SimOptions, texts))
        found = report(outcome)
    except ConfigError as error:
        return FAILED, _line(describe(error)), None
    except Exception as error:
        # Whatever it was, the other configurations go on.
        return FAILED, _line(f"{type(error).__name__}: {str(error).strip() or 'no message'}"), None
    return (OK, None, found) if outcome.bit_exact else (MISMATCH, _line(outcome.first_failure), found)


def _outcome(options):
    import torch

    check_simulator(options.sim)
    with _LOCK:
        # One thread: the other processes have the other cores.
        torch.set_num_threads(1)
        job = prepare(options)
        design = _design(job)
    return run(job, design)


def _design(job):
    """The generated block, from before where only data or stalls are different."""
    key = pickle.dumps((job.config, job.baked, job.options.name))
    if key not in _designs:
        while len(_designs) >= MOST_DESIGNS:
            _designs.pop(next(iter(_designs)))
        _designs[key] = generate(job.config, job.baked, job.options.name)
    return _designs[key]


def _line(text):
    return text.splitlines()[0].rstrip(":")
