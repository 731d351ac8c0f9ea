# SPDX-License-Identifier: Apache-2.0
"""Proves by ABC, which is part of yosys, that no input can tell a surviving mutant from the block.

ABC first tries property-directed reachability. The remaining mutants are tried over several cycles, with the smaller
multipliers left in.
"""

import concurrent.futures
import dataclasses
import functools
import json
from collections.abc import Callable, Sequence

from ...gen.fpga.tools import TOOLS, Workbench
from ..faults import OBSERVED, TOP, controlled
from .abc import reachable, satisfiable, solved
from .aig import FALSE, Machine, read, write
from .cutpoints import cut
from .invariants import ASSUMPTIONS, INVARIANTS
from .miter import ASSUMPTIONS_PORT, INVARIANTS_PORT, Faults
from .unroll import CYCLES, assumable, later, sooner

__all__ = ["MULTIPLIED", "OVER_CYCLES", "Verdict", "can_hold", "machine_with", "prove_equivalent",
           "prove_over_cycles"]

# Seconds for each window and each way to search: first for all windows of a survivor, then for some undecided ones.
QUICK, LONG = 2, 10
# Seconds for each way to prove the invariants of the block.
INVARIANTS_SECONDS = 60
# Numbers of levels of registers after the fault that get a copy of their own: each is a window that is tried.
WINDOWS = (0, 1, 2, 4, 8)
# The same for proofs over several cycles. And the most operand bits of multipliers that stay in these: those of MAC
# units, tables and gates.
UNROLLED, MULTIPLIED = (3, 6), 29

# Turns everything except the cuts into ANDs and registers, which start with any value.
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
# What the text of a proof over several cycles adds.
OVER_CYCLES = f" after {CYCLES + 1} cycles of reset, with parameters as they have to be,"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Whether a survivor is proved ``equivalent``; ``how`` says why or why not; ``undecided`` if neither is proved."""

    equivalent: bool
    how: str
    undecided: bool = False


def prove_equivalent(bench: Workbench, survivors: Sequence, jobs: int,
                     progress: Callable[[int], None] = lambda done: None) -> list[Verdict]:
    """A :class:`Verdict` for each of the mutations `survivors` of the workbench's netlist ``OBSERVED``.

    `jobs` proofs are made at a time; `progress` is called with the number of finished ones. Raises ToolError where the
    netlist can't be prepared. A proof that runs out of memory is merely undecided.
    """
    faults = Faults(machine_with(bench, survivors))
    faults.assume = faults.cycle.broken == FALSE or solved(
        bench, "invariants", faults.invariants(), INVARIANTS_SECONDS) == "UNSAT"
    numbers = range(1, len(survivors) + 1)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        # This thread makes the graphs one after the other. ABC runs at the same time.
        futures = [pool.submit(_prove, bench, number, _windows(faults, number)) for number in numbers]
        proofs = []
        for future in futures:
            proofs.append(future.result())
            progress(len(proofs))
    left = [number for number, proof in enumerate(proofs, 1) if proof.undecided]
    if left and faults.assume and can_hold(bench, machine := machine_with(bench, survivors, MULTIPLIED)):
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            unrolled = pool.map(functools.partial(prove_over_cycles, bench, machine), left)
            for number, proof in zip(left, unrolled, strict=True):
                proofs[number - 1] = proof or Verdict(False, f"{proofs[number - 1].how}, nor over {CYCLES} cycles")
    return proofs


def machine_with(bench: Workbench, survivors: Sequence, most: int = 0) -> Machine:
    """The Machine of the workbench's netlist with `survivors`; its memories and multipliers are cut (:func:`.cut`)."""
    script = [f"read_rtlil {OBSERVED}", *controlled(survivors)]
    # These two are all that is kept of what only the bench observes.
    if INVARIANTS in (bench.folder / OBSERVED).read_text():
        script += [f"cd {TOP}", f"rename -output {INVARIANTS} {INVARIANTS_PORT}",
                   f"rename -output {ASSUMPTIONS} {ASSUMPTIONS_PORT}", "cd .."]
    script = "\n".join([*script, "setattr -unset keep w:*", "opt_clean", "write_json faults.json", ""])
    (bench.folder / "faults.ys").write_text(script)
    _, netlist = bench.run(TOOLS["yosys"], ["-s", "faults.ys"], "faults.log", "faults.json")
    cut(netlist["modules"][TOP], most)
    (bench.folder / "cut.json").write_text(json.dumps(netlist))
    bench.run(TOOLS["yosys"], ["-p", TO_AIG], "aig.log")
    return read((bench.folder / "faults.aig").read_bytes(), (bench.folder / "faults.map").read_text())


def _windows(faults, number):
    """(levels, AIGER, whether it has all registers that the fault reaches); one must be proved, if there is any."""
    windows, copied, levels = [], frozenset(), 0
    while True:
        registers, bad, reached = faults.miter(number, copied)
        if bad == FALSE:
            return []
        if levels in WINDOWS or not reached:
            windows.append((levels, write(faults.graph, registers, bad), not reached))
        if not reached:
            return windows
        copied, levels = copied | reached, levels + 1


def _prove(bench, number, windows):
    if not windows:
        return Verdict(True, "nothing that is read depends on it")
    undecided = []
    for levels, data, whole in windows:
        status, frames = reachable(bench, f"p{number}_{levels}", data, "", QUICK)
        if status == "UNSAT":
            return _proved(levels)
        if status == "SAT" and whole:
            # For some counterexamples ABC doesn't count the cycles.
            where = f"in cycle {frames}" if frames >= 0 else "somewhere"
            return Verdict(False, f"differs {where}, if memories may hold anything")
        if status != "SAT":
            undecided.append((levels, data))
    for levels, data in undecided[:2] + undecided[2:][-1:]:
        if solved(bench, f"p{number}_{levels}", data, LONG) == "UNSAT":
            return _proved(levels)
    return Verdict(False, f"not decided in {LONG} s", undecided=True)


def can_hold(bench: Workbench, machine: Machine) -> bool:
    """Whether invariants and assumptions, on which :func:`prove_over_cycles` relies, can hold at all."""
    data = assumable(Faults(machine))
    return data is None or satisfiable(bench, "assumable", data) == "SAT"


def prove_over_cycles(bench: Workbench, machine: Machine, number: int) -> Verdict | None:
    """A Verdict by :mod:`.unroll` that a machine's fault is equivalent; None if there is none."""
    copied, levels = frozenset(), 0
    while levels <= UNROLLED[-1]:
        # Graphs of many cycles are large, so that each is made for one proof and then dropped.
        *_, reached = Faults(machine).miter(number, copied)
        if levels in UNROLLED or not reached:
            makers = (functools.partial(make, Faults(machine), number, copied) for make in (later, sooner))
            if all(_holds(bench, f"u{number}_{levels}", make()) for make in makers):
                return _proved(levels, OVER_CYCLES)
        if not reached:
            break
        copied, levels = copied | reached, levels + 1
    return None


def _holds(bench, name, data):
    return data is None or satisfiable(bench, name, data) == "UNSAT"


def _proved(levels, when=""):
    where = f", from the {levels + 1}th after it on," if levels else ""
    return Verdict(True, f"no reachable state{when} in which it changes what a register{where} or a memory takes, or "
                         "an output (data and tlast: while valid is high)")
