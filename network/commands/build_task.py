# SPDX-License-Identifier: Apache-2.0
"""One block of a network, built and simulated in a process of its own."""

from ...gen.block_spec import prepare
from ...gen.files import json_bytes, npz_bytes, write_all
from ...gen.manifest import hardware_files
from ...gen.options import BlockOptions, describe
from ...gen.report import arrays, report
from ...gen.simulation import run
from ...gen.verilog import generate
from ...hdl.config import ConfigError

__all__ = ["build_block"]


def build_block(options: BlockOptions) -> dict:
    """Generate, simulate and write the block of `options` into their ``out``.

    Returns
    -------
    dict
        ``failure``, a line or None; ``report``, the contents of its report.json, or None.
    """
    import torch

    # The other processes have the other cores.
    torch.set_num_threads(1)
    try:
        job = prepare(options)
        design = generate(job.config, job.baked, options.name)
    except ConfigError as error:
        return {"failure": describe(error), "report": None}
    write_all(options.out, {name: content for name, (content, _) in hardware_files(job, design).items()})
    outcome = run(job, design)
    summary = report(outcome)
    write_all(options.out, {"output.npz": npz_bytes(arrays(outcome)), "report.json": json_bytes(summary)})
    return {"failure": None if outcome.bit_exact else outcome.first_failure, "report": summary}
