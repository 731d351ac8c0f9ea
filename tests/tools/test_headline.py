# SPDX-License-Identifier: Apache-2.0
"""The memory that the project promises, read off netlists: a change that costs more than that is seen here."""

import dataclasses
import itertools
import pathlib
import re

import pytest

from tests.helpers.nightly import seldom
from tiled_se.evaluate.networks import load_networks
from tiled_se.gen.block_spec import assemble
from tiled_se.gen.fields import from_texts, options_of
from tiled_se.gen.options import BlockOptions
from tiled_se.gen.verilog import generate
from tiled_se.hdl.config import Config, Context, Order
from tiled_se.hdl.data_type import DataType
from tiled_se.hdl.schedule import predict
from tiled_se.hdl.sizing import choose_macs, lanes_within, memory_bits
from tiled_se.hdl.timing import Timing

RUNNING = (Context.CUMULATIVE, Context.CAUSAL)


def sized(**shape):
    config = Config(**shape, loadable=True)
    return dataclasses.replace(config, macs=choose_macs(config))


def sized_for(block, most, **tiling):
    """The hardware for a block of a network, with `most` lanes at most."""
    return sized(width=block.width, channels=block.channels, squeeze=block.squeeze,
                 lanes=lanes_within(block.channels, most), **tiling)


@pytest.fixture(scope="module")
def efficientdet_d2():
    network, = (network for network in load_networks() if network.name == "EfficientDet-D2")
    return network.blocks


@pytest.mark.parametrize(("lanes", "slack", "most"), [(1, None, 1.05), (8, None, 1.10), (1, 0, 1.03), (8, 0, 1.03)])
def test_headline(lanes, slack, most, figure):
    """K=7 W=56 C=64: all memory but the parameters', over 8 * K * W * C bits."""
    config = sized(k=7, width=56, channels=64, squeeze=16, lanes=lanes, slack=slack)
    assert Timing(config).full_rate == (slack is None)
    over = generate(config).sram["over_bound"]
    figure(f"memory of K=7 W=56 C=64 LANES={lanes}{'' if slack is None else ' SLACK=0'}: {over:.3f} x the bound")
    assert over <= most


@pytest.mark.parametrize(("context", "most"), [(Context.CUMULATIVE, 0.26), (Context.CAUSAL, 0.10)])
def test_contexts(context, most, figure):
    """K=1 W=56 C=64 LANES=8: all memory but the parameters', over 8 * 7 * W * C bits."""
    config = sized(context=context, prior_rows=1, k=1, width=56, channels=64, squeeze=16, lanes=8)
    assert Timing(config).full_rate
    over = generate(config).sram["over_tse7"]
    figure(f"memory of K=1 W=56 C=64 LANES=8 CONTEXT={context.value}: {over:.3f} x seven rows")
    assert over <= most


@pytest.mark.parametrize(("context", "tiling"), [
    (Context.TILE, {}), *((context, dict(prior_rows=1)) for context in RUNNING), (Context.WINDOW, dict(window=(0, 7)))])
def test_formats(context, tiling, figure):
    """K=7 W=56 C=64 LANES=8: a narrower format takes no more memory, and less with that of the parameters."""
    bits = []
    for numbers in (dict(data=DataType(4), weight_bits=4), dict(data=DataType(4)), dict(), dict(data=DataType(16))):
        config = sized(context=context, k=7, width=56, channels=64, squeeze=16, lanes=8, **tiling, **numbers)
        assert Timing(config).full_rate
        sram = generate(config).sram
        bits.append((sram["total_without_weights_bits"], sram["weight_bits"]))
    figure(f"memory of K=7 W=56 C=64 LANES=8 CONTEXT={context.value} at int4, int8, int16: "
           f"{', '.join(f'{one[0]:,}' for one in bits[1:])} bits")
    for narrow, wide in itertools.pairwise(bits):
        assert narrow[0] <= wide[0]
        assert sum(narrow) < sum(wide)


@pytest.mark.parametrize(("lanes", "columns"), [(1, 14), (4, 14), (8, 28)])
def test_patches(lanes, columns, figure):
    """K=7 W=56 C=64: all memory but the parameters', over what must wait. More lanes or narrower patches take more."""
    config = sized(k=7, width=56, tile_width=columns, channels=64, squeeze=16, lanes=lanes)
    assert Timing(config).full_rate
    over = generate(config).sram["over_bound"]
    figure(f"memory of K=7 W=56 C=64 TILE_W={columns} LANES={lanes}: {over:.3f} x what must wait")
    assert over <= 1.10


def test_efficientdet_d2(efficientdet_d2, figure):
    """Over all its blocks, with two lanes: at least 90 % less than squeeze-and-excite of the same generator."""
    bits = {7: 0, None: 0}
    for block in efficientdet_d2:
        for k in bits:
            config = sized_for(block, 2, k=k or block.height)
            bits[k] += block.count * generate(config).sram["total_without_weights_bits"]
    less = 1 - bits[7] / bits[None]
    figure(f"memory of EfficientDet-D2's blocks, two lanes: {100 * less:.2f} % less than SE")
    assert less >= 0.9


@pytest.mark.parametrize("most", seldom([1, 2, 4, 8], 1))
def test_contexts_of_efficientdet_d2(efficientdet_d2, most, figure):
    """One prior row, each row a tile: 97.5 % less than SE with one row that waits, 99 % with none, at full rate."""
    bits = dict.fromkeys((None, *RUNNING), 0)
    for block in efficientdet_d2:
        bits[None] += block.count * memory_bits(sized_for(block, most, k=block.height))
        for context in RUNNING:
            config = sized_for(block, most, k=1, context=context, prior_rows=1, max_rows=block.height)
            assert Timing(config).full_rate
            bits[context] += block.count * memory_bits(config)
    less = [1 - bits[context] / bits[None] for context in RUNNING]
    figure(f"memory of EfficientDet-D2's blocks, up to {most} lanes: cumulative {100 * less[0]:.2f} % less than SE, "
           f"causal {100 * less[1]:.2f} %")
    assert less[0] >= 0.975
    assert less[1] >= 0.99


@pytest.mark.parametrize(("number", "most", "slack", "tiling"), [
    (0, 8, None, dict(k=384)), (3, 1, None, dict(k=7)), (9, 4, 0, dict(k=3, order=Order.COLUMNS)),
    (4, 8, None, dict(k=3, tile_width=5)), (7, 2, 0, dict(k=1, tile_width=4)),
    (5, 8, None, dict(k=1, context=Context.WINDOW, window=(2, 7))),
    (2, 8, None, dict(k=1, context=Context.CUMULATIVE)), (11, 8, None, dict(k=1, context=Context.CAUSAL, prior_rows=2)),
    (6, 2, 3, dict(k=3, context=Context.CUMULATIVE, prior_rows=1, max_rows=48)),
    (8, 4, 0, dict(k=3, context=Context.CAUSAL, prior_rows=1, max_rows=48))])
def test_formula(efficientdet_d2, number, most, slack, tiling):
    """The memory that MACS=auto weighs is the netlist's, to the bit."""
    config = sized_for(efficientdet_d2[number], most, slack=slack, **tiling)
    assert memory_bits(config) == generate(config).sram["total_without_weights_bits"]


CONTEXTS = re.findall(r"^\| [\w ]+ \| `(.*?)` \| (.*) \|$",
                      (pathlib.Path(__file__).parents[2] / "docs" / "contexts.md").read_text(), re.M)


def test_page_on_contexts_has_all():
    assert len(CONTEXTS) == 9


@pytest.mark.parametrize(("variables", "cells"), CONTEXTS)
def test_page_on_contexts(variables, cells):
    """The figures that docs/contexts.md has of one block in each context."""
    names = {about.variable: name for name, about in options_of(BlockOptions).items()}
    pairs = (pair.split("=") for pair in f"W=56 C=64 {variables}".split())
    config = assemble(from_texts(BlockOptions, {names[name]: value for name, value in pairs})).config
    sram, cycles = generate(config).sram, predict(config, [56, 56])
    assert cells == " | ".join([
        f"{sram['bound_bits']:,}", f"{sram['total_without_weights_bits']:,}", f"{sram['over_tse7']:.3f}",
        f"{cycles.first_output_latency:,}", f"{cycles.steady_throughput:.4f}", f"{config.macs}"])
