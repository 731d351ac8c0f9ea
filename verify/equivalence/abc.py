# SPDX-License-Identifier: Apache-2.0
"""ABC, which comes with yosys: whether the output of a graph can be 1."""

import contextlib

from ...gen.fpga.tools import TOOLS, ToolError

__all__ = ["reachable", "satisfiable", "solved"]

ABC = """read_aiger {name}.aig
{search}
write_status {name}.status
"""
REACH, SATISFY = "pdr {how} -T {seconds}", "fraig -C 1000; sat -C 300000"
# The same search with and without counterexamples to generalisation and abstraction: what one doesn't find in a minute
# another finds in seconds.
HOWS = ("", "-nct", "-nc")
# ABC wants something to map, too; nobody looks at the result.
IDLE = "module idle(input a, output b); assign b = !a; endmodule\n"


def satisfiable(bench, name, data):
    """ABC's verdict of `data`, a graph without registers: "UNSAT", "SAT", or "UNK" behind too many conflicts."""
    return _asked(bench, name, data, SATISFY)[0]


def solved(bench, name, data, seconds):
    """ABC's verdict by the first of ``HOWS`` that comes to one."""
    for how in HOWS:
        status, _ = reachable(bench, name, data, how, seconds)
        if status != "UNK":
            return status
    return "UNK"


def reachable(bench, name, data, how, seconds):
    """What ABC says of `data`, a graph with registers, in so many seconds: as :func:`_asked`."""
    return _asked(bench, name, data, REACH.format(how=how, seconds=seconds))


def _asked(bench, name, data, search):
    """ABC's verdict by `search`: ("UNSAT", frames), ("SAT", frames) or ("UNK", frames)."""
    paths = [bench.folder / f"{name}.{kind}" for kind in ("aig", "abc", "status", "v")]
    paths[0].write_bytes(data)
    paths[1].write_text(ABC.format(name=name, search=search))
    paths[3].write_text(IDLE)
    # It ends without a netlist, which yosys calls an error: what counts is the file with ABC's verdict.
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
