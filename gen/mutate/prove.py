# SPDX-License-Identifier: Apache-2.0
"""Survivors that no input can tell from the block: proved by ABC, which yosys has.

By property-directed reachability first; what is left, over some cycles, with the smaller multipliers as they are.
"""

import concurrent.futures
import contextlib
import dataclasses
import functools
import json

from ..tools import TOOLS, ToolError
from .aig import FALSE, read, write
from .cut import cut
from .known import GIVEN, KNOWN
from .miter import GIVEN_PORT, KNOWN_PORT, Faults
from .netlist import SEEN, SELECT, TOP, controlled
from .unroll import CYCLES, later, sooner

__all__ = ["Proof", "prove"]

# Seconds for each window and each way to search, first for all of a survivor's, then for some of those that are left.
QUICK, LONG = 2, 10
# Seconds for each way to prove what is known of the block.
KNOWN_SECONDS = 60
# Levels of registers behind the fault that have a copy of their own, of those that are tried.
WINDOWS = (0, 1, 2, 4, 8)
# The same for proofs over some cycles; the most operands' bits of the multipliers that they have: those of tables and
# gates.
UNROLLED, MULTIPLIED = (3, 6), 29

# Everything but what is cut out as ANDs and registers, which start with anything.
TO_AIG = """
read_json cut.json
setattr -unset init w:*
opt_expr -mux_undef
opt_clean
setundef -undriven -zero
setundef -zero
techmap
opt_expr
opt_clean
dffunmap
aigmap
opt_clean
write_aiger -zinit -map faults.map faults.aig
"""
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


@dataclasses.dataclass(frozen=True)
class Proof:
    """What became of a survivor: ``equivalent`` or not proved to be so; ``how`` in words."""

    equivalent: bool
    how: str


def prove(bench, survivors, jobs, told=lambda done: None):
    """A :class:`Proof` for each of the mutations `survivors` of the workbench's netlist ``SEEN``.

    Parameters
    ----------
    bench : Workbench
    survivors : sequence of Mutation
    jobs : int
        Proofs at a time.
    told : callable
        Called with the number of finished ones.

    Raises
    ------
    ToolError
        Where the netlist can't be prepared; a proof that fails for want of memory proves nothing, no more.
    """
    (bench.folder / "idle.v").write_text(IDLE)
    faults = Faults(_machine(bench, survivors), SELECT)
    nothing = faults.cycle.broken == FALSE
    faults.assume = nothing or _solved(bench, "known", faults.unknown(), KNOWN_SECONDS) == "UNSAT"
    numbers = range(1, len(survivors) + 1)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        # Graphs are made here, one after the other; what runs beside is ABC.
        found = [pool.submit(_prove, bench, number, _windows(faults, number)) for number in numbers]
        proofs = []
        for future in found:
            proofs.append(future.result())
            told(len(proofs))
        left = [number for number in numbers if not proofs[number - 1].equivalent]
        if left and faults.assume:
            machine = _machine(bench, survivors, MULTIPLIED)
            for number, proof in zip(left, pool.map(lambda n: _prove_unrolled(bench, machine, n), left), strict=True):
                proofs[number - 1] = proof or proofs[number - 1]
    return proofs


def _machine(bench, survivors, most=0):
    script = [f"read_rtlil {SEEN}", *controlled(survivors)]
    # Of what only the bench sees, nothing else is left.
    if KNOWN in (bench.folder / SEEN).read_text():
        script += [f"cd {TOP}", f"rename -output {KNOWN} {KNOWN_PORT}", f"rename -output {GIVEN} {GIVEN_PORT}", "cd .."]
    script = "\n".join([*script, "setattr -unset keep w:*", "opt_clean", "write_json faults.json", ""])
    (bench.folder / "faults.ys").write_text(script)
    _, netlist = bench.run(TOOLS["yosys"], ["-s", "faults.ys"], "faults.log", "faults.json")
    cut(netlist["modules"][TOP], most)
    (bench.folder / "cut.json").write_text(json.dumps(netlist))
    bench.run(TOOLS["yosys"], ["-p", TO_AIG], "aig.log")
    folder = bench.folder
    return read((folder / "faults.aig").read_bytes(), (folder / "faults.map").read_text())


def _windows(faults, number):
    """What to prove one of: (levels, AIGER file, whether all that the fault reaches is in it); empty if nothing is."""
    found, copied, levels = [], frozenset(), 0
    while True:
        miter = faults.miter(number, copied)
        if miter.bad == FALSE:
            return []
        if levels in WINDOWS or not miter.reached:
            found.append((levels, write(miter.graph, miter.registers, miter.bad), not miter.reached))
        if not miter.reached:
            return found
        copied, levels = copied | miter.reached, levels + 1


def _prove(bench, number, windows):
    if not windows:
        return Proof(True, "nothing that is read depends on it")
    undecided = []
    for levels, data, whole in windows:
        status, frames = _reachable(bench, f"p{number}_{levels}", data, "", QUICK)
        if status == "UNSAT":
            return _proved(levels)
        if status == "SAT" and whole:
            # ABC doesn't count the cycles of every counterexample.
            where = f"in cycle {frames}" if frames >= 0 else "somewhere"
            return Proof(False, f"differs {where}, if memories may hold anything")
        if status != "SAT":
            undecided.append((levels, data))
    for levels, data in undecided[:2] + undecided[2:][-1:]:
        if _solved(bench, f"p{number}_{levels}", data, LONG) == "UNSAT":
            return _proved(levels)
    return Proof(False, f"not decided in {LONG} s")


def _prove_unrolled(bench, machine, number):
    """A Proof over some cycles, or None."""
    copied, levels = frozenset(), 0
    while levels <= UNROLLED[-1]:
        # Graphs of many cycles are large: one for each proof, that goes with it.
        reached = Faults(machine, SELECT).miter(number, copied).reached
        if levels in UNROLLED or not reached:
            makers = (functools.partial(make, Faults(machine, SELECT), number, copied) for make in (later, sooner))
            if all(_holds(bench, f"u{number}_{levels}", make()) for make in makers):
                return _proved(levels, f" behind {CYCLES + 1} cycles of reset")
        if not reached:
            break
        copied, levels = copied | reached, levels + 1
    return None


def _holds(bench, name, data):
    return data is None or _asked(bench, name, data, SATISFY)[0] == "UNSAT"


def _solved(bench, name, data, seconds):
    """ABC's verdict by the first of ``HOWS`` that comes to one."""
    for how in HOWS:
        status, _ = _reachable(bench, name, data, how, seconds)
        if status != "UNK":
            return status
    return "UNK"


def _proved(levels, when=""):
    where = f", from the {levels + 1}th behind it on," if levels else ""
    return Proof(True, f"no reachable state{when} in which it changes what a register{where} or a memory takes, or an "
                       "output (data and tlast: while valid is high)")


def _reachable(bench, name, data, how, seconds):
    """What ABC says of `data`, a graph with registers, in so many seconds: as :func:`_asked`."""
    return _asked(bench, name, data, REACH.format(how=how, seconds=seconds))


def _asked(bench, name, data, search):
    """ABC's verdict by `search`: ("UNSAT", frames), ("SAT", frames) or ("UNK", frames)."""
    paths = [bench.folder / f"{name}.{kind}" for kind in ("aig", "abc", "status")]
    paths[0].write_bytes(data)
    paths[1].write_text(ABC.format(name=name, search=search))
    # It ends without a netlist, which yosys calls an error: what counts is the file with ABC's verdict.
    with contextlib.suppress(ToolError):
        bench.run(TOOLS["yosys"], ["-p", f"read_verilog idle.v; techmap; abc -script {name}.abc"], f"{name}.log")
    try:
        verdict, frames = paths[2].read_text().split()[:2]
    except (OSError, ValueError):
        return "UNK", 0
    finally:
        for path in (*paths, bench.folder / f"{name}.log", bench.logs / f"{name}.log"):
            path.unlink(missing_ok=True)
    return verdict.removeprefix("snl_"), int(frames)
