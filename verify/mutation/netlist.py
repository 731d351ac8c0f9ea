# SPDX-License-Identifier: Apache-2.0
"""A block's flat netlist, the mutations that yosys finds for it, and all chosen ones in one netlist."""

import pathlib
import re

from amaranth.back import rtlil

from ...gen.fpga.tools import TOOLS
from ...hdl.technology import LEAVES_VERILOG, Technology
from ..equivalence.invariants import with_known
from ..regression import MISUSED
from .mutation import parse

__all__ = ["FLAT", "MOST", "SEEN", "SELECT", "SELECT_BITS", "TOP", "controlled", "flatten", "mutate_all", "mutations"]

# The block is what is mutated and proved; with the bench's view of it, it is what is simulated.
TOP, FLAT, SEEN = "tiled_se", "flat.il", "seen.il"
SELECT, SELECT_BITS = "mutsel", 16
# In one netlist.
MOST = 2**SELECT_BITS - 1
# More are asked for than are wanted: some are left out.
SPARE = 50
PACKAGE = pathlib.Path(__file__).resolve().parents[2]

# As the generator's own conversion to Verilog, and the leaf modules with it; then one module. Names of instances stay
# in the names of cells and signals. Registers that yosys would count as a memory's are registers here, so that they are
# mutated, too. Second copies of a cell go, of which Amaranth makes one for each bit of an expression that is sliced: a
# fault in one of many copies says little.
FLATTEN = """
read_rtlil block.il
read_verilog leaves.v
hierarchy -top {top}
proc -norom
memory_collect
memory_nordff
opt_expr -mux_undef -fine
pmux2shiftx -norange
opt_muxtree
opt_clean
flatten
opt_expr -mux_undef
opt_clean
opt_merge
opt_clean
delete */t:$scopeinfo
check -assert
write_rtlil {seen}
setattr -unset keep w:*
opt_clean
write_rtlil {flat}
"""

# What a memory promises nothing about (hdl/ram.py) is told: it was read where it is written, or beyond its end.
WRITING = "        if (we) mem[waddr] <= wdata;\n"
CHECKING = "        misused <= (we & re & (waddr == raddr)) | (we & (waddr >= DEPTH)) | (re & (raddr >= DEPTH));\n"
STORAGE = "    reg [WIDTH-1:0] mem [0:DEPTH-1];\n"
# Registers that are mutated have no initial value any more: nothing counts before the first reset.
REPORT = """
  reg [1:0] begun = 0;
  output reg [{high}:0] {port} = 0;
  always @(posedge clk) begin
    begun <= {{begun[0], rst | begun[0]}};
    if (begun[1]) {port} <= {port} | {{{memories}}};
  end
endmodule
"""

# Contents of memories are no logic: what is wrong around them is found in the cells that drive and read them.
LIST = """
read_rtlil {flat}
select -set logic {top}/t:* {top}/t:$mem_v2 %d
mutate -list {count} -seed {seed} -o list.txt @logic
"""


def _leaves():
    """The leaf modules, memories with a register that tells when one was misused."""
    text = LEAVES_VERILOG.format(name=TOP)
    assert (text.count(WRITING), text.count(STORAGE)) == (1, 1)
    return text.replace(WRITING, WRITING + CHECKING).replace(STORAGE, STORAGE + "    (* keep *) reg misused;\n")


def flatten(bench, config, parameters):
    """Leave the flat netlist of a block in the workbench: as ``FLAT``, and with what its bench sees as ``SEEN``.

    That is the stages' taps and whether memories are misused, which nothing in the block reads.

    Raises
    ------
    ToolError
    """
    technology = Technology(TOP)
    block, ports = with_known(config, parameters, technology)
    text = rtlil.convert(block, name=TOP, platform=technology, ports=ports, emit_src=True)
    (bench.folder / "block.il").write_text(text)
    (bench.folder / "leaves.v").write_text(_leaves())
    bench.run(TOOLS["yosys"], ["-p", FLATTEN.format(top=TOP, flat=FLAT, seen=SEEN)], "flatten.log")


def mutations(bench, count, seed):
    """`count` mutations of ``FLAT``, spread by yosys evenly over cells, signals, bits and lines of source.

    Clocks are left out: a register on the wrong edge, or on none, is a fault of layout, which no generator makes.

    Returns
    -------
    tuple of Mutation
        Fewer than `count` where the netlist has no more.
    """
    # Yosys names them in the order in which it picks them, so that the first ones are as even a sample as all.
    asked = count + count // 4 + SPARE
    bench.run(TOOLS["yosys"], ["-p", LIST.format(top=TOP, flat=FLAT, count=asked, seed=seed)], "list.log")
    lines = (bench.folder / "list.txt").read_text().splitlines()
    found = (parse(line, PACKAGE) for line in lines if line.strip())
    return tuple(mutation for mutation in found if mutation.port != "CLK")[:count]


def controlled(chosen):
    """Yosys' commands that put all of `chosen` into a netlist, the first for ``SELECT`` = 1."""
    return [mutation.text.replace("mutate ", f"mutate -ctrl {SELECT} {SELECT_BITS} {number} ", 1)
            for number, mutation in enumerate(chosen, 1)]


def mutate_all(bench, chosen):
    """Verilog of the netlist with all of `chosen` in it, and with what the bench sees.

    Input ``SELECT`` chooses one: 1 is the first; 0 and numbers without a mutation are the block as it is. Taps keep
    their names; status port ``MISUSED`` has a bit for each memory.
    """
    seen = re.findall(r"^  wire .*\\(\S+)$", (bench.folder / SEEN).read_text(), re.M)
    taps = [f"rename {name} {name.rpartition('.')[2]}" for name in seen if ".tap_" in name]
    memories = [f"\\{name} " for name in seen if name.endswith(".misused")]
    script = [f"read_rtlil {SEEN}", *controlled(chosen), f"cd {TOP}", *taps, "cd ..", "opt_clean",
              "write_verilog -noattr mutants.v", ""]
    (bench.folder / "mutants.ys").write_text("\n".join(script))
    bench.run(TOOLS["yosys"], ["-s", "mutants.ys"], "mutants.log")
    text = (bench.folder / "mutants.v").read_text().replace(f"module {TOP}(", f"module {TOP}({MISUSED}, ", 1)
    report = REPORT.format(port=MISUSED, high=len(memories) - 1, memories=", ".join(reversed(memories)))
    return text[:text.rindex("endmodule")] + report
