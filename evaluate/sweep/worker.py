# SPDX-License-Identifier: Apache-2.0
"""One configuration's co-simulation, in a worker process of this machine or of another one.

Only Python objects go in and come out, so that caller and worker need no file system in common.
"""

import dataclasses
import functools
import os
import pathlib
import pickle
import platform
import threading
import time

from ...batch.pool import reason_of
from ...batch.store import BLOCK, MEASURING, sources
from ...cosim.icarus import icarus_version
from ...cosim.scratch import scratch
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


@functools.cache
def _tools():
    return tool_versions() | {"icarus": icarus_version()}


def identity():
    """All that decides a result beside its configuration: versions of the tools, a hash of the code."""
    return _tools() | {"sources": sources(*BLOCK, *MEASURING, *OWN_FILES)}


def simulate_configuration(options, files):
    """Simulate one configuration.

    `files` are those that the options name: by option, the path as it was given and the file's content.
    Returns a dict, JSON-serialisable: ``status`` (OK, MISMATCH or FAILED), ``reason`` (a line, None if OK), ``report``
    (as `tiled-se sim` writes it, None if FAILED), ``seconds`` and ``host``.
    """
    start = time.perf_counter()
    with scratch() as folder:
        paths = {name: os.path.join(folder, name) for name in files}
        for name, (_, content) in files.items():
            pathlib.Path(paths[name]).write_bytes(content)
        status, reason, contents = _simulated(dataclasses.replace(options, **paths))
    for name, (path, _) in files.items():
        reason = reason and reason.replace(paths[name], path)
        if contents:
            contents["warnings"] = [text.replace(paths[name], path) for text in contents["warnings"]]
            if name in contents["config"]:
                contents["config"][name] = path
    return {"status": status, "reason": reason, "report": contents, "seconds": time.perf_counter() - start,
            "host": platform.node()}


def _simulated(options):
    """Status, reason and report."""
    import torch

    try:
        check_simulator(options.sim)
        with _LOCK:
            # The other processes have the other cores.
            torch.set_num_threads(1)
            spec = prepare(options)
            design = _design(pickle.dumps((spec.config, spec.baked, options.name)))
        outcome = run(spec, design)
        contents = report(outcome)
    except ConfigError as error:
        return FAILED, _line(describe(error)), None
    except Exception as error:
        return FAILED, reason_of(error), None
    return (OK, None, contents) if outcome.passed else (MISMATCH, _line(outcome.first_failure), contents)


@functools.lru_cache(MOST_DESIGNS)
def _design(arguments):
    """The block generated from the pickled `arguments`, kept for tasks where only data or stalls differ."""
    return generate(*pickle.loads(arguments))


def _line(text):
    return text.splitlines()[0].rstrip(":")
