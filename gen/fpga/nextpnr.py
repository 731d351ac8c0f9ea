# SPDX-License-Identifier: Apache-2.0
"""Place and route, through nextpnr: which part has room, and how fast each seed's result is.

The timing that nextpnr reports: clock, critical path, and paths through the block's ports.
"""

import concurrent.futures
import dataclasses
import os
import re
from collections.abc import Sequence
from typing import Any

from .targets import GOAL_MHZ, Part
from .tools import TOOLS, ToolError, Workbench
from .yosys import CLOCK, INSTANCE

__all__ = ["Timing", "lacking", "parse", "place"]

# Suffixes that yosys and nextpnr append to the name of a register.
FLIP_FLOP = re.compile(r"_(TRELLIS_FF|SB_DFF[A-Z]*)_Q(_.*)?$")
TOP_MODULE = "top"


@dataclasses.dataclass(frozen=True)
class Timing:
    """Of one seed's run; times in ns.

    ``critical_path`` has ``from`` and ``to``, which are registers; ``delay_ns``, which is the sum of ``logic_ns`` and
    ``routing_ns``; and those three for each of ``modules``, the slowest first. yosys names its gates after signals
    nearby, and nextpnr a wire after one of its ends: a module's share is as exact as that.

    The next three are the slowest path of each kind, up to the pin or to the frame's register; None where there is none
    (input to output in a frame: or none that is slower than the frame itself). ``untimed`` are cells that nextpnr takes
    for registers although they have no clock here: paths are cut at them, and the clock is higher than it could be.
    """

    fmax_mhz: float
    critical_path: dict[str, Any]
    input_to_register_ns: float | None
    register_to_output_ns: float | None
    input_to_output_ns: float | None
    untimed: tuple[str, ...]


def lacking(bench: Workbench, placer: str, part: Part, top: str, log: str) -> list[str]:
    """The resources of which `part` has too few for the netlist in ``TOP.json``, as texts; none if it has room.

    Raises ToolError.
    """
    text, _ = bench.run(TOOLS[placer], [*part.arguments, "--json", f"{top}.json", "--pack-only"], log)
    used = re.findall(r"^Info:\s+(\w+):\s*(\d+)/\s*(\d+)\s+\d+%$", text.split("Device utilisation:")[-1], re.M)
    return [f"{need} of {room} {kind}" for kind, need, room in used if int(need) > int(room)]


def place(bench: Workbench, placer: str, part: Part, top: str, scopes: frozenset[str], framed: bool,
          seeds: Sequence[int]) -> dict[int, Timing]:
    """Place and route ``TOP.json`` once a seed, on all cores; `scopes` and `framed` as in :func:`parse`.

    Raises ToolError for the first failure; the other runs are stopped.
    """
    def run(seed: int) -> Timing:
        report = f"report_seed{seed}.json"
        arguments = [*part.arguments, "--json", f"{top}.json", "--report", report, "--seed", str(seed),
                     "--freq", str(GOAL_MHZ), "--timing-allow-fail"]
        return parse(bench.run(TOOLS[placer], arguments, f"{placer}_seed{seed}.log", report)[1], scopes, framed)

    with concurrent.futures.ThreadPoolExecutor(min(len(seeds), os.cpu_count() or 1)) as pool:
        try:
            runs = {seed: pool.submit(run, seed) for seed in seeds}
            for done in concurrent.futures.as_completed(runs.values()):
                done.result()
        except BaseException:
            bench.stop()
            pool.shutdown(cancel_futures=True)
            raise
    return {seed: done.result() for seed, done in runs.items()}


def parse(report: dict[str, Any], scopes: frozenset[str], framed: bool) -> Timing:
    """The Timing in a report of a block, whose instances have the hierarchical names `scopes`; `framed` if in a frame.

    Raises ToolError where there is no path between two registers.
    """
    delays: dict[tuple[str, str], float] = {}
    untimed: set[str] = set()
    critical = None
    for path in report["critical_paths"]:
        ends = _domain(path["from"]), _domain(path["to"])
        if ends == ("clk", "clk"):
            critical = _describe(path["path"], scopes)
        elif not framed or any(step["from"]["cell"].startswith(INSTANCE + ".") for step in path["path"]):
            delays[ends] = max(delays.get(ends, 0), sum(step["delay"] for step in path["path"]))
            untimed |= {_name(path["path"][index]["from" if index == 0 else "to"]["cell"])
                        for index, end in zip((0, -1), ends, strict=True) if end == "other"}
    fmax = [about["achieved"] for net, about in report["fmax"].items() if _domain(net) == "clk"]
    if critical is None or not fmax:
        raise ToolError("nextpnr reports no path between two registers of the block")
    return Timing(fmax[0], critical, delays.get(("port", "clk")), delays.get(("clk", "port")),
                  delays.get(("port", "port")), tuple(sorted(untimed)))


def _domain(text: str) -> str:
    """Whether a path's end is on the block's clock, outside of the block, or neither."""
    if text == "<async>":
        return "port"
    # nextpnr puts prefixes and suffixes to the clock's name when it moves it to the clock network.
    parts = re.split(r"[ $]", text)
    return "clk" if "clk" in parts else "port" if CLOCK in parts else "other"


def _name(cell: str) -> str:
    return cell.removeprefix(INSTANCE + ".").removeprefix("\\")


def _register(end: dict[str, str]) -> str:
    """A register's name; that of a RAM or multiplier with its port."""
    name = _name(end["cell"])
    short = FLIP_FLOP.sub("", name)
    return short if short != name else f"{name}.{end['port']}"


def _module(cell: str, scopes: frozenset[str]) -> str:
    name = _name(cell)
    while "." in name:
        name = name.rpartition(".")[0]
        if name in scopes:
            return name
    return TOP_MODULE


def _describe(steps: list[dict[str, Any]], scopes: frozenset[str]) -> dict[str, Any]:
    modules: dict[str, dict[str, float]] = {}
    total = {"logic_ns": 0.0, "routing_ns": 0.0}
    for step in steps:
        # A wire belongs to what drives it.
        share = modules.setdefault(_module(step["from"]["cell"], scopes), {"logic_ns": 0.0, "routing_ns": 0.0})
        for sums in (share, total):
            sums["routing_ns" if step["type"] == "routing" else "logic_ns"] += step["delay"]
    ranked = sorted(modules.items(), key=lambda item: -sum(item[1].values()))
    return {"from": _register(steps[0]["from"]), "to": _register(steps[-1]["to"]), **_sum(total),
            "modules": {name: _sum(share) for name, share in ranked}}


def _sum(share: dict[str, float]) -> dict[str, float]:
    return {"delay_ns": round(sum(share.values()), 3)} | {name: round(value, 3) for name, value in share.items()}
