# SPDX-License-Identifier: Apache-2.0
"""The results of the rounds: simspeed.json, a table, and a section of benchmarks.md."""

import textwrap

from ...cosim.tools import compiler, version
from ...gen import text_table
from ...gen.fields import variables
from ...gen.report import TOOLS, describe_block, tool_versions
from ...gen.text_table import aligned, labelled
from ...gen.wording import config_fields
from .benches import AXI_PACKAGE, BENCHES
from .rounds import MOST_FRAMES

__all__ = ["markdown", "summarise", "table"]

# What others are compared with.
REFERENCES = ("cpp", "per_beat")
_METHOD = (
    "Each figure is the best of {repeats} rounds, in which the test benches take turns. The two figures of a ratio "
    "may be of different rounds. A run takes about {seconds:g} CPU seconds; it has at most {most:,} frames. The CPU "
    "time of the process that simulates is counted, from the moment when the frames are read until every output is "
    "compared. For this project's test benches it includes writing a progress message from time to time. Only "
    "the ports that Python drives are public signals. `cpp` calls the eval() of the model, as any C++ loop does. "
    "`fast` calls the evaluation inside it, which saves a lock in each call.")


def summarise(spec, options, rounds, missing):
    """The contents of simspeed.json.

    `rounds` has a dict of names to Runs for each round; `missing` are names of test benches that could not run, and
    why: every figure of these is null.
    """
    shape = spec.shape
    rates = {name: None if name in missing else max(turn[name].rate for turn in rounds) for name in BENCHES}
    return {
        "cycles_per_cpu_second": rates,
        "ratios": {f"to_{reference}": {name: rate and rate / rates[reference] for name, rate in rates.items()}
                   for reference in REFERENCES},
        "missing": missing,
        "config": config_fields(spec.config) | {
            "width": shape.width, "height": shape.height, "distinct_frames": shape.frames, "stall": options.stall,
            "seed": options.seed, "weights": options.weights or "random", "input": options.input or "random",
            "repeats": options.repeats, "seconds": options.seconds},
        "rounds": [{name: {"frames": run.frames, "cycles": run.cycles, "cpu_seconds": run.cpu_seconds,
                           "cycles_per_cpu_second": run.rate} for name, run in turn.items()} for turn in rounds],
        "benches": BENCHES,
        "method": _METHOD.format(repeats=options.repeats, seconds=options.seconds, most=MOST_FRAMES),
        "tools": tool_versions(TOOLS if "cocotbext_axi" in missing else [*TOOLS, AXI_PACKAGE]) | {
            "compiler": version([*compiler(), "--version"]).splitlines()[0]},
    }


def table(spec, rounds, summary):
    """The summary for a person."""
    shape, options = spec.shape, spec.options
    head = labelled({"block": describe_block(spec.config),
                     "frames": f"{shape.frames} of {shape.height} x {shape.width} x {shape.channels} in turn, "
                               f"seed {options.seed}, stall {options.stall:g}; best of {len(rounds)} rounds"})
    rows = [["", "cycles", "CPU s", "cycles a CPU s", "to cpp", "to per_beat"]]
    for name, rate in summary["cycles_per_cpu_second"].items():
        if rate is None:
            rows.append([name, summary["missing"][name]])
            continue
        best = max((turn[name] for turn in rounds), key=lambda run: run.rate)
        cpp, per_beat = (values[name] for values in summary["ratios"].values())
        rows.append([name, f"{best.cycles:,}", f"{best.cpu_seconds:.2f}", f"{rate:,.0f}", f"{cpp:.4f}",
                     f"{per_beat:.2f}"])
    return "\n".join([head, "", *aligned(rows)])


def markdown(spec, options, summary):
    """The section of benchmarks.md."""
    rows = [["bench", "", "cycles per CPU second", "to `cpp`", "to `per_beat`"]]
    for name, rate in summary["cycles_per_cpu_second"].items():
        figures = ["not measured", "", ""] if rate is None else [
            f"{rate:,.0f}", *(f"{values[name]:.3g}" for values in summary["ratios"].values())]
        rows.append([f"`{name}`", BENCHES[name], *figures])
    # Its folders are not among the options that repeat a measurement.
    command = variables(options, always=("k", "width", "channels"), never=("out", "docs"))
    text = (f"runs four test benches on the same Verilog with the same frames, {describe_block(spec.config)}; each "
            "compares every output element with the golden model. Cycles per second depend on the machine, their "
            f"ratios much less. {summary['method']}")
    tools = ", ".join(f"{name} {version}" for name, version in summary["tools"].items()
                      if name in ("verilator", "cocotb", AXI_PACKAGE, "python", "compiler"))
    return "\n".join(["## Speed of simulation", "", f"    make simspeed {command}", "", *textwrap.wrap(text, 120), "",
                      text_table.markdown(rows, left=(0, 1)), "", *textwrap.wrap(f"Made with {tools}.", 120)])
