# SPDX-License-Identifier: Apache-2.0
"""Generates and co-simulates many blocks, each into a folder of its own."""

import contextlib
import functools
import json
import os

from ...batch import Campaign, Local, reason_of
from ...gen.block_files import MANIFEST, generated_files
from ...gen.block_spec import prepare
from ...gen.files import discard, json_bytes, write_all
from ...gen.manifest import hardware_files
from ...gen.npz import npz_bytes
from ...gen.options import describe
from ...gen.report import arrays, report
from ...gen.simulation import OUTPUT, REPORT, run
from ...gen.text_table import say_removed
from ...gen.verilog import generate
from ...hdl.config import ConfigError
from ...hdl.errors import ToolFailure
from ..read.names import folder_names

__all__ = ["INPUT", "OWN", "WEIGHTS", "build_block", "check_tools", "discard_earlier", "run_blocks"]

WEIGHTS, INPUT = "weights.npz", "input.npz"
# Files of a block's folder, besides its Verilog.
OWN = (REPORT, OUTPUT, MANIFEST, WEIGHTS, INPUT)


def run_blocks(tasks, jobs):
    """The results of :func:`build_block` by name, for `tasks`, BlockOptions by name; so many `jobs` at a time."""
    campaign = Campaign(tasks)
    campaign.run(lambda name: functools.partial(build_block, tasks[name]), Local(jobs),
                 judge=lambda _, result: result["failure"])
    failed = {name: {"failure": reason, "report": None} for name, reason in campaign.failures.items()}
    return failed | campaign.results


def check_tools(results):
    """Raise ToolFailure with the first text of a tool that failed, unless a block of `results` has a mismatch."""
    texts = [result["tool"] for result in results.values() if result.get("tool")]
    if texts and not any(result["report"] and result["failure"] for result in results.values()):
        raise ToolFailure(f"{len(texts)} of {len(results)} blocks could not be built: {texts[0]}")


def discard_earlier(folder, tasks, calibration):
    """Remove what an earlier build left in `folder`, also in folders of blocks that this one doesn't have.

    report.json then names all these folders and says that the build has not finished: if this one is killed, the next
    one knows them, too.
    """
    ours = [os.path.basename(task.out) for task in tasks.values()]
    folders = list(dict.fromkeys([*ours, *_earlier(folder)]))
    blocks = [{"folder": name, "bit_exact": False, "failure": "the build has not finished", "report": None}
              for name in folders]
    write_all(folder, {REPORT: json_bytes({
        "calibration": calibration, "bit_exact": False, "finished": False, "blocks": blocks})})
    gone = []
    for name in folders:
        own = os.path.join(folder, name)
        removed = discard(own, [*OWN, *generated_files(own)])
        if name not in ours:
            gone += [f"the results in {own}"] if removed else []
            # It stays if the user has put something into it.
            with contextlib.suppress(OSError):
                os.rmdir(own)
    say_removed(gone)


def _earlier(folder):
    """Names of the blocks' folders that report.json in `folder` lists, and that are there."""
    try:
        with open(os.path.join(folder, REPORT), encoding="utf-8") as file:
            contents = json.load(file)
        names = [row["folder"] for row in contents["blocks"]] if "calibration" in contents else []
        return [name for name in names if name == folder_names([name])[name] and os.path.isdir(
            os.path.join(folder, name)) and not os.path.islink(os.path.join(folder, name))]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        # There is none, or it is no build's.
        return []


def build_block(options):
    """Generate, simulate and write the block of `options` into their ``out``, in a process of its own.

    Returns a dict: ``failure``, a line or None; ``report``, the contents of its report.json, or None; where a tool is
    missing or failed ``tool``, the error's text.
    """
    import torch

    # The other processes have the other cores.
    torch.set_num_threads(1)
    try:
        spec = prepare(options)
        design = generate(spec.config, spec.baked, options.name, ram_style=options.ram_style,
                          dsp_style=options.dsp_style)
        write_all(options.out, {name: content for name, (content, _) in hardware_files(spec, design).items()})
        outcome = run(spec, design)
        summary = report(outcome)
        write_all(options.out, {OUTPUT: npz_bytes(arrays(outcome)), REPORT: json_bytes(summary)})
    except ConfigError as error:
        return {"failure": describe(error), "report": None}
    except ToolFailure as error:
        return {"failure": reason_of(error), "report": None, "tool": str(error).strip()}
    return {"failure": None if outcome.passed else outcome.first_failure, "report": summary}
