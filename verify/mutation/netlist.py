# SPDX-License-Identifier: Apache-2.0
"""A block's flat netlist, the mutations that yosys draws for it, and one netlist with all of these."""

import pathlib
import re
from collections.abc import Sequence

from amaranth.back import rtlil

from ...gen.fpga.tools import TOOLS, Workbench
from ...hdl.config import Config
from ...hdl.parameters import Parameters
from ...hdl.technology import LEAVES_VERILOG, Technology
from ..equivalence.invariants import with_invariants
from ..faults import FLAT, OBSERVED, TOP, controlled
from ..regression import MISUSED
from .mutation import Mutation, parse

__all__ = ["flatten", "mutate_all", "mutations"]

# More mutations are drawn than needed, since some are left out.
SPARE = 50
PACKAGE = pathlib.Path(__file__).resolve().parents[2]

# The script converts as the generator does, together with the leaf modules, and then makes one module. Names of
# instances stay in the names of cells and signals. Registers that yosys would merge into a memory stay registers, so
# that they are mutated, too. Copies of a cell are merged, of which Amaranth makes one for each bit of a sliced
# expression: a fault in one of many copies says little.
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
write_rtlil {observed}
setattr -unset keep w:*
opt_clean
write_rtlil {flat}
"""

# Memories report uses for which hdl/ram.py promises nothing: a read at the address that is written, or an access beyond
# the end.
WRITING = "        if (we) mem[waddr] <= wdata;\n"
CHECKING = "        misused <= (we & re & (waddr == raddr)) | (we & (waddr >= DEPTH)) | (re & (raddr >= DEPTH));\n"
STORAGE = "    reg [WIDTH-1:0] mem [0:DEPTH-1];\n"
# Mutated registers lose their initial values, so that nothing counts before the first reset.
REPORT = """
  reg [1:0] begun = 0;
  output reg [{high}:0] {port} = 0;
  always @(posedge clk) begin
    begun <= {{begun[0], rst | begun[0]}};
    if (begun[1]) {port} <= {port} | {{{memories}}};
  end
endmodule
"""

# Contents of memories are no logic and are not mutated. The cells around memories are.
LIST = """
read_rtlil {flat}
select -set logic {top}/t:* {top}/t:$mem_v2 %d
mutate -list {count} -seed {seed} -o list.txt @logic
"""


def _leaves():
    """The leaf modules, in which each memory has a register that reports misuse."""
    text = LEAVES_VERILOG.format(name=TOP)
    assert (text.count(WRITING), text.count(STORAGE)) == (1, 1)
    return text.replace(WRITING, WRITING + CHECKING).replace(STORAGE, STORAGE + "    (* keep *) reg misused;\n")


def flatten(bench: Workbench, config: Config, parameters: Parameters | None) -> None:
    """Write the flat netlist of a block into the workbench: ``FLAT``, and ``OBSERVED``, which has more signals.

    These are the stages' taps and the misuse of memories. Nothing in the block reads them.
    """
    technology = Technology(TOP)
    block, ports = with_invariants(config, parameters, technology)
    text = rtlil.convert(block, name=TOP, platform=technology, ports=ports, emit_src=True)
    (bench.folder / "block.il").write_text(text)
    (bench.folder / "leaves.v").write_text(_leaves())
    bench.run(TOOLS["yosys"], ["-p", FLATTEN.format(top=TOP, flat=FLAT, observed=OBSERVED)], "flatten.log")


def mutations(bench: Workbench, count: int, seed: int) -> tuple[Mutation, ...]:
    """`count` mutations of ``FLAT``, or fewer if it has no more; evenly over cells, signals, bits and lines of source.

    Clocks are left out: a register on the wrong clock edge is a fault of layout, not of a generator.
    """
    # Yosys lists mutations in the order in which it draws them, so that the first ones are as even a sample as all.
    drawn = count + count // 4 + SPARE
    bench.run(TOOLS["yosys"], ["-p", LIST.format(top=TOP, flat=FLAT, count=drawn, seed=seed)], "list.log")
    lines = (bench.folder / "list.txt").read_text().splitlines()
    every = (parse(line, PACKAGE) for line in lines if line.strip())
    return tuple(mutation for mutation in every if mutation.port != "CLK")[:count]


def mutate_all(bench: Workbench, chosen: Sequence[Mutation]) -> str:
    """Verilog of the netlist with all mutations `chosen`, and with the signals that the bench observes.

    Input ``SELECT`` selects a mutation: 1 is the first; with 0 or a number without a mutation the block is unchanged.
    Taps keep their names. Status port ``MISUSED`` has a bit for each memory.
    """
    names = re.findall(r"^  wire .*\\(\S+)$", (bench.folder / OBSERVED).read_text(), re.M)
    taps = [f"rename {name} {name.rpartition('.')[2]}" for name in names if ".tap_" in name]
    memories = [f"\\{name} " for name in names if name.endswith(".misused")]
    script = [f"read_rtlil {OBSERVED}", *controlled(chosen), f"cd {TOP}", *taps, "cd ..", "opt_clean",
              "write_verilog -noattr mutants.v", ""]
    (bench.folder / "mutants.ys").write_text("\n".join(script))
    bench.run(TOOLS["yosys"], ["-s", "mutants.ys"], "mutants.log")
    text = (bench.folder / "mutants.v").read_text().replace(f"module {TOP}(", f"module {TOP}({MISUSED}, ", 1)
    report = REPORT.format(port=MISUSED, high=len(memories) - 1, memories=", ".join(reversed(memories)))
    return text[:text.rindex("endmodule")] + report
