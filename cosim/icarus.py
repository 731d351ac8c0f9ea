# SPDX-License-Identifier: Apache-2.0
"""Builds a simulation for cocotb with Icarus Verilog, if it is installed."""

import shutil
from pathlib import Path

import cocotb_tools.config

from .tools import BuildError, run_all, version

__all__ = ["EXECUTABLE", "command", "compile_design", "icarus_version", "identity"]

EXECUTABLE = "simulation.vvp"

# Icarus counts in whole seconds unless told otherwise.
_TIMESCALE = "+timescale+1ns/1ps\n"
# The wave file's name is an argument of the run, as one build serves many runs.
_DUMP = """module cosim_dump;
  reg [8*4096:1] name;
  initial if ($value$plusargs("dump=%s", name)) begin
    $dumpfile(name);
    $dumpvars(0, {top});
  end
endmodule
"""


def _program(name):
    path = shutil.which(name)
    if path is None:
        raise BuildError(f"SIM=icarus needs {name}, which is not on PATH")
    return path


def icarus_version():
    """Icarus Verilog's version line, or None if it is not installed."""
    program = shutil.which("vvp")
    return (version([program, "-V"]).splitlines() or ["unknown"])[0] if program else None


def identity(standard):
    """Everything except the design that decides the result of ``compile_design``; JSON-serialisable."""
    # vvp has the same version as iverilog, and starts no other program to print it.
    return [Path(__file__).read_text(), standard, _program("iverilog"), version([_program("vvp"), "-V"])]


def compile_design(folder, verilog_text, top, waves, standard):
    """Make ``EXECUTABLE`` in ``folder``; ``standard`` is 2005 or 2012, as in ``-g2012``."""
    (folder / "design.v").write_text(verilog_text)
    (folder / "timescale.f").write_text(_TIMESCALE)
    tops, sources = ["-s", top], ["design.v"]
    if waves:
        (folder / "dump.v").write_text(_DUMP.replace("{top}", top))
        tops += ["-s", "cosim_dump"]
        sources.append("dump.v")
    run_all([[_program("iverilog"), f"-g{standard}", "-o", EXECUTABLE, "-f", "timescale.f", *tops, *sources]], folder)


def command(executable, wave_file):
    """The command that runs ``executable``, and writes waves to ``wave_file`` unless that is None."""
    arguments = ["-none"] if wave_file is None else ["-vcd", f"+dump={wave_file}"]
    return [_program("vvp"), "-m", cocotb_tools.config.lib_entry("vpi", "icarus"), str(executable), *arguments]
