# SPDX-License-Identifier: Apache-2.0
"""`tiled-se mutate`: puts faults into blocks, replays the regression on each, and proves survivors harmless."""

import functools
import os
import time

import numpy as np

from ...batch import Campaign, Local, Tally, cores
from ...cosim.standalone import build_model
from ...gen.files import discard, json_bytes, output_folder, write_all
from ...gen.fpga.tools import TOOLS, Workbench
from ...gen.verilog import taps
from ...hdl.config import ConfigError
from ..configurations import NamedBlock
from ..equivalence.prove import Verdict, prove_equivalent
from ..faults import MOST_FAULTS, SELECT, TOP
from ..options import MutateOptions
from .blocks import blocks_of
from .netlist import flatten, mutate_all, mutations
from .replay import Replay, further, other_seeds, replay, shortest_first
from .summary import Judged, passed, record, table

__all__ = ["RESULT", "judge", "mutate"]

RESULT = "mutate.json"
LOGS = ("flatten.log", "list.log", "mutants.log", "faults.log", "aig.log")
# The regression has its own seed. The seed of the options decides which mutants are drawn.
REGRESSION_SEED = 1


def mutate(options: MutateOptions) -> bool:
    """Mutate, judge, print a table, and write ``mutate.json`` into the folder.

    Returns whether there are as many mutants as asked for, and at least 99 % are killed or proved equivalent. Raises
    ConfigError where an option is wrong or the folder can't be written; ToolError or BuildError where a tool is missing
    or failed, in which case there is no ``mutate.json``.
    """
    folder = output_folder(options, [RESULT, *LOGS])
    TOOLS["yosys"].check()
    start = time.monotonic()
    blocks = blocks_of(options)
    counts = [len(share) for share in np.array_split(np.arange(options.mutants), len(blocks))]
    if max(counts) > MOST_FAULTS:
        raise ConfigError("mutants", options.mutants,
                          f"must be at most {MOST_FAULTS * len(blocks)} for {len(blocks)} blocks")
    discard(folder, [RESULT, *LOGS])
    write_all(folder, {})
    jobs = options.jobs or cores()
    judged = [judge(block, count, options.seed, folder, jobs)
              for block, count in zip(blocks, counts, strict=True) if count]
    summary = record(judged, options, time.monotonic() - start)
    write_all(folder, {RESULT: json_bytes(summary)})
    print(table(summary))
    print(f"wrote       {os.path.join(folder, RESULT)}")
    return passed(summary)


def judge(block: NamedBlock, count: int, seed: int, folder: str, jobs: int) -> Judged:
    """The :class:`Judged` block with `count` mutants that `seed` draws; `folder` gets the tools' logs."""
    config, parameters = block.config, block.parameters
    with Workbench(folder) as bench:
        _say(block, "making mutants")
        flatten(bench, config, block.baked)
        chosen = mutations(bench, count, seed)
        text = mutate_all(bench, chosen)
        _say(block, f"building the simulation of {len(chosen)} mutants")
        model = build_model(text, TOP, select=SELECT, taps=taps(config, text, TOP))
        order, wrong = shortest_first(model, config, parameters, REGRESSION_SEED)
        if wrong:
            return Judged(block, chosen, [None] * len(chosen), {}, wrong)
        first = Replay(block.name, model, config, ((parameters, REGRESSION_SEED, 0),), order)
        kills, lost = _kills(first, range(1, len(chosen) + 1), jobs)
        for more in (other_seeds(first), further(first)):
            # Number 0, the block without a fault, has to pass what is tried on survivors, too.
            alive = [number for number, kill in kills.items() if kill is None]
            found, also_lost = _kills(more, [0, *alive], jobs)
            kills, lost = kills | found, lost | also_lost
            own = kills.pop(0, None)
            if own or 0 in lost:
                reason = f"{own.scenario}: {own.failure}" if own else lost[0]
                return Judged(block, chosen, [None] * len(chosen), {}, [reason])
        alive = [number for number, kill in kills.items() if kill is None]
        _say(block, f"{len(chosen) - len(alive)} of {len(chosen)} killed; proofs for {len(alive)}")
        tally = Tally(len(alive), f"{block.name}: survivors examined")
        proofs = prove_equivalent(bench, [chosen[number - 1] for number in alive], jobs, tally.at) if alive else []
    by_index = {number - 1: proof for number, proof in zip(alive, proofs, strict=True)}
    by_index |= {number - 1: Verdict(False, f"not judged: {reason}") for number, reason in lost.items()}
    return Judged(block, chosen, [kills.get(number) for number in range(1, len(chosen) + 1)], by_index, [])


def _kills(replayed, numbers, jobs):
    """The Kill of each mutant by number, None if nothing noticed it; and why others could not be simulated.

    The latter proves nothing: a process also dies on a machine without memory or disk space.
    """
    campaign = Campaign(numbers)
    campaign.run(lambda number: functools.partial(replay, replayed, number), Local(jobs),
                 progress=lambda total, kept: Tally(total, f"{replayed.block}: mutants simulated"))
    return campaign.results, campaign.failures


def _say(block, text):
    print(f"{block.name}: {text} ...", flush=True)
