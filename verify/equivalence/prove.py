# SPDX-License-Identifier: Apache-2.0
"""Survivors that no input can tell from the block: proved by ABC, which yosys has.

By property-directed reachability first; what is left, over some cycles, with the smaller multipliers as they are.
"""

import concurrent.futures
import dataclasses
import functools
import json

from ...gen.fpga.tools import TOOLS
from ..mutation.netlist import SEEN, SELECT, TOP, controlled
from .abc import reachable, satisfiable, solved
from .aig import FALSE, read, write
from .cut import cut
from .invariants import GIVEN, KNOWN
from .miter import GIVEN_PORT, KNOWN_PORT, Faults
from .unroll import CYCLES, granted, later, sooner

__all__ = ["MULTIPLIED", "Proof", "can_hold", "machine_with", "prove", "prove_over_cycles"]

# Seconds for each window and each way to search, first for all of a survivor's, then for some of those that are left.
QUICK, LONG = 2, 10
# Seconds for each way to prove what is known of the block.
KNOWN_SECONDS = 60
# Levels of registers behind the fault that have a copy of their own, of those that are tried.
WINDOWS = (0, 1, 2, 4, 8)
# The same for proofs over some cycles; the most operands' bits of the multipliers that they have: those of MAC
# units, tables and gates.
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
# What is said more of a proof over some cycles.
WHEN = f" behind {CYCLES + 1} cycles of reset, with parameters as they have to be,"


@dataclasses.dataclass(frozen=True)
class Proof:
    """What became of a survivor: ``equivalent`` or not proved so; ``how`` in words; whether that is still open."""

    equivalent: bool
    how: str
    undecided: bool = False


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
    faults = Faults(machine_with(bench, survivors), SELECT)
    nothing = faults.cycle.broken == FALSE
    faults.assume = nothing or solved(bench, "known", faults.unknown(), KNOWN_SECONDS) == "UNSAT"
    numbers = range(1, len(survivors) + 1)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        # Graphs are made here, one after the other; what runs beside is ABC.
        found = [pool.submit(_prove, bench, number, _windows(faults, number)) for number in numbers]
        proofs = []
        for future in found:
            proofs.append(future.result())
            told(len(proofs))
    left = [number for number, proof in enumerate(proofs, 1) if proof.undecided]
    if left and faults.assume:
        machine = machine_with(bench, survivors, MULTIPLIED)
        if can_hold(bench, machine):
            with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
                unrolled = pool.map(functools.partial(prove_over_cycles, bench, machine), left)
                for number, proof in zip(left, unrolled, strict=True):
                    proofs[number - 1] = proof or Proof(False, f"{proofs[number - 1].how}, nor over {CYCLES} cycles")
    return proofs


def machine_with(bench, survivors, most=0):
    """The Machine of the workbench's netlist with `survivors` in it, and :func:`.cut.cut`'s multipliers not in it."""
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
        status, frames = reachable(bench, f"p{number}_{levels}", data, "", QUICK)
        if status == "UNSAT":
            return _proved(levels)
        if status == "SAT" and whole:
            # ABC doesn't count the cycles of every counterexample.
            where = f"in cycle {frames}" if frames >= 0 else "somewhere"
            return Proof(False, f"differs {where}, if memories may hold anything")
        if status != "SAT":
            undecided.append((levels, data))
    for levels, data in undecided[:2] + undecided[2:][-1:]:
        if solved(bench, f"p{number}_{levels}", data, LONG) == "UNSAT":
            return _proved(levels)
    return Proof(False, f"not decided in {LONG} s", undecided=True)


def can_hold(bench, machine):
    """Whether what :func:`prove_over_cycles` takes for granted is possible at all."""
    data = granted(Faults(machine, SELECT))
    return data is None or satisfiable(bench, "granted", data) == "SAT"


def prove_over_cycles(bench, machine, number):
    """A Proof of a machine's fault by :mod:`.unroll`, or None."""
    copied, levels = frozenset(), 0
    while levels <= UNROLLED[-1]:
        # Graphs of many cycles are large: one for each proof, that goes with it.
        reached = Faults(machine, SELECT).miter(number, copied).reached
        if levels in UNROLLED or not reached:
            makers = (functools.partial(make, Faults(machine, SELECT), number, copied) for make in (later, sooner))
            if all(_holds(bench, f"u{number}_{levels}", make()) for make in makers):
                return _proved(levels, WHEN)
        if not reached:
            break
        copied, levels = copied | reached, levels + 1
    return None


def _holds(bench, name, data):
    return data is None or satisfiable(bench, name, data) == "UNSAT"


def _proved(levels, when=""):
    where = f", from the {levels + 1}th behind it on," if levels else ""
    return Proof(True, f"no reachable state{when} in which it changes what a register{where} or a memory takes, or an "
                       "output (data and tlast: while valid is high)")
