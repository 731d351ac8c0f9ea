# SPDX-License-Identifier: Apache-2.0
"""`tiled-se plan`: the context, K and output format of each block of a network that change its gates least within a
memory budget."""

import os

from ...gen.fields import variables
from ...gen.files import discard, json_bytes, output_folder, write_all
from ...gen.text_table import aligned, number, percent, say
from ...hdl.config import ConfigError
from ...hdl.sizing import DEFAULT_LANES
from ...network.calibration.feature_maps import feature_maps, with_prior
from ...network.calibration.images import find_images
from ...network.calibration.own_numbers import requantised
from ...network.commands.wording import of_numbers
from ...network.network import open_network
from ...network.plan import VERSION, entry
from ..budget import ALLOWED
from ..options import PlanOptions
from .candidates import sized_candidates, untiled_bits, with_changes, with_clipped
from .knapsack import frontier
from .outputs import OutputSource, output_formats

__all__ = ["plan"]

PLAN, PLOT = "plan.json", "plan.svg"
RESULTS = (PLAN, PLOT)
# What decides the size of a block's hardware.
HARDWARE = ("lanes", "macs", "sram_overhead", "slack", "loadable", "weight_bits", "operand_bits", "error", "dtype",
            "calibrate_by")


def plan(options: PlanOptions) -> bool:
    """Choose tiling and output format of each block of ``options.model``; write plan.json and plan.svg, print a table.

    The sum of the blocks' memories keeps within ``options.budget``, and the sum of the blocks' changes is the least for
    that: each is the mean change of the gates, and what the outputs' format rounds as such a change, measured in the
    original network. Returns True. Raises ConfigError if the model, the images or an option is wrong, or for a budget
    that no choice keeps.
    """
    folder = output_folder(options, RESULTS)
    if options.budget is None:
        raise ConfigError("budget", "", f"is needed; {ALLOWED}")
    network = open_network(options.model, options.input_shape, need_sizes=True, check=options.check_blocks)
    blocks = network.selected(options.skip or ())
    if not blocks:
        raise ConfigError("skip", ",".join(options.skip), "leaves no block to plan")
    images = find_images(options, network)
    # Matplotlib takes a second to load: a wrong option is refused before.
    from .plots import trade

    untiled = sum(untiled_bits(block, options) for block in blocks)
    limit = options.budget.bits(untiled)
    say(f"running the network on {len(images)} images")
    with feature_maps(network, network.model, blocks, images) as maps:
        blocks = [with_prior(block, maps[block.name]) for block in blocks]
        candidates, calibrated = {}, []
        for block in blocks:
            say(f"{block.name}: formats and memory of {block.height} x {block.width} x {block.channels}")
            formats = output_formats(block, options, maps[block.name])
            if block.numbers.x is None or any(one.source is OutputSource.IMAGES for one in formats):
                calibrated.append(block.name)
            candidates[block.name] = sized_candidates(block, options, formats)
        least = sum(min(candidate.bits for candidate in own) for own in candidates.values())
        if least > limit:
            raise ConfigError("budget", options.budget.text, f"must be at least {least}bits, the least possible with "
                              f"these options; the untiled blocks buffer {untiled}")
        for block in blocks:
            say(f"{block.name}: change of its gates")
            candidates[block.name] = with_changes(block, candidates[block.name], maps[block.name])
        say("choosing")
        found = frontier([[(one.bits, one.change) for one in candidates[block.name]] for block in blocks])
        point = found.within(limit)
        chosen = {block.name: with_clipped(block, candidates[block.name][item], options, maps[block.name])
                  for block, item in zip(blocks, found.items(point), strict=True)}
    summary = _summary(options, limit, untiled, found, point, chosen)
    entries = {name: entry(one.tiling, one.outputs.given) for name, one in chosen.items()}
    contents = {"version": VERSION, "blocks": entries, "about": {
        "model": network.path, "input": network.dims[1:], "calibration": options.calibration, "images": len(images),
        "skipped": list(options.skip or ()), **summary, "hardware": _hardware(options),
        "blocks": {block.name: {**chosen[block.name].figures, "requantised": requantised(block)}
                   for block in blocks}}}
    strips = {k: _strips(candidates, k) for k in options.ks}
    files = {PLAN: json_bytes(contents), PLOT: trade(found, point, limit, untiled, strips)}
    # Only now, as images may have been refused until here: two files of different runs must never be there.
    discard(folder, RESULTS)
    write_all(folder, files)
    print("\n".join([_table(options, blocks, chosen, summary), *_lines(options, summary),
                     *of_numbers(blocks, calibrated, options.calibrate_by), *network.left_out]))
    print("wrote " + ", ".join(os.path.join(folder, name) for name in files))
    return True


def _hardware(options):
    """The options that size the hardware, as variables of make; "" where all have their defaults."""
    return variables(options, never=[name for name in vars(options) if name not in HARDWARE])


def _summary(options, limit, untiled, found, point, chosen):
    """What was asked for and what point `point` of the frontier gives, which has those `chosen`."""
    cost = float(found.costs[point])
    # Rounding may put the bound above the cost.
    bound = cost if found.exact else min(cost, found.bound(limit))
    gates = [one.gate_change for one in chosen.values()]
    return {"budget": options.budget.text, "budget_bits": limit, "untiled_bits": untiled,
            "memory_bits": int(found.sizes[point]), "change": cost, "least_change": bound, "optimal": found.exact,
            "gate_change": {"mean": sum(one["mean"] for one in gates) / len(gates),
                            "max": max(one["max"] for one in gates)}}


def _strips(candidates, k):
    """``(bits, change)`` of all blocks with strips of `k` rows, or of the map; None where one of them is no candidate.

    Each block has the outputs' format that changes least.
    """
    chosen = []
    for own in candidates.values():
        strips = sorted((one for one in own if one.tiling.prior_rows == 0 and not one.tiling.context.running),
                        key=lambda one: (-one.tiling.k, one.change))
        same = [one for one in strips if one.tiling.k == k]
        if not same and (not strips or strips[0].tiling.k > k):
            return None
        chosen.append((same or strips)[0])
    return sum(one.bits for one in chosen), sum(one.change for one in chosen)


COLUMNS = ("block", "H", "W", "C", "CONTEXT", "K", "PRIOR", "lanes", "MACs", "bits", "of SE", "outputs", "SQNR, dB",
           "clipped", "gates mean", "max", "change")


def _table(options, blocks, chosen, summary):
    rows = [COLUMNS]
    for block in blocks:
        one, tiling = chosen[block.name], chosen[block.name].tiling
        outputs, gates = one.outputs, one.gate_change
        rows.append((block.name, *(number(block.shape[name]) for name in "HWC"), tiling.context.value, str(tiling.k),
                     str(tiling.prior_rows) if tiling.context.running else "-", str(one.lanes), number(one.macs),
                     number(one.bits), f"{100 * one.bits / untiled_bits(block, options):.1f} %",
                     f"{outputs.y.data}, {outputs.y.scale:.4g} ({outputs.source.value})",
                     "-" if outputs.sqnr_db is None else f"{outputs.sqnr_db:.1f}",
                     "-" if one.clipped is None else percent(one.clipped),
                     *(f"{gates[name]:.4f}" for name in ("mean", "max")), f"{one.change:.4f}"))
    share = summary["memory_bits"] / summary["untiled_bits"]
    gates = summary["gate_change"]
    rows.append(("all", *[""] * 8, number(summary["memory_bits"]), f"{100 * share:.1f} %", *[""] * 3,
                 *(f"{gates[name]:.4f}" for name in ("mean", "max")), f"{summary['change']:.4f}"))
    return "\n".join(aligned(rows, left=(0, 4, 11)))


def _lines(options, summary):
    """What the figures are."""
    given = _hardware(options)
    yield (f"budget {summary['budget']}: {summary['budget_bits']:,} bits; the untiled blocks buffer "
           f"{summary['untiled_bits']:,}")
    yield (f"bits: all memories without weights, of blocks as `build` makes them with "
           f"{given or f'at most {DEFAULT_LANES} lanes and MACS=auto'}")
    yield ("SQNR: of the outputs with the gates of the whole map; clipped: share of the outputs, with the tiling's "
           "gates, that their format clips")
    yield "gates: mean and largest magnitude of what the tiling changes in the gates"
    yield ("change: that mean, and what rounding changes in the outputs as such a change of the gates; of all blocks, "
           "the sum")
    if summary["optimal"]:
        yield "no other choice of these tilings and formats has less change within the budget"
    else:
        yield (f"not all choices were compared: none can have less change within the budget than "
               f"{summary['least_change']:.4f}")
