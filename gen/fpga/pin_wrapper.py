# SPDX-License-Identifier: Apache-2.0
"""A frame around a block with more ports than the part has pins: it needs only four pins.

Every input comes from a register, every output goes into one, as it will in a user's design. Those registers have a
clock of their own, so that paths through ports stay apart from those of the block, and are reported as such.
"""

from .tools import TOOLS, Workbench
from .yosys import Netlist

__all__ = ["CLOCK", "INSTANCE", "frame"]

CLOCK = "pins_clk"
INSTANCE = "block"

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

SCRIPT = """
read_verilog {frame}.v
{command} -top {frame}
delete ={block}
read_json {block}.json
hierarchy -top {frame}
flatten
clean
cd {frame}
write_json -selected {frame}.json
"""


def frame(bench: Workbench, command: str, netlist: Netlist, log: str) -> str:
    """Put a frame around `netlist`, whose ``TOP.json`` is in the workbench's folder.

    Returns
    -------
    str
        Name of the frame, whose ``NAME.json`` lies there, too. In it, the block's names start with INSTANCE and a dot.
    """
    name = f"{netlist.top}_pins"
    (bench.folder / f"{name}.v").write_text(_verilog(netlist, name))
    (bench.folder / f"{name}.json").unlink(missing_ok=True)
    script = SCRIPT.format(frame=name, block=netlist.top, command=command)
    bench.run(TOOLS["yosys"], ["-p", script], log, f"{name}.json")
    return name


def _verilog(netlist: Netlist, name: str) -> str:
    used, connections = {"input": 0, "output": 0}, [".clk(clk)"]
    for port, (direction, bits) in netlist.ports.items():
        if port != "clk":
            low = used[direction]
            used[direction] += bits
            source = "given" if direction == "input" else "outputs"
            connections.append(f".{port}({source}[{low + bits - 1}:{low}])")
    declarations = ", ".join(f"{direction} [{bits - 1}:0] {port}" for port, (direction, bits) in netlist.ports.items())
    return FRAME.format(block=netlist.top, frame=name, clock=CLOCK, instance=INSTANCE, declarations=declarations,
                        last_in=used["input"] - 1, last_out=used["output"] - 1, connections=", ".join(connections))
