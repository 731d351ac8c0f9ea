# SPDX-License-Identifier: Apache-2.0
"""The document's tables, as Markdown. None has a time, a date or a machine: figures compare from run to run."""

from ...gen.block_spec import prepare
from ...gen.fpga.targets import Target
from ...gen.text_table import markdown
from ...hdl.config import Context
from ...hdl.schedule import predict
from ...hdl.sizing import DEFAULT_LANES
from ..paper.hardware import PARTS
from ..tasks import RUNNING
from .plan import HEADLINE, HEADLINE_LANES, LANES_LIMITS
from .sums import network_memory

__all__ = ["blocks", "contexts", "formats", "less", "macs", "measured_memory", "memory_roles", "name", "networks",
           "originals", "running", "steady", "synth", "table_1", "variants"]

FAILED = "failed"
ROLES = ("tile_buffer", "accumulator", "scale_fifo", "other", "weight")


def _filled(head, tasks, results, row):
    """A table with a row for each (label, task); `row` returns the cells of a result."""
    empty = [""] * (len(head) - 2)
    return markdown([head, *([label, *(row(task, results[task]) if task in results else [FAILED, *empty])]
                             for label, task in tasks)], left=(0,))


def _yes(value):
    return "yes" if value else "no"


def _cycle_cells(result):
    simulated, analytic = result["simulated"], result["analytic"]
    return [f"{analytic['steady_throughput']:.4f}", f"{simulated['steady_throughput']:.4f}", analytic["total_cycles"],
            simulated["total_cycles"]]


def _memory_cells(result):
    sram = result["sram"]
    return [sram["bound_bits"], sram["total_without_weights_bits"], f"{sram['over_bound']:.3f}"]


def blocks(plan, results):
    """Every distinct block: what was chosen for it, cycles, memory."""
    def row(task, result):
        height = "" if task.options.height == heights[task] else task.options.height
        return [result["config"]["lanes"], result["config"]["macs"], result["excite_cycles"],
                result["shortest_tile_beats"], _yes(result["full_rate"]), height, *_cycle_cells(result),
                result["simulated"]["peak_elements"], *_memory_cells(result)]

    heights = {task: block.height for block, task in plan.cycles.items()}
    head = ["H x W x C x CR", "LANES", "MACS", "excite, cycles (a)", "shortest tile, beats (a)",
            "full tiles at full rate (a)", "H simulated", "beats a cycle (a)", "beats a cycle (s)", "cycles (a)",
            "cycles (s)", "peak, elements (s)", "bound, bits", "memory, bits (n)", "over bound"]
    return _filled(head, [(name(block), task) for block, task in plan.cycles.items()], results, row)


def steady(task, few=64, more=192):
    """Beats a cycle of many frames of `task`'s, back to back, exactly: of those that come when all buffers are full."""
    job = prepare(task.options)
    height, row = job.shape.height, job.config.width * job.config.groups
    cycles = [predict(job.config, [height] * frames).total_cycles for frames in (few, more)]
    return (more - few) * height * row / (cycles[1] - cycles[0])


def measured_memory(plan, results):
    """The three figures of the headline block's memory, each over the bound."""
    rows = []
    for task in plan.variants:
        made = next((other for other in plan.synth if other.options.target is Target.ECP5
                     and other.options.lanes == task.options.lanes), None)
        # Synthesised as it is by default only.
        if task not in results or made not in results or task.variables.count("SLACK") + task.variables.count("SRAM"):
            continue
        result, found, bound = results[task], results[made]["synth"], results[task]["sram"]["bound_bits"]
        rows.append([f"LANES={task.options.lanes}", *(f"{value:.3f}" for value in (
            result["sram"]["over_bound"], result["sram"]["tile_buffer_bits"] / bound,
            8 * result["simulated"]["peak_elements"] / bound, found["block_ram_bits_over_bound"],
            found["block_ram_bits_over_bound_without_weights"]))])
    return markdown([["over bound", "netlist, all but weights (n)", "tile buffer (n)", "tile buffer, peak (s)",
                      "ECP5 block RAM, all", "ECP5 block RAM, all but weights"], *rows], left=(0,)) if rows else ""


def name(block):
    return str(block).replace("x", " x ")


def memory_roles(plan, results):
    """Where the bits of every block are."""
    head = ["H x W x C x CR", "tile buffer", "sums", "scale FIFO", "other", "parameters"]
    return _filled(head, [(name(block), task) for block, task in plan.cycles.items()], results,
                   lambda task, result: [result["sram"][f"{role}_bits"] for role in ROLES])


def originals(plan, results):
    """Original squeeze-and-excite beside the tiled one, block by block."""
    rows = []
    for block, task in plan.cycles.items():
        other = plan.latency[block]
        if task not in results or other not in results:
            rows.append([name(block), FAILED] + [""] * 6)
            continue
        tiled, whole = results[task], results[other]
        bits = [result["sram"]["total_without_weights_bits"] for result in (tiled, whole)]
        simulated = whole["simulated"]["first_output_latency"] if "simulated" in whole else ""
        rows.append([name(block), whole["config"]["macs"], bits[1], bits[0], f"{100 * (1 - bits[0] / bits[1]):.1f} %",
                     whole["first_output_latency"], simulated, tiled["simulated"]["first_output_latency"]])
    return markdown([["H x W x C x CR", "MACS of SE", "SE, bits (n)", "TSE, bits (n)", "less",
                      "SE latency (a)", "SE latency (s)", "TSE latency (s)"], *rows], left=(0,))


def networks(plan, results):
    """Every form's memory, added up over each network's blocks."""
    rows = []
    for network in plan.networks:
        count = sum(block.count for block in network.blocks)
        for most in LANES_LIMITS:
            found = network_memory(network, most, plan, results)
            rows.append([network.name, " x ".join(map(str, network.input)), count, most, *(
                [FAILED] + [""] * 8 if found is None else
                [found.maps, found.bits["se"], found.bits["tse"], less(found, "tse"),
                 f"{100 * (1 - found.bits['tse'] / found.maps):.2f} %",
                 *(cell for context in RUNNING for cell in (found.bits[context.value], less(found, context.value)))])])
    return markdown([["network", "input", "blocks", "LANES up to", "maps, bits", "SE, bits (n)", "TSE, bits (n)",
                      "less than SE", "less than the maps",
                      *(head for context in RUNNING for head in (f"{context.value}, bits (n)", "less than SE"))],
                     *rows], left=(0,))


def less(found, form):
    """How much less memory than SE `form` takes."""
    return f"{100 * found.reduction(form):.2f} %"


def table_1(plan, results):
    """The paper's Table 1 in RTL."""
    rows = [[row.tile, row.lanes, row.buffer_bits, row.real_bits, row.memory_bits, f"{row.over_buffer:.3f}",
             *(f"{100 * row.share[part]:.1f} %" for part in PARTS), row.multipliers, row.slow, ", ".join(row.reasons)]
            for row in plan.table.rows(results)]
    return markdown([["tile", "LANES up to", "paper's buffer, bits", "real network's", "memory, bits (n)",
                      "over buffer", *PARTS, "MACS", "slow (a)", "why"], *rows], left=(0, 13))


def variants(plan, results):
    """The headline block, sized in several ways."""
    def row(task, result):
        return [result["config"]["macs"], result["excite_cycles"], result["config"]["slack"], *_cycle_cells(result),
                result["sram"]["tile_buffer_bits"] // 8, result["simulated"]["peak_elements"], *_memory_cells(result)]

    head = ["make sim", "MACS", "excite, cycles (a)", "slack, beats", "beats a cycle (a)", "beats a cycle (s)",
            "cycles (a)", "cycles (s)", "buffer, elements (n)", "peak, elements (s)", "bound, bits", "memory, bits (n)",
            "over bound"]
    return _filled(head, [(f"`{command(task)}`", task) for task in plan.variants], results, row)


def contexts(plan, results):
    """The headline block in contexts in which a row waits, or none, beside strips."""
    def row(task, result):
        sram = result["sram"]
        return [result["config"]["macs"], result["excite_cycles"], result["config"]["slack"], *_cycle_cells(result),
                result["first_output_latency"], result["simulated"]["first_output_latency"],
                result["simulated"]["peak_elements"], sram["bound_bits"], sram["total_without_weights_bits"],
                f"{sram['over_tse7']:.3f}"]

    head = ["make sim", "MACS", "excite, cycles (a)", "slack, beats", "beats a cycle (a)", "beats a cycle (s)",
            "cycles (a)", "cycles (s)", "latency (a)", "latency (s)", "peak, elements (s)", "what waits, bits",
            "memory, bits (n)", "over seven rows"]
    strips = [task for task in plan.variants if task.options.slack is None and task.options.sram_overhead is None]
    return _filled(head, [(f"`{command(task)}`", task) for task in (*strips, *plan.contexts)], results, row)


def formats(plan, results):
    """The headline block in several number formats: rate, memory, area."""
    def row(task, result):
        sram, made = result["sram"], results.get(plan.formats[task])
        cells = [result["config"]["operand_bits"], result["config"]["macs"],
                 f"{result['simulated']['steady_throughput']:.4f}", sram["bound_bits"],
                 sram["total_without_weights_bits"], f"{sram['over_bound']:.3f}", sram["weight_bits"]]
        if made is None:
            return [*cells, FAILED, "", "", "", ""]
        found = made["synth"]
        return [*cells, *(_cell(found.get(name)) for name in ("luts", "ffs", "dsps", "block_rams")), _speeds(found)]

    head = ["make sim", "operands, bits", "MACS", "beats a cycle (s)", "bound, bits", "memory, bits (n)", "over bound",
            "parameters, bits (n)", "LUTs", "flip-flops", "DSPs", "block RAMs", "Fmax, MHz: median (each seed)"]
    return _filled(head, [(f"`{command(task)}`", task) for task in plan.formats], results, row)


def running(plan, results):
    """Every block in those contexts."""
    rows = []
    for block in plan.cycles:
        cells = []
        for context in RUNNING:
            result = results.get(plan.memory[block, DEFAULT_LANES][context.value])
            cells += [FAILED, "", "", "", ""] if result is None else [
                result["config"]["k"], result["config"]["macs"], result["sram"]["total_without_weights_bits"],
                f"{result['sram']['over_tse7']:.3f}", result["first_output_latency"]]
        rows.append([name(block), *cells])
    columns = ["MACS", "memory, bits (n)", "over seven rows", "latency (a)"]
    return markdown([["H x W x C x CR", *(head for context in RUNNING for head in (f"{context.value}: K", *columns))],
                     *rows], left=(0,))


def command(task):
    """The variables of make that repeat a simulation of the headline block: those that aren't the default."""
    default = {"H": HEADLINE.height, "CR": HEADLINE.squeeze, "FRAMES": 2}
    pairs = (pair.split("=") for pair in task.variables.split())
    return " ".join(f"{name}={value}" for name, value in pairs if str(default.get(name)) != value)


def macs(plan, results):
    """Memory of the headline block against its multipliers, a column for each number of lanes."""
    rows = []
    for pair in zip(*(plan.macs[lanes] for lanes in HEADLINE_LANES), strict=True):
        cells = []
        for task in pair:
            result = results.get(task)
            cells += [FAILED, "", "", ""] if result is None else [
                result["excite_cycles"], _yes(result["full_rate"]), result["sram"]["total_without_weights_bits"],
                f"{result['sram']['over_bound']:.3f}"]
        rows.append([pair[0].options.macs, *cells])
    head = ["MACS"]
    for lanes in HEADLINE_LANES:
        head += [f"LANES={lanes}: excite, cycles (a)", "full rate (a)", "memory, bits (n)", "over bound"]
    return markdown([head, *rows], left=(0,))


def synth(plan, results):
    """What synthesis tools make of the headline block."""
    def row(task, result):
        found = result["synth"]
        context = result["config"]["context"]
        return [f"K={result['config']['k']}" + (f" {context}" if context != Context.TILE.value else ""),
                task.options.lanes, result["config"]["macs"],
                *(_cell(found.get(name)) for name in ("luts", "ffs", "dsps", "block_rams", "tile_buffer_block_rams",
                                                      "block_ram_bits_over_tse7")),
                f"{result['sram']['over_tse7']:.3f}", _speeds(found), _slowest(found)]

    head = ["part", "block", "LANES", "MACS", "LUTs", "flip-flops", "DSPs", "block RAMs", "of these tile buffer",
            "block RAM bits over seven rows", "netlist bits over seven rows", "Fmax, MHz: median (each seed)",
            "slowest path of the median: ns by module"]
    parts = [results[task]["synth"].get("device") if task in results else None for task in plan.synth]
    return _filled(head, [(part or task.options.target, task) for part, task in zip(parts, plan.synth, strict=True)],
                   results, row)


def _speeds(found):
    speeds = found.get("fmax_mhz")
    if not speeds:
        return f"- ({found['fmax_missing']})" if found.get("fmax_missing") else "-"
    return f"{found['fmax_mhz_median']:.1f} ({', '.join(f'{speed:.1f}' for speed in speeds.values())})"


def _slowest(found):
    path = found.get("critical_path")
    return ", ".join(f"{name} {part['delay_ns']:.2f}" for name, part in path["modules"].items()) if path else "-"


def _cell(value):
    """A number that a tool may not have given, or words in its place."""
    if isinstance(value, float):
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    return "-" if value in (None, "") else value
