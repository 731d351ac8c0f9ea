# SPDX-License-Identifier: Apache-2.0
"""benchmarks.md and its plots, from results."""

from ...hdl.sizing import DEFAULT_LANES
from ..page import DOCUMENT
from ..paper.hardware import ENOUGH, PARTS
from ..tasks import FRAMES, RUNNING, K
from . import plots, tables
from .plan import HEADLINE, LANES_LIMITS
from .sums import Findings, network_memory

__all__ = ["DOCUMENT", "document"]

PLOTS = {"networks": "benchmarks-networks.svg", "macs": "benchmarks-macs.svg", "occupancy": "benchmarks-occupancy.svg"}
TARGET_NETWORK = "EfficientDet-D2"
FORMS_TEXT = {"tse": "TSE"} | {context.value: f"{context.value} blocks" for context in RUNNING}


def document(plan, results, failures, command):
    """The document's files, a dict of str to bytes: the plots, then benchmarks.md, which shows them.

    `results` and `failures` are dicts of Task to figures and to the reason; rows of tasks without a result say that
    they failed. `command` is the command that makes the page.
    """
    drawn = {"networks": plots.networks(plan, results), "macs": plan.macs and plots.macs(plan, results),
             "occupancy": plan.occupancy and plots.occupancy(plan, results)}
    files = {PLOTS[name]: content for name, content in drawn.items() if content}
    parts = [_introduction(command), *_headline(plan, results, files), *_blocks(plan, results),
             *_networks(plan, results, files), *_table(plan, results), *_synth(plan, results), _failed(failures)]
    text = "\n".join(part.strip("\n") + "\n" for part in parts if part)
    return files | {DOCUMENT: text.encode()}


def _introduction(command):
    return f"""
<!-- SPDX-License-Identifier: Apache-2.0 -->
# Benchmarks

    {command}

measures the figures of this page, draws its plots and writes it. Figures marked (n) are read from the generated
netlist. Figures marked (s) are measured in simulation of the RTL, where every output element is compared with the
golden model. Figures marked (a) are analytic: they are computed from the parameters, without a simulation. Only the
speed of simulation, which `make simspeed DOCS=docs` writes, depends on the machine.

TSE is tiled squeeze-and-excite with k = {K}. SE is the original squeeze-and-excite, from the same generator with k = H.
Cumulative and causal blocks have gates from a mean of many rows, and one row of the prior (PRIOR=1): of all rows so
far, so that one row waits, or of all rows before, so that none does. Their K is 1, or the least with which the block
still takes a beat a cycle. Their MAX_ROWS is the height of the map. Seven rows are 8\\*7\\*W\\*C bits.

Unless a table says otherwise, data and weights have 8 bits, and blocks are loadable, with random weights, ReLU,
sigmoid and MACS=auto, and LANES is the largest divisor of C up to {DEFAULT_LANES}. The bound is 8\\*k\\*W\\*C bits.
Memory counts every memory of the block except those of the parameters. Cycles are counted from the first beat offered
to the last beat out, over {FRAMES} frames back to back without stalls. Latency is counted from the first beat in to
the first beat out. Beats a cycle are counted from the first beat out to the last beat out.
"""


def _picture(name, files, text):
    return f"![{text}]({PLOTS[name]})" if PLOTS[name] in files else ""


def _headline(plan, results, files):
    if not plan.variants:
        return
    shape = f"K={K} W={HEADLINE.width} C={HEADLINE.channels}"
    yield f"## One block: {shape}"
    yield "`make sim` with the variables in the first column:"
    yield tables.variants(plan, results)
    yield """
SRAM_OVERHEAD counts all memory except that of the parameters. Some blocks cannot stay within this limit: the memories
that hold sums, gates, and the beats that arrive during two passes over the channels are larger than the limit. For
these, MACS=auto takes the fewest multipliers within 1 % of the least memory. The next table has memory as netlist,
simulation and synthesis measure it, divided by the bound. Block RAMs are counted whole, with their unused parts:
"""
    yield tables.measured_memory(plan, results)
    yield """
The plot shows what the block holds, cycle by cycle, and why k rows suffice. SE has to keep a map. TSE keeps a strip,
and the beats that arrive while the gates of that strip are computed. Cumulative gates, K=1, leave one row and these
beats, and causal ones these beats alone:
"""
    yield _picture("occupancy", files, "Elements in the block over time, SE, TSE, cumulative and causal")
    yield f"""
With more multipliers the gates are usually computed sooner, and fewer beats wait for them. The slack of the buffer has
exactly one place for each of these beats. The table was measured by `make verilog {shape} LANES= MACS=`:
"""
    yield tables.macs(plan, results)
    yield _picture("macs", files, "Memory over the bound against multipliers")
    yield "### The same block with one row that waits, or none"
    yield """
`make sim` with the variables in the first column. MAX_ROWS is its default. The first rows are those of strips:
"""
    yield tables.contexts(plan, results)
    yield "### The same block in other number formats"
    yield """
`make sim` with the variables in the first column, and `make synth TARGET=ecp5` with the same ones. Outputs have the
format of the input. The bound has as many bits an element as the input:
"""
    yield tables.formats(plan, results)


def _blocks(plan, results):
    yield "## Every block"
    yield _claims(plan, Findings(plan, results))
    yield """
Each row was measured by `make sim W= C= CR= H=`. The column "H simulated" has the height of the simulated frames. It is
empty if this is the full height of the block's map. A frame with fewer rows has at least two full tiles, and its last
tile is as high as the last tile of the full map.
"""
    yield tables.blocks(plan, results)
    yield "### Where the bits are"
    yield "`make verilog W= C= CR=` for each row; `sram` in manifest.json has these (n)."
    yield tables.memory_roles(plan, results)
    yield "### SE and TSE"
    yield """
The memory in each row comes from `make verilog K= W= C= CR=`; for SE, K is the height of the map. The simulated
latency of SE, if the row has one, comes from `make sim` with K and H both set to this height.
"""
    yield tables.originals(plan, results)
    yield "### Cumulative and causal"
    yield """
`make verilog CONTEXT= K= W= C= CR= PRIOR=1 MAX_ROWS=` for each row, with the height of the map as MAX_ROWS. The latency
is that of a frame's first output.
"""
    yield tables.running(plan, results)


def _claims(plan, found):
    rows = len(plan.cycles)
    slow = f"{len(found.slow)} run slower" if found.slow else "none runs slower"
    if found.broken:
        slow += f", {len(found.broken)} of them though no tile has fewer beats than excite takes cycles"
    elif found.slow:
        slow += (". Their shortest tile has fewer beats than excite takes cycles. Not every block with such a tile is "
                 "slower")
    exact = f"all but {len(found.inexact)}" if found.inexact else "all"
    long = "".join(f" {tables.name(block)}: {tables.steady(task):.6f}." for block, task in plan.cycles.items()
                   if task in found.slow)
    paces = f"\nOver many frames, their exact rates in beats a cycle are (a):{long}\n" if long else ""
    return f"""
{rows} distinct blocks. {rows - len(found.slow)} of them run at one beat a cycle (1.0000); {slow}.
{paces}Analytic cycles and latency equal the simulated ones in {exact} of {found.simulated} simulations on this page.
"""


def _networks(plan, results, files):
    if not plan.networks:
        return
    yield "## Networks"
    yield """
The table adds up the memory of all squeeze-and-excite blocks of a network (n), in bits, each block as often as the
network has it. LANES is the largest divisor of C up to the given number. Each block is `make verilog K= W= C= CR=
LANES=`, with K=H for SE. With MACS=auto, both forms have a buffer that is some percent larger than the tile. Every SE
needs at least the memory of the maps, 8\\*H\\*W\\*C bits. Cumulative and causal blocks are those of the table above.
"""
    for network in plan.networks:
        sums = [network_memory(network, most, plan, results) for most in LANES_LIMITS]
        if network.name == TARGET_NETWORK and None not in sums:
            for form, text in FORMS_TEXT.items():
                less = ", ".join(f"{tables.less(found, form)} with up to {most} lane{'s' * (most > 1)}"
                                 for most, found in zip(LANES_LIMITS, sums, strict=True))
                yield f"In {network.name} the memory of {text} is smaller than that of SE by {less}."
    yield tables.networks(plan, results)
    yield _picture("networks", files, "Memory of each network's blocks: SE, TSE, cumulative, causal")
    yield "Where the blocks were read from:"
    yield "".join(f"- {network.name}: {network.source}\n" for network in plan.networks)


def _table(plan, results):
    if plan.table is None:
        return
    yield "## The paper's Table 1 in RTL"
    legend = "".join(f"- **{part}**: {text}\n" for part, text in PARTS.items())
    yield f"""
All blocks of RegNetY-800MF with the tiles of each row. The paper's buffer has 8 bits for each element that it counts.
The RTL's memory without weights is divided by that. What is beyond the buffer, in percent of it, is in these parts:

{legend}
"Why" has the largest parts, without which the memory would be at most {ENOUGH:g} times the buffer. "Slow" counts blocks
that take less than a beat a cycle. MACS are the multipliers of all blocks.
"""
    yield tables.table_1(plan, results)


def _synth(plan, results):
    if plan.synth:
        yield "## Synthesis"
        yield f"""
`make synth TARGET= K={K} W={HEADLINE.width} C={HEADLINE.channels} LANES=`, and with K=1 CONTEXT= PRIOR=1, with
nextpnr's seeds 1, 2 and 3; ECP5 parts are of speed grade 6. LUTs are LUT4 and CCU2C cells on ECP5 (a CCU2C is an adder
of two bits), SB_LUT4 on iCE40, and LUT1 to LUT6 on Xilinx. Distributed RAM and shift registers are not included
(`cells` in synth.json has them). A dash means that the tool doesn't report the figure. For a block that fits no part,
the cells are those of the first part tried.
"""
        yield tables.synth(plan, results)


def _failed(failures):
    if not failures:
        return ""
    return "## Failed\n\n" + "".join(f"- `{task}`: {reason}\n" for task, reason in failures.items())
