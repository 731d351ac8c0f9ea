# SPDX-License-Identifier: Apache-2.0
"""Verilog to a technology's cells, through yosys; and a frame around a block with more ports than the part has pins.

The frame needs only four pins. Every input comes from a register, every output goes into one, as it will in a user's
design. Those registers have a clock of their own, so that paths through ports stay apart from those of the block, and
are reported as such.
"""

import collections
import dataclasses
import re
from typing import Any

from .tools import TOOLS, Workbench

__all__ = ["CLOCK", "INSTANCE", "Netlist", "frame", "map_to_cells"]

SCRIPT = """
read_verilog {name}.v
{command} -top {name}
cd {name}
write_json -selected {name}.json
"""

# Of a frame: the name of its registers' clock, and of the block's instance in it, which no instance of a block has.
CLOCK, INSTANCE = "pins_clk", "framed"

FRAME = """
(* blackbox *)
module {block}({declarations});
endmodule

module {frame}(input clk, input {clock}, input pins_in, output pins_out);
    reg [{last_in}:0] given;
    wire [{last_out}:0] outputs;
    reg [{last_out}:0] taken, folded;
    always @(posedge {clock}) begin
        given <= {{given, pins_in}};
        taken <= outputs;
        folded <= taken ^ {{folded, 1'b0}};
    end
    assign pins_out = folded[{last_out}];
    {block} {instance}({connections});
endmodule
"""

FRAME_SCRIPT = """
read_verilog {name}.v
{command} -top {name}
delete ={block}
read_json {block}.json
hierarchy -top {name}
flatten
clean
cd {name}
write_json -selected {name}.json
"""


@dataclasses.dataclass(frozen=True)
class Netlist:
    """A flat netlist of module `top`.

    `cells` maps hierarchical names to types; `scopes` are the names of the instances that were flattened; `ports` maps
    names to direction, which is "input" or "output", and bits.
    """

    top: str
    cells: dict[str, str]
    scopes: frozenset[str]
    ports: dict[str, tuple[str, int]]

    @property
    def pins(self) -> int:
        """Bits of all ports."""
        return sum(bits for _, bits in self.ports.values())

    @property
    def counts(self) -> dict[str, int]:
        """Cells by type, in alphabetic order."""
        return dict(sorted(collections.Counter(self.cells.values()).items()))

    def count(self, pattern: str) -> int:
        """Cells whose type is one of a regular expression's."""
        return sum(bool(re.fullmatch(pattern, kind)) for kind in self.cells.values())


def map_to_cells(bench: Workbench, command: str, verilog: str, top: str, log: str = "yosys.log") -> Netlist:
    """Map `verilog` with one of yosys' ``synth_*`` commands; leaves ``TOP.json`` in the workbench's folder.

    Raises ToolError.
    """
    module = _run(bench, SCRIPT, top, verilog, log, command=command)["modules"][top]
    # These mark places where an instance was; they are no hardware.
    scopes = {name for name, cell in module["cells"].items() if cell["type"] == "$scopeinfo"}
    return Netlist(
        top, {name: cell["type"] for name, cell in module["cells"].items() if name not in scopes}, frozenset(scopes),
        {name: (port["direction"], len(port["bits"])) for name, port in module["ports"].items()})


def frame(bench: Workbench, command: str, netlist: Netlist, log: str) -> str:
    """Put a frame around `netlist`, whose ``TOP.json`` is in the workbench's folder.

    Returns the frame's name; its ``NAME.json`` lies there, too. In it, the block's names start with INSTANCE and a dot.
    """
    name, used, connections = f"{netlist.top}_pins", {"input": 0, "output": 0}, [".clk(clk)"]
    for port, (direction, bits) in netlist.ports.items():
        if port != "clk":
            low = used[direction]
            used[direction] += bits
            source = "given" if direction == "input" else "outputs"
            connections.append(f".{port}({source}[{low + bits - 1}:{low}])")
    declarations = ", ".join(f"{direction} [{bits - 1}:0] {port}" for port, (direction, bits) in netlist.ports.items())
    verilog = FRAME.format(block=netlist.top, frame=name, clock=CLOCK, instance=INSTANCE, declarations=declarations,
                           last_in=used["input"] - 1, last_out=used["output"] - 1, connections=", ".join(connections))
    _run(bench, FRAME_SCRIPT, name, verilog, log, command=command, block=netlist.top)
    return name


def _run(bench: Workbench, script: str, name: str, verilog: str, log: str, **texts: str) -> Any:
    """Run `script` on `verilog`; what it writes into ``NAME.json``."""
    (bench.folder / f"{name}.v").write_text(verilog)
    (bench.folder / f"{name}.json").unlink(missing_ok=True)
    return bench.run(TOOLS["yosys"], ["-p", script.format(name=name, **texts)], log, f"{name}.json")[1]
