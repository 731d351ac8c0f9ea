# SPDX-License-Identifier: Apache-2.0
"""`tiled-se plan`: the knapsack against all choices there are, budgets, and what the command writes."""

import dataclasses
import itertools
import json
import math
import pathlib
import types

import numpy as np
import pytest

from tests.helpers.onnx_images import network_and_images
from tiled_se.evaluate.budget import budget
from tiled_se.evaluate.options import PlanOptions
from tiled_se.evaluate.plan.candidates import sized_candidates, tilings, untiled_bits
from tiled_se.evaluate.plan.knapsack import frontier
from tiled_se.golden.block import DataFormat
from tiled_se.hdl.config import Context, DataType, Tiling
from tiled_se.network.calibration.agreement import agreement
from tiled_se.network.calibration.feature_maps import feature_maps, with_prior
from tiled_se.network.calibration.images import find_images
from tiled_se.network.commands.options import BuildOptions, ImageOptions
from tiled_se.network.network import find_blocks, open_network
from tiled_se.network.plan import Plan

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

    def found(**more):
        return {(one.tiling.k, one.full_rate) for one in sized_candidates(block, PlanOptions(ks=(1, 8), **more), maps)}

    assert found() == {(8, True), (32, True)}
    assert found(slack=0) == {(1, False), (8, False), (32, False)}
    assert found(slack=300) == {(1, False), (8, True), (32, True)}


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
            own = sized_candidates(block, PlanOptions(ks=(1, 4), calibration=images), maps[block.name])
            every.append([(one, agreement(block, one.tiling, maps[block.name]).output_change) for one in own])
    pairs = [pair for pair in itertools.product(*every) if sum(one.bits for one, _ in pair) <= 4 * 8192]
    chosen = min(pairs, key=lambda pair: sum(change**2 for _, change in pair))
    options = BuildOptions(plan="p/plan.json")
    assert list(Plan.of(options).choices(network.blocks).tilings(network.blocks, prior=True).values()) == [
        one.tiling for one, _ in chosen]
    assert [about["blocks"][block.name]["change"] for block in network.blocks] == pytest.approx(
        [change for _, change in chosen])
    assert about["memory_bits"] == sum(one.bits for one, _ in chosen) <= 4 * 8192
    assert about["change"] == about["least_change"] == pytest.approx(math.hypot(*(change for _, change in chosen)))
    assert about["optimal"]
    total = next(line.split() for line in finished.out.splitlines() if line.startswith("sum "))
    assert total == ["sum", f"{about['memory_bits']:,}", f"{100 * about['memory_bits'] / UNTILED:.1f}", "%",
                     f"{100 * about['change']:.2f}", "%"]
    assert "no other choice of these tilings has less change within the budget" in finished.out
    svg = pathlib.Path("p/plan.svg").read_text()
    # Single rows have less than full rate.
    assert [text in svg for text in ("K=1", "K=4", "least change", "chosen")] == [False, True, True, True]
    # The same budget as a fraction, and one that is no limit.
    tiled_se.passes(*shared, 4 * 8192 / UNTILED)
    assert json.loads(pathlib.Path("p/plan.json").read_text())["blocks"] == written["blocks"]
    tiled_se.passes(*shared, "9")
    unlimited = json.loads(pathlib.Path("p/plan.json").read_text())
    assert ([one["K"] for one in unlimited["blocks"].values()], unlimited["about"]["change"]) == ([32, 32], 0)


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
