# SPDX-License-Identifier: Apache-2.0
"""One configuration's co-simulation, in a worker process of this machine or of another one.

Only Python objects go in and come out, so that caller and worker need no file system in common.
"""

import dataclasses
import functools
import os
import pickle
import platform
import tempfile
import threading
import time

from ...batch.pool import reason_of
from ...batch.store import BLOCK, MEASURING, sources
from ...cosim.icarus import icarus_version
from ...gen.block_spec import prepare
from ...gen.options import describe
from ...gen.report import report, tool_versions
from ...gen.simulation import check_simulator, run
from ...gen.verilog import generate
from ...hdl.config import ConfigError

__all__ = ["FAILED", "MISMATCH", "OK", "identity", "simulate_configuration"]

OK, MISMATCH, FAILED = "ok", "mismatch", "failed"
OWN_FILES = ("evaluate/sweep/worker.py",)
# Blocks that a process keeps: neighbours in a list are often the same hardware.
MOST_DESIGNS = 8
# A worker may run several tasks in threads; Amaranth and torch's settings are not safe for that.
_LOCK = threading.Lock()
_designs = {}


@functools.cache
def _tools():
    return tool_versions() | {"icarus": icarus_version()}


def identity():
    """All that decides a result beside its configuration: versions of the tools, a hash of the code."""
    return _tools() | {"sources": sources(*BLOCK, *MEASURING, *OWN_FILES)}


def simulate_configuration(options, files):
    """Simulate one configuration.

    Parameters
    ----------
    options : Options
    files : dict of str to (str, bytes)
        Of WEIGHTS and INPUT, by option: the path as it was given, and the file's content.

    Returns
    -------
    dict
        JSON-serialisable: ``status`` (OK, MISMATCH or FAILED), ``reason`` (a line, None if OK), ``report`` (as
        `tiled-se sim` writes it, None if FAILED), ``seconds`` and ``host``.
    """
    start = time.perf_counter()
    status, reason, contents = _in_folder(options, files)
    return {"status": status, "reason": reason, "report": contents, "seconds": time.perf_counter() - start,
            "host": platform.node()}


def _in_folder(options, files):
    """Status, reason and report; the files are in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="tiled-se-") as folder:
        paths = {name: os.path.join(folder, f"{name}.npz") for name in files}
        for name, (_, content) in files.items():
            with open(paths[name], "wb") as file:
                file.write(content)
        status, reason, contents = _simulate(dataclasses.replace(options, **paths))
    for name, (path, _) in files.items():
        reason = reason and reason.replace(paths[name], path)
    if contents:
        contents["config"] |= {name: path for name, (path, _) in files.items()}
    return status, reason, contents


def _simulate(options):
    try:
        outcome = _outcome(options)
        contents = report(outcome)
    except ConfigError as error:
        return FAILED, _line(describe(error)), None
    except Exception as error:
        return FAILED, reason_of(error), None
    return (OK, None, contents) if outcome.bit_exact else (MISMATCH, _line(outcome.first_failure), contents)


def _outcome(options):
    import torch

    check_simulator(options.sim)
    with _LOCK:
        # The other processes have the other cores.
        torch.set_num_threads(1)
        job = prepare(options)
        design = _design(job)
    return run(job, design)


def _design(job):
    """The generated block, kept from an earlier task where only data or stalls differ."""
    key = pickle.dumps((job.config, job.baked, job.options.name))
    if key not in _designs:
        while len(_designs) >= MOST_DESIGNS:
            _designs.pop(next(iter(_designs)))
        _designs[key] = generate(job.config, job.baked, job.options.name)
    return _designs[key]


def _line(text):
    return text.splitlines()[0].rstrip(":")
