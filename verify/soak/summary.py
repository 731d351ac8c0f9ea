# SPDX-License-Identifier: Apache-2.0
"""The results of a soak test: soak.json, the table for a person, and the section of the documentation.

The same seed, sources and tools give the same soak.json, also where a run was interrupted and continued.
"""

import collections

from ...gen.page import wrapped
from ...gen.text_table import markdown

__all__ = ["complete", "failed", "section", "summarise", "table"]

SHOWN = 10
COUNTS = ("blocks", "beats", "lost", "wrong")


def failed(result):
    """Whether anything about a configuration's result (see :func:`.streaming.stream_through`) is wrong."""
    return bool(result["lost"] or result["wrong"] or result["faults"])


def summarise(options, results, reasons):
    """The contents of soak.json, from the results of :func:`.streaming.stream_through`, in order.

    `reasons` says why configurations have no result, by number.
    """
    counts = sum((collections.Counter(result["counts"]) for result in results), collections.Counter())
    broken = [result["number"] for result in results if failed(result)] + list(reasons)
    return {
        "seed": options.seed, "configurations": len(results) + len(reasons),
        **{name: sum(result[name] for result in results)
           for name in ("beats", "cycles", "lost", "wrong", "redraws")},
        "counts": dict(sorted(counts.items())), "by_context": _by_context(results),
        # The command does the same once more, and keeps its files.
        "failed": [{"number": number, "repeat": f"tiled-se soak --seed {options.seed} --beats {options.beats} "
                                                f"--builds {options.builds} --only {number}"}
                   for number in sorted(broken)],
        "without_result": {str(number): reason for number, reason in sorted(reasons.items())},
        "results": results,
    }


def _by_context(results):
    """For each context, and for tiles side by side: its blocks, and the sums of their beats, lost and wrong ones."""
    contexts = {}
    for result in results:
        name = "patches" if result["config"]["tile_width"] else result["config"]["context"]
        sums = contexts.setdefault(name, dict.fromkeys(COUNTS, 0))
        for count in COUNTS:
            sums[count] += 1 if count == "blocks" else result[count]
    return contexts


def table(summary):
    """soak.json for a person."""
    counts = collections.Counter(summary["counts"])
    clean = summary["configurations"] - len(summary["failed"])
    rows = [
        ("soak", f"{summary['configurations']} configurations of seed {summary['seed']}, {clean} of them right"),
        ("beats", f"{summary['beats']:,} compared in {summary['cycles']:,} cycles"),
        *((name, f"{sums['beats']:,} in {sums['blocks']} configurations")
          for name, sums in summary["by_context"].items()),
        ("lost", f"{summary['lost']:,}"),
        ("wrong", f"{summary['wrong']:,}"),
        ("frames", f"{counts['frames']:,}, {counts['cut frames']:,} of them cut, {counts['doubled tlast']:,} with "
                   "tlast on the next beats, too"),
        ("resets", f"{counts['resets']:,}, {counts['resets in mid stream']:,} of them in mid stream"),
        ("parameters", f"{counts['loads']:,} loads; {counts['bad loads'] + counts['endless loads']:,} bad streams"),
    ]
    faults = {result["number"]: result["faults"] for result in summary["results"]}
    for one in summary["failed"][:SHOWN]:
        number = one["number"]
        texts = faults.get(number) or [summary["without_result"].get(str(number), "beats lost or wrong")]
        rows += [("failed", f"configuration {number}: {texts[0]}"), ("repeat", one["repeat"])]
    return "\n".join(f"{name:<12}{text}" for name, text in rows)


def complete(summary: dict) -> bool:
    """Whether soak.json has a result for each configuration."""
    return bool(summary["results"]) and not summary["without_result"]


def section(summary: dict) -> str:
    """soak.json as Markdown: a paragraph, and a table by context."""
    counts = collections.Counter(summary["counts"])
    right = summary["configurations"] - len(summary["failed"])
    rows = [[name, *(sums[count] for count in COUNTS)] for name, sums in summary["by_context"].items()]
    text = wrapped(
        f"Result for seed {summary['seed']}: {right} of {summary['configurations']} blocks correct; "
        f"{summary['beats']:,} beats compared in {summary['cycles']:,} cycles, {summary['lost']:,} lost, "
        f"{summary['wrong']:,} wrong. The runs had {counts['frames']:,} frames, of which {counts['cut frames']:,} were "
        f"cut, and {counts['doubled tlast']:,} were followed by beats with tlast, too; {counts['resets']:,} resets, of "
        f"which {counts['resets in mid stream']:,} in the middle of a stream; {counts['loads']:,} loads and "
        f"{counts['bad loads'] + counts['endless loads']:,} bad streams.")
    return "\n\n".join([text, markdown([["context", *COUNTS], *rows])])
