# SPDX-License-Identifier: Apache-2.0
"""Asks ABC, which is part of yosys, whether the output of a graph can be 1."""

import contextlib

from ...gen.fpga.tools import TOOLS, ToolError, Workbench

__all__ = ["reachable", "satisfiable", "solved"]

ABC = """read_aiger {name}.aig
{search}
write_status {name}.status
"""
REACH, SATISFY = "pdr {how} -T {seconds}", "fraig -C 1000; sat -C 300000"
# The same search without and with abstraction and generalisation of counterexamples: one may find in seconds what
# another doesn't find in a minute.
HOWS = ("", "-nct", "-nc")
# ABC also wants something to map. Nobody looks at the result.
IDLE = "module idle(input a, output b); assign b = !a; endmodule\n"


def satisfiable(bench: Workbench, name: str, data: bytes) -> str:
    """ABC's verdict of `data`, a graph without registers: "UNSAT", "SAT", or "UNK" after too many conflicts."""
    return _verdict(bench, name, data, SATISFY)[0]


def solved(bench: Workbench, name: str, data: bytes, seconds: int) -> str:
    """ABC's verdict by the first of ``HOWS`` that comes to one; each has `seconds`."""
    for how in HOWS:
        status, _ = reachable(bench, name, data, how, seconds)
        if status != "UNK":
            return status
    return "UNK"


def reachable(bench: Workbench, name: str, data: bytes, how: str, seconds: int) -> tuple[str, int]:
    """ABC's verdict of `data`, a graph with registers: ("UNSAT", "SAT" or "UNK", frames)."""
    return _verdict(bench, name, data, REACH.format(how=how, seconds=seconds))


def _verdict(bench, name, data, search):
    paths = [bench.folder / f"{name}.{kind}" for kind in ("aig", "abc", "status", "v")]
    paths[0].write_bytes(data)
    paths[1].write_text(ABC.format(name=name, search=search))
    paths[3].write_text(IDLE)
    # ABC ends without a netlist, which yosys calls an error. Only the file with ABC's verdict counts.
    with contextlib.suppress(ToolError):
        bench.run(TOOLS["yosys"], ["-p", f"read_verilog {name}.v; techmap; abc -script {name}.abc"], f"{name}.log")
    try:
        verdict, frames = paths[2].read_text().split()[:2]
    except (OSError, ValueError):
        return "UNK", 0
    finally:
        for path in (*paths, bench.folder / f"{name}.log", bench.logs / f"{name}.log"):
            path.unlink(missing_ok=True)
    return verdict.removeprefix("snl_"), int(frames)
