# SPDX-License-Identifier: Apache-2.0
"""Models that yosys makes from a block's Verilog for simulators: C++ text, and a netlist of an FPGA's cells.

All functions raise ToolError where yosys is not installed, fails, or lacks the model of a cell.
"""

import importlib.util
import pathlib
import re

from ...cosim.cache import Cache, digest
from ...cosim.scratch import scratch
from ...gen.fpga.targets import FAMILIES, Target
from ...gen.fpga.tools import TOOLS, ToolError, Workbench
from ...gen.fpga.yosys import SCRIPT, map_to_cells
from ...gen.verilog import generate
from ...hdl.config import Config
from ...hdl.ecp5 import Ecp5
from ...hdl.parameters import Parameters

__all__ = ["cell_models", "cxxrtl", "ecp5"]

CXXRTL = """
read_verilog {top}.v
hierarchy -top {top}
write_cxxrtl -g0 {top}.cc
"""
NETLIST = """
read_json {top}.json
write_verilog -noattr {top}_netlist.v
"""
TEXT = "text"
# Yosys' files with models of these cells. Not every simulator can read the other files.
CELL_FILES = ("common_sim.vh", "ccu2c_sim.vh")
CELLS = ("LUT2", "LUT4", "CCU2C", "PFUMX", "L6MUX21", "TRELLIS_DPR16X4", "TRELLIS_FF")
# Our models of the cells for which yosys has none.
OURS = pathlib.Path(__file__).parent / "ecp5_cells.v"


def cxxrtl(verilog: str, top: str) -> str:
    """C++ text that simulates module `top` of `verilog`, made by yosys' ``write_cxxrtl``."""
    def make(bench):
        (bench.folder / f"{top}.v").write_text(verilog)
        bench.run(TOOLS["yosys"], ["-p", CXXRTL.format(top=top)], "cxxrtl.log")
        return (bench.folder / f"{top}.cc").read_text()

    return _kept(make, verilog, top, CXXRTL)


def ecp5(config: Config, parameters: Parameters | None, top: str = "tiled_se") -> str:
    """Verilog of a block as ``tiled-se synth`` maps it to ECP5: one flat module of instances of cells.

    `parameters` are the baked ones; None for a loadable block.
    """
    command = FAMILIES[Target.ECP5].parts[0].synthesis
    verilog = generate(config, parameters, top, Ecp5).verilog

    def make(bench):
        map_to_cells(bench, command, verilog, top, "ecp5.log")
        bench.run(TOOLS["yosys"], ["-p", NETLIST.format(top=top)], "netlist.log")
        return (bench.folder / f"{top}_netlist.v").read_text()

    return _kept(make, verilog, top, command, SCRIPT, NETLIST)


def _kept(make, *parts):
    """The text that ``make(bench)`` returns, kept in the build cache; `parts` and yosys' version decide it."""
    tool = TOOLS["yosys"]
    tool.check()

    def fill(folder):
        with scratch() as temporary, Workbench(temporary) as bench:
            (folder / TEXT).write_text(make(bench))

    folder, _ = Cache().get(f"{digest(tool.version, *parts)}-yosys", fill)
    return (folder / TEXT).read_text()


def cell_models() -> str:
    """Verilog of the cells that blocks are mapped to: yosys' models, and ours of block RAM and multiplier."""
    tool = TOOLS["yosys"]
    tool.check()
    share = pathlib.Path(importlib.util.find_spec(tool.module).origin).parent / "share" / "ecp5"
    text = "".join((share / name).read_text() for name in CELL_FILES)
    modules = [re.search(rf"^module {cell}\b.*?^endmodule", text, re.M | re.S) for cell in CELLS]
    if None in modules:
        raise ToolError(f"yosys {tool.version} has no model of {CELLS[modules.index(None)]} in {share}")
    return "\n".join([*(module[0] for module in modules), OURS.read_text()])
