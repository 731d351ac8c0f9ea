# SPDX-License-Identifier: Apache-2.0
"""`tiled-se plan`: the knapsack against all choices there are, budgets, and what the command writes."""

import dataclasses
import itertools
import json
import pathlib
import types

import numpy as np
import pytest

from tests.helpers.onnx_images import network_and_images
from tests.helpers.onnx_quantised import brevitas
from tests.helpers.onnx_quantised import images as quantised_images
from tiled_se.evaluate.budget import budget
from tiled_se.evaluate.options import PlanOptions
from tiled_se.evaluate.plan.candidates import sized_candidates, tilings, untiled_bits, with_clipped
from tiled_se.evaluate.plan.knapsack import frontier
from tiled_se.evaluate.plan.outputs import output_formats
from tiled_se.golden.block import DataFormat
from tiled_se.golden.range_method import RangeMethod
from tiled_se.hdl.config import Context, DataType, GateKind, Mid, Tiling
from tiled_se.network.calibration.feature_maps import feature_maps, with_prior
from tiled_se.network.calibration.images import find_images
from tiled_se.network.commands.options import BuildOptions, ImageOptions
from tiled_se.network.network import find_blocks, open_network
from tiled_se.network.plan import Plan

MIN_MAX = RangeMethod.parse("min-max")
# Maps of 32 rows of 24 pixels, of which there are six channels.
SIZE, UNTILED = "3x64x48", 2 * 8 * 32 * 24 * 6


def best(classes, limit):
    """The least cost of one item of each class within `limit`, by trying all; None if there is none."""
    costs = [sum(cost for _, cost in choice) for choice in itertools.product(*classes)
             if sum(size for size, _ in choice) <= limit]
    return min(costs, default=None)


def random_classes(seed):
    """Up to five classes of up to five items: many of equal size or cost, of no cost, and beaten by others."""
    rng = np.random.default_rng(seed)
    return [[(int(rng.integers(0, 12)), float(rng.integers(0, 8)) / 4) for _ in range(rng.integers(1, 6))]
            for _ in range(rng.integers(1, 6))]


@pytest.mark.parametrize("seed", range(60))
def test_every_limit_has_its_best_choice(seed):
    classes = random_classes(seed)
    found = frontier(classes)
    assert found.exact
    for limit in range(-1, 62):
        point, least = found.within(limit), best(classes, limit)
        assert (point is None) == (least is None)
        if point is None:
            continue
        items = found.items(point)
        chosen = [items_of[item] for items_of, item in zip(classes, items, strict=True)]
        assert sum(size for size, _ in chosen) == found.sizes[point] <= limit
        assert sum(cost for _, cost in chosen) == found.costs[point] == least
        assert found.bound(limit) <= least + 1e-9


@pytest.mark.parametrize("seed", range(60))
def test_a_frontier_with_too_many_points(seed):
    """What is left of it is a choice within the limit, and the bound says how far from the best it is at most."""
    classes, thinned = random_classes(seed), 0
    found = frontier(classes, most=3)
    assert len(found.sizes) <= 3
    for limit in range(62):
        point, least = found.within(limit), best(classes, limit)
        # The smallest of all choices is always there.
        assert (point is None) == (least is None)
        if point is not None:
            thinned += found.costs[point] > least
            assert found.bound(limit) <= least + 1e-9 <= found.costs[point] + 2e-9
            assert found.sizes[point] <= limit
    assert not (thinned and found.exact)


def test_the_bound_is_that_of_parts_of_items():
    """On the line between (4, 6) and (12, 2), which passes below (5, 5.9)."""
    found = frontier([[(5, 5.9), (4, 6), (12, 2), (13, 2), (4, 7)]])
    assert [found.bound(limit) for limit in (4, 8, 10, 12, 99)] == [6, 4, 3, 2, 2]


@pytest.mark.parametrize(("text", "bits"), [
    ("64KiB", 64 * 8192), ("1.5MiB", 12 << 20), ("7bits", 7), ("0.1", 100), ("1", 1000), ("2.5", 2500), ("0.0999", 99),
    ("0.3KiB", 2457)])
def test_budgets(text, bits):
    assert (budget(text).bits(1000), str(budget(text))) == (bits, text)


@pytest.mark.parametrize("text", ["0", "0KiB", "-1", "64KB", "64 KiB", "64kib", "10%", ".5", "1e3", "1001", "KiB", "٣"])
def test_other_budgets(tiled_se, text):
    tiled_se.refuses(f"BUDGET={text} (--budget): must be a size like 64KiB, 1.5MiB or 500000bits, or a fraction like "
                     "0.1 of what the untiled blocks buffer", "plan", "net.onnx", "images", "--budget", text)


@pytest.fixture
def files(tmp_path):
    return network_and_images(tmp_path)


def test_candidates(files):
    """Strips of every height, and running means that see something of the map; none twice."""
    block = open_network(files[0], SIZE).blocks[0]
    found = list(tilings(block, (1, 3, 32, 40)))
    assert found[:3] == [Tiling(k=1), Tiling(k=3), Tiling(k=32)]
    assert {(one.context, one.k, one.prior_rows) for one in found[3:]} == {
        (context, k, prior) for k in (1, 3) for context, prior in (
            (Context.CUMULATIVE, 0), (Context.CUMULATIVE, 1), (Context.CAUSAL, 1))}
    assert len(set(found)) == len(found) == 9


def test_untiled_bits(files):
    """In the network's own format, where it has one, whatever DTYPE says."""
    block = open_network(files[0], SIZE).blocks[0]
    own = dataclasses.replace(block, numbers=types.SimpleNamespace(x=DataFormat(0.1, 3, DataType(16, False))))
    assert [untiled_bits(one, PlanOptions(dtype=dtype)) for one in (block, own) for dtype in (None, "int4")] == [
        bits * 32 * 24 * 6 for bits in (8, 4, 16, 16)]


def test_candidates_keep_full_rate(files):
    """Unless there are none, or the user's own SLACK is why."""
    path, images = files
    network = open_network(path, SIZE)
    block = network.blocks[0]
    maps = np.random.default_rng(1).normal(size=(1, 32, 24, 6)).astype(np.float32)
    block = with_prior(block, maps)

    formats = output_formats(block, PlanOptions(), maps)

    def found(**more):
        return {(one.tiling.k, one.full_rate) for one in sized_candidates(block, PlanOptions(ks=(1, 8), **more),
                                                                          formats)}

    assert found() == {(8, True), (32, True)}
    assert found(slack=0) == {(1, False), (8, False), (32, False)}
    assert found(slack=300) == {(1, False), (8, True), (32, True)}


def whole(x, form):
    """A map with the gates of all of it, and these, by the formulas."""
    hidden = x.mean((0, 1)) @ form.w1.T + form.b1
    hidden = hidden / (1 + np.exp(-hidden)) if form.mid is Mid.SILU else np.maximum(hidden, 0)
    logits = hidden @ form.w2.T + form.b2
    gates = 1 / (1 + np.exp(-logits)) if form.gate.kind is GateKind.SIGMOID else \
        np.clip(logits * form.gate.slope + form.gate.offset, 0, 1)
    return x * (gates + form.residual), gates


def rounded(x, form):
    return (np.clip(np.rint(x / form.scale) + form.zero_point, form.data.low, form.data.high) - form.zero_point
            ) * form.scale


@pytest.fixture
def blocks_and_maps(files):
    """Both blocks of the network, the second one residual, with their maps."""
    path, images = files
    network = open_network(path, SIZE)
    with feature_maps(network, network.model, network.blocks, find_images(ImageOptions(calibration=images), network)
                      ) as maps:
        yield [(block, np.array(maps[block.name])) for block in network.blocks]


@pytest.mark.parametrize("options", [
    {}, {"dtype": "uint5"}, {"y_dtypes": ("int4", "uint12")}, {"y_dtypes": ("int6", "int8"), "calibrate_by": MIN_MAX},
    {"y_dtypes": ("input",)}, {"y_dtypes": ("input", "int8", "int12"), "dtype": "int8"},
    {"y_dtypes": ("input", "uint9"), "dtype": "uint5"}], ids=str)
def test_output_formats(blocks_and_maps, options):
    """The input's where the type is the input's, one for these outputs in each type, and what they round."""
    types = options.get("y_dtypes", (options.get("dtype", "int8"),))
    for block, maps in blocks_and_maps:
        found = output_formats(block, PlanOptions(**options), maps)
        own = str(found[0].x.data)
        assert own == options.get("dtype", "int8")
        assert [(str(one.y.data), one.source.value) for one in found] == [
            about for name in types for about in (
                [(own, "input")] * (name == ("input" if "input" in types else own)) + [(name, "images")] *
                (name != "input"))]
        for one in found:
            exact = [whole(x.astype(np.float64), block.float_block)[0] for x in maps]
            kept = [rounded(whole(rounded(x.astype(np.float64), one.x), block.float_block)[0], one.y) for x in maps]
            error = np.array(kept) - exact
            assert one.rounding == pytest.approx(abs(error).sum() / abs(maps.astype(np.float64)).sum())
            assert one.sqnr_db == pytest.approx(10 * np.log10((np.array(exact)**2).sum() / (error**2).sum()))
            if one.source.value == "input":
                assert one.y == dataclasses.replace(one.x, scale=one.x.scale * (1 + block.float_block.residual))
                assert one.given == {}
            else:
                assert one.given == {"y_dtype": str(one.y.data), "y_scale": one.y.scale,
                                     "y_zero_point": one.y.zero_point}
        for other, one in itertools.pairwise(found):
            # In one type the input's range is too large for the outputs; a wider type rounds less.
            assert one.rounding < other.rounding
    if "calibrate_by" in options:
        reals = [whole(rounded(x.astype(np.float64), found[-1].x), block.float_block)[0] for x in maps]
        assert found[-1].y == DataFormat.calibrate(np.min(reals), np.max(reals))


def test_what_a_format_clips_in_a_tiling(blocks_and_maps):
    """Of the outputs with the gates of the tiles, more than half a step beyond the ends of the format."""
    options = PlanOptions(ks=(4,), y_dtypes=("int8",), calibrate_by=RangeMethod.parse("percentile:90"))
    for block, maps in blocks_and_maps:
        block = with_prior(block, maps)
        found = sized_candidates(block, options, output_formats(block, options, maps))
        assert {one.tiling.context for one in found} == {*Context} - {Context.WINDOW}
        for one in found:
            share = with_clipped(block, one, options, maps).clipped
            if one.outputs.source.value == "input":
                assert share is None
                continue
            beyond = []
            for x in maps.astype(np.float64):
                x, top = rounded(x, one.outputs.x), 0
                for z, lines in descriptors_by_rows(x, block.float_block.prior, one.tiling):
                    gates = whole(x[:1] * 0 + z, block.float_block)[1]
                    y = x[top:top + lines] * (gates + block.float_block.residual) / one.outputs.y.scale
                    beyond.append(abs(y + one.outputs.y.zero_point + 0.5).reshape(-1) > 128)
                    top += lines
            # The weights are quantised.
            assert share == pytest.approx(np.concatenate(beyond).mean(), abs=2e-3) != 0


def test_the_outputs_format_of_a_quantised_network(tiled_se):
    """It stays, and there is no other one."""
    brevitas("net.onnx")
    pathlib.Path("maps").mkdir()
    np.save("maps/a.npy", quantised_images(3, seed=5, size=16))
    tiled_se.passes("plan", "net.onnx", "maps", "--budget", "9", "--ks", "4", "--y-dtypes", "int8,uint4", "-o", "p")
    written = json.loads(pathlib.Path("p/plan.json").read_text())
    ((name, entry),) = written["blocks"].items()
    assert entry == {"K": 16}
    about = written["about"]["blocks"][name]
    assert (about["y_type"], about["y_from"]) == ("uint4", "network")
    assert about["y_scale"] == pytest.approx(2 / 15)
    tiled_se.refuses(f"Y_DTYPES=int8 (--y-dtypes): must have uint4, as the network has it for block {name}", "plan",
                     "net.onnx", "maps", "--budget", "9", "--y-dtypes", "int8")
    tiled_se.refuses("Y_DTYPES=int8,int8 (--y-dtypes): must be different types from int2 to int16 or uint2 to uint16, "
                     "or input, with commas between, 8 at most", "plan", "net.onnx", "maps", "--y-dtypes", "int8,int8")


def test_the_default_format_only(tiled_se, files):
    """With Y_DTYPES=input no block has a format of its own, whatever the budget is."""
    tiled_se.passes("plan", *files, "--input-shape", SIZE, "--ks", 3, "--y-dtypes", "input", "--budget", "9", "-o", "p")
    written = json.loads(pathlib.Path("p/plan.json").read_text())
    assert [entry.keys() for entry in written["blocks"].values()] == [{"K"}] * 2
    assert [(one["y_from"], one["clipped"]) for one in written["about"]["blocks"].values()] == [("input", None)] * 2


def test_what_is_as_good_is_the_default():
    """Of choices of the same memory and change the first ones, as the default format is."""
    same = frontier([[(4, 0.5), (4, 0.5), (3, 0.7), (3, 0.7)], [(1, 0.25), (1, 0.25)]])
    assert [same.items(same.within(limit)) for limit in (5, 4)] == [[0, 0], [2, 0]]


def test_a_narrower_format_where_the_budget_needs_it(tiled_se, files):
    """With memory to spare it is the one with the least rounding; the least memory takes the narrowest."""
    path, images = files
    command = ("plan", path, images, "--input-shape", SIZE, "--ks", 3, "--y-dtypes", "int3,int8", "-o", "p", "--budget")

    def types(budget):
        tiled_se.passes(*command, budget)
        return {entry["Y_DTYPE"] for entry in json.loads(pathlib.Path("p/plan.json").read_text())["blocks"].values()}

    assert types("9") == {"int8"}
    least = int(tiled_se(*command, "1bits").err.split("must be at least ")[1].split("bits")[0])
    assert types(f"{least}bits") == {"int3"}


def gate_changes(block, tiling, maps):
    """What the tiling changes in the gates of all elements; the prior is the mean of the maps."""
    form, every = block.float_block, []
    for one in maps.astype(np.float64):
        own = [whole(one[:1] * 0 + z, form)[1] for z, rows in descriptors_by_rows(one, form.prior, tiling)
               for _ in range(rows)]
        every.append(abs(np.array(own) - whole(one, form)[1]))
    return np.array(every)


def descriptors_by_rows(x, prior, tiling):
    """The mean from which each tile's gates come, and the rows of the tile."""
    for first in range(0, len(x), tiling.k):
        end = min(first + tiling.k, len(x))
        if not tiling.context.running:
            yield x[first:end].mean((0, 1)), end - first
            continue
        seen = x[:first if tiling.context is Context.CAUSAL else end].mean((1,))
        rows = len(seen) + tiling.prior_rows
        yield (seen.sum(0) + tiling.prior_rows * prior) / rows, end - first


def test_plan(tiled_se, files):
    """The plan is the best of all pairs of candidates, measured here; what is printed and written says the same."""
    path, images = files
    shared = ("plan", path, images, "--input-shape", SIZE, "--ks", "1,4", "-o", "p", "--budget")
    finished = tiled_se.passes(*shared, "4KiB")
    written = json.loads(pathlib.Path("p/plan.json").read_text())
    about = written["about"]
    assert (about["untiled_bits"], about["budget_bits"]) == (UNTILED, 4 * 8192)
    network = open_network(path, SIZE)
    every = []
    with feature_maps(network, network.model, network.blocks, find_images(ImageOptions(calibration=images), network)
                      ) as maps:
        for block in network.blocks:
            block = with_prior(block, maps[block.name])
            options = PlanOptions(ks=(1, 4), calibration=images)
            own = sized_candidates(block, options, output_formats(block, options, maps[block.name]))
            every.append([(one, gate_changes(block, one.tiling, maps[block.name])) for one in own])
    pairs = [pair for pair in itertools.product(*every) if sum(one.bits for one, _ in pair) <= 4 * 8192]
    chosen = min(pairs, key=lambda pair: sum(changes.mean() + one.outputs.rounding for one, changes in pair))
    options = BuildOptions(plan="p/plan.json")
    assert list(Plan.of(options).choices(network.blocks).tilings(network.blocks, prior=True).values()) == [
        one.tiling for one, _ in chosen]
    for block, (one, changes) in zip(network.blocks, chosen, strict=True):
        own, entry = about["blocks"][block.name], written["blocks"][block.name]
        assert own["gate_change"] == pytest.approx({"mean": changes.mean(), "max": changes.max()}, abs=1e-6)
        assert own["change"] == pytest.approx(changes.mean() + one.outputs.rounding, abs=1e-6)
        assert own["memory_bits"] == one.bits
        assert {name.lower(): entry[name] for name in entry if name.startswith("Y_")} == one.outputs.given
        assert (own["y_type"], own["y_scale"]) == (str(one.outputs.y.data), one.outputs.y.scale)
    assert about["memory_bits"] == sum(one.bits for one, _ in chosen) <= 4 * 8192
    assert about["gate_change"] == pytest.approx({"mean": np.mean([changes.mean() for _, changes in chosen]),
                                                  "max": max(changes.max() for _, changes in chosen)}, abs=1e-6)
    assert about["change"] == about["least_change"] == sum(own["change"] for own in about["blocks"].values())
    assert about["optimal"]
    total = next(line.split() for line in finished.out.splitlines() if line.startswith("all "))
    assert total == ["all", f"{about['memory_bits']:,}", f"{100 * about['memory_bits'] / UNTILED:.1f}", "%",
                     *(f"{about['gate_change'][name]:.4f}" for name in ("mean", "max")), f"{about['change']:.4f}"]
    assert "no other choice of these tilings and formats has less change within the budget" in finished.out
    svg = pathlib.Path("p/plan.svg").read_text()
    # Single rows have less than full rate.
    assert [text in svg for text in ("K=1", "K=4", "least change", "chosen")] == [False, True, True, True]
    # The same budget as a fraction, and one that is no limit.
    tiled_se.passes(*shared, 4 * 8192 / UNTILED)
    assert json.loads(pathlib.Path("p/plan.json").read_text())["blocks"] == written["blocks"]
    tiled_se.passes(*shared, "9")
    unlimited = json.loads(pathlib.Path("p/plan.json").read_text())
    assert ([one["K"] for one in unlimited["blocks"].values()], unlimited["about"]["gate_change"]) == (
        [32, 32], {"mean": 0, "max": 0})


def test_the_least_budget(tiled_se, files):
    """The line has one that can be kept; a bit less can't be. The earlier plan stays."""
    path, images = files
    command = ("plan", path, images, "--input-shape", SIZE, "--ks", "2", "-o", "p", "--budget")
    refused = tiled_se(*command, "1bits")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    least = int(refused.err.split("must be at least ")[1].split("bits")[0])
    tiled_se.passes(*command, f"{least}bits")
    assert json.loads(pathlib.Path("p/plan.json").read_text())["about"]["memory_bits"] == least
    assert tiled_se(*command, f"{least - 1}bits").err == (
        f"tiled-se: error: BUDGET={least - 1}bits (--budget): must be at least {least}bits, the least possible with "
        f"these options; the untiled blocks buffer {UNTILED}\n")
    assert pathlib.Path("p/plan.json").exists()


def test_skipped_blocks(tiled_se, files):
    path, images = files
    one, two = (block.name for block in find_blocks(open_network(path, SIZE).model))
    tiled_se.passes("plan", path, images, "--input-shape", SIZE, "--budget", "1", "--ks", "2", "--skip", one, "-o", "p")
    written = json.loads(pathlib.Path("p/plan.json").read_text())
    assert (list(written["blocks"]), written["about"]["untiled_bits"]) == ([two], UNTILED // 2)
    tiled_se.refuses(f"SKIP={one},{two} (--skip): leaves no block to plan", "plan", path, images, "--input-shape", SIZE,
                     "--budget", "1", "--skip", f"{one},{two}")


def test_a_budget_is_needed(tiled_se):
    tiled_se.refuses_as("BUDGET= (--budget): is needed; must be a size like ", "plan", "net.onnx", "images")
