# SPDX-License-Identifier: Apache-2.0
"""`tiled-se mutate`: put faults into blocks, see whether their regressions notice them, prove the rest harmless."""

import contextlib
import dataclasses
import functools
import os
import time

from ...batch import Campaign, Local, Tally, cores
from ...cosim.standalone import build_model
from ...gen.files import json_bytes, output_folder, write_all
from ...gen.fpga.tools import TOOLS, Workbench
from ...gen.verilog import taps
from ...hdl.config import ConfigError
from ..equivalence.prove import Proof, prove
from ..options import MutateOptions
from .blocks import Block, blocks_of, shares
from .netlist import MOST, SELECT, TOP, flatten, mutate_all, mutations
from .replay import Replay, further, order, replay
from .summary import passed, record, table

__all__ = ["Judged", "RESULT", "judge", "mutate"]

RESULT = "mutate.json"
# The regression's own seed: that of the options decides which mutants are drawn.
REGRESSION_SEED = 1


@dataclasses.dataclass(frozen=True)
class Judged:
    """A block with its mutants.

    Attributes
    ----------
    block : Block
    mutations : tuple of Mutation
    kills : list of Kill or None
    proofs : dict of int to Proof
        Of those without a kill, by their places.
    wrong : list of str
        What is found wrong in the block with no fault chosen; nothing was judged then.
    """

    block: Block
    mutations: tuple
    kills: list
    proofs: dict
    wrong: list


def mutate(options: MutateOptions) -> bool:
    """Mutate, judge, print a table, write ``mutate.json`` into the folder.

    Returns
    -------
    bool
        Whether there are as many mutants as asked for, and at least 99 of 100 are killed or proved equivalent.

    Raises
    ------
    ConfigError
        Where an option is wrong, or the folder can't be written.
    ToolError, BuildError
        Where a tool is missing or failed; there is no ``mutate.json`` then.
    """
    folder = output_folder(options)
    TOOLS["yosys"].check()
    start = time.monotonic()
    blocks = blocks_of(options)
    counts = shares(options.mutants, len(blocks))
    if max(counts) > MOST:
        raise ConfigError("mutants", options.mutants, f"must be at most {MOST * len(blocks)} for {len(blocks)} blocks")
    write_all(folder, {})
    with contextlib.suppress(FileNotFoundError):
        os.remove(os.path.join(folder, RESULT))
    jobs = options.jobs or cores()
    judged = [judge(block, count, options.seed, folder, jobs)
              for block, count in zip(blocks, counts, strict=True) if count]
    summary = record(judged, options, time.monotonic() - start)
    write_all(folder, {RESULT: json_bytes(summary)})
    print(table(summary))
    print(f"wrote       {os.path.join(folder, RESULT)}")
    return passed(summary)


def judge(block, count, seed, folder, jobs, *, runs=None):
    """The :class:`Judged` block with `count` mutants.

    Parameters
    ----------
    block : Block
    count, seed : int
        How many mutants, and which.
    folder : str
        Where the tools' logs go.
    jobs : int
        Processes at a time.
    runs : sequence of int, optional
        Places of the regression's runs that are replayed; all by default.
    """
    config, parameters = block.config, block.parameters
    with Workbench(folder) as bench:
        _say(block, "making mutants")
        flatten(bench, config, block.baked)
        chosen = mutations(bench, count, seed)
        text = mutate_all(bench, chosen)
        _say(block, f"building the simulation of {len(chosen)} mutants")
        model = build_model(text, TOP, select=SELECT, taps=[tap.signals(text, TOP) for tap in taps(config)])
        places, wrong = order(model, config, parameters, REGRESSION_SEED)
        if wrong:
            return Judged(block, chosen, [None] * len(chosen), {}, wrong)
        first = Replay(block.name, model, config, ((parameters, REGRESSION_SEED, 0),),
                       places if runs is None else tuple(place for place in places if place in runs))
        kills, lost = _kills(first, range(1, len(chosen) + 1), jobs)
        if runs is None:
            # The block as it is, 0, has to pass these, too.
            more, gone = _kills(further(first), [0, *(number for number, kill in kills.items() if kill is None)], jobs)
            kills, lost = kills | more, lost | gone
            own = kills.pop(0, None)
            if own or 0 in lost:
                said = f"{own.run}: {own.said}" if own else lost[0]
                return Judged(block, chosen, [None] * len(chosen), {}, [said])
        alive = [number for number, kill in kills.items() if kill is None]
        _say(block, f"{len(chosen) - len(alive)} of {len(chosen)} killed; proofs for {len(alive)}")
        tally = Tally(len(alive), f"{block.name}: survivors looked at")
        proofs = prove(bench, [chosen[number - 1] for number in alive], jobs, tally.at) if alive else []
    found = {number - 1: proof for number, proof in zip(alive, proofs, strict=True)}
    found |= {number - 1: Proof(False, f"not judged: {reason}") for number, reason in lost.items()}
    return Judged(block, chosen, [kills.get(number) for number in range(1, len(chosen) + 1)], found, [])


def _kills(vectors, numbers, jobs):
    """What noticed each mutant, by its number, None where nothing did; and why others could not be run, which says
    nothing of them: a machine without memory or disk ends processes, too."""
    campaign = Campaign(numbers)
    campaign.run(lambda number: functools.partial(replay, vectors, number), Local(jobs),
                 progress=lambda total, _: Tally(total, f"{vectors.block}: mutants run"))
    return campaign.results, campaign.failures


def _say(block, text):
    print(f"{block.name}: {text} ...", flush=True)
