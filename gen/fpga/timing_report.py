# SPDX-License-Identifier: Apache-2.0
"""Timing of a placed and routed block from nextpnr's report: clock, critical path, and paths through its ports."""

import dataclasses
import re
from typing import Any

from .pin_wrapper import CLOCK, INSTANCE
from .tools import ToolError

__all__ = ["Timing", "parse"]

# Suffixes that yosys and nextpnr append to the name of a register.
FLIP_FLOP = re.compile(r"_(TRELLIS_FF|SB_DFF[A-Z]*)_Q(_.*)?$")
TOP_MODULE = "top"


@dataclasses.dataclass(frozen=True)
class Timing:
    """Of one seed's run; times in ns.

    Attributes
    ----------
    fmax_mhz : float
    critical_path : dict
        ``from`` and ``to``, which are registers; ``delay_ns``, which is the sum of ``logic_ns`` and ``routing_ns``;
        and those three for each of ``modules``, the slowest first. yosys names its gates after signals nearby, and
        nextpnr a wire after one of its ends: a module's share is as exact as that.
    input_to_register_ns, register_to_output_ns, input_to_output_ns : float or None
        The slowest path of each kind, up to the pin or to the frame's register; None where there is none (input to
        output in a frame: or none that is slower than the frame itself).
    untimed : tuple of str
        Cells that nextpnr takes for registers although they have no clock here: paths are cut at them, and the clock is
        higher than it could be.
    """

    fmax_mhz: float
    critical_path: dict[str, Any]
    input_to_register_ns: float | None
    register_to_output_ns: float | None
    input_to_output_ns: float | None
    untimed: tuple[str, ...]


def parse(report: dict[str, Any], scopes: frozenset[str], framed: bool) -> Timing:
    """The Timing in a report; `scopes` are the hierarchical names of the block's instances, `framed` tells whether it
    has been placed in a frame.

    Raises
    ------
    ToolError
        Where there is no path between two registers.
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
    parts = _name(cell).split(".")
    for count in range(len(parts) - 1, 0, -1):
        if ".".join(parts[:count]) in scopes:
            return ".".join(parts[:count])
    return TOP_MODULE


def _describe(steps: list[dict[str, Any]], scopes: frozenset[str]) -> dict[str, Any]:
    modules: dict[str, dict[str, float]] = {}
    total = {"logic_ns": 0.0, "routing_ns": 0.0}
    for step in steps:
        kind = "routing_ns" if step["type"] == "routing" else "logic_ns"
        # A wire belongs to what drives it.
        share = modules.setdefault(_module(step["from"]["cell"], scopes), {"logic_ns": 0.0, "routing_ns": 0.0})
        share[kind] += step["delay"]
        total[kind] += step["delay"]
    ranked = sorted(modules.items(), key=lambda item: -sum(item[1].values()))
    return {"from": _register(steps[0]["from"]), "to": _register(steps[-1]["to"]), **_sum(total),
            "modules": {name: _sum(share) for name, share in ranked}}


def _sum(share: dict[str, float]) -> dict[str, float]:
    return {"delay_ns": round(sum(share.values()), 3)} | {name: round(value, 3) for name, value in share.items()}
