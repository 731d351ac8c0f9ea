# SPDX-License-Identifier: Apache-2.0
"""What a block's size makes worth a warning."""

import dataclasses
import math

import pytest

from tiled_se.hdl.config import Config, Context, Order, Tiling
from tiled_se.hdl.sizing import FAR, FPGA_BITS, MANY, choose_macs, doubts, lanes_within, memory_bits, yardstick
from tiled_se.hdl.timing import Timing

CUMULATIVE = dict(context=Context.CUMULATIVE)
CAUSAL = dict(context=Context.CAUSAL, prior_rows=2)
WINDOW = dict(context=Context.WINDOW, window=(4, 7))
PATCHES = dict(tile_width=3)
COLUMNS = dict(order=Order.COLUMNS)


def sized(**more):
    """A block with the lanes and multipliers that are chosen by default."""
    config = Config(lanes=lanes_within(more["channels"]), **more)
    return dataclasses.replace(config, macs=choose_macs(config, 0.05))


@pytest.mark.parametrize(("overhead", "share"), [(None, 0.05), (0.02, 0.02)])
@pytest.mark.parametrize("context", [Context.CUMULATIVE, Context.CAUSAL])
def test_limit_of_contexts(context, overhead, share):
    """Where a row waits, or none, multipliers are chosen for a part of seven rows in all memories beside it."""
    config = Config(k=1, width=200, channels=64, squeeze=16, lanes=4, context=context, prior_rows=1, max_rows=200)
    chosen = dataclasses.replace(config, macs=choose_macs(config, overhead))
    fewer = dataclasses.replace(chosen, macs=chosen.macs - 1)
    waiting = 8 * 200 * 64 * (context is Context.CUMULATIVE)
    assert memory_bits(chosen) <= waiting + share * 8 * 7 * 200 * 64 < memory_bits(fewer)
    assert Timing(fewer).full_rate


def test_limit_of_patches():
    """A tenth of what waits, as a band's gates and sums take a part of it that no multipliers save."""
    config = Config(k=7, width=56, tile_width=7, channels=64, squeeze=16, lanes=1)
    chosen = dataclasses.replace(config, macs=choose_macs(config))
    fewer = dataclasses.replace(chosen, macs=chosen.macs - 1)
    assert memory_bits(chosen) <= 1.1 * 8 * (6 * 56 + 7) * 64 < memory_bits(fewer)
    assert Timing(chosen).full_rate


def test_ordinary_blocks():
    for shape in ((56, 64, 16), (28, 240, 60), (10, 960, 240), (1, 1, 1), (7, 8, 2), (14, 480, 120), (14, 672, 168)):
        config = sized(k=7, width=shape[0], channels=shape[1], squeeze=shape[2])
        assert doubts(config, False, False) == []


@pytest.mark.parametrize(("tiling", "text", "bits"), [
    ({}, "the bound 8*K*W*C", 8 * 3 * 10 * 8), (CUMULATIVE, "the bound 8*K*W*C", 8 * 3 * 10 * 8),
    (PATCHES, "the bound 8*((K-1)*W+TILE_W)*C", 8 * (2 * 10 + 3) * 8),
    (PATCHES | COLUMNS, "the bound 8*((K-1)*H+TILE_W)*C", 8 * (2 * 10 + 3) * 8),
    (WINDOW, "the bound 8*(FIRST+COUNT)*W*C", 8 * 11 * 10 * 8), (COLUMNS, "the bound 8*K*H*C", 8 * 3 * 10 * 8),
    (CAUSAL, "7 rows, 8*7*W*C", 8 * 7 * 10 * 8), (COLUMNS | CAUSAL, "7 columns, 8*7*H*C", 8 * 7 * 10 * 8)])
def test_yardstick(tiling, text, bits):
    assert yardstick(Config(k=3, width=10, channels=8, squeeze=2, **tiling)) == (text, bits)


def test_tile_buffer_of_wide_patches_that_no_fpga_has():
    config = Config(k=1, width=1 << 16, tile_width=1 << 15, channels=4096, squeeze=1, macs=1, slack=0)
    assert (config.bound_bits, doubts(config, True, True)) == (FPGA_BITS, [])
    (found,) = doubts(dataclasses.replace(config, slack=1), True, True)
    assert found.endswith("; a smaller TILE_W takes less")


@pytest.mark.parametrize("lanes", [1, 8, 64])
@pytest.mark.parametrize(("tiling", "what_helps"), [
    (dict(k=2), "; a smaller K takes less"), (dict(k=2) | CUMULATIVE, "; a smaller K takes less"), (dict(k=1), ""),
    (dict(k=9, context=Context.WINDOW, window=(1, 1)), "; a WINDOW that ends earlier takes less"),
    (dict(k=1, context=Context.WINDOW, window=(0, 2)), "; a WINDOW that ends earlier takes less")], ids=str)
def test_tile_buffer_that_no_fpga_has(lanes, tiling, what_helps):
    """At the bound itself, to the word; and what has a smaller one."""
    width = FPGA_BITS // (8 * 2048 * Tiling(**tiling).tile_rows)
    config = Config(width=width, channels=2048, squeeze=1, lanes=lanes, macs=1, slack=0, **tiling)
    assert config.bound_bits == FPGA_BITS
    assert doubts(config, True, True) == []
    assert doubts(dataclasses.replace(config, slack=1), True, True) == [
        f"the tile buffer has {FPGA_BITS + 8 * lanes:,} bits, and no FPGA has 1,073,741,824{what_helps}"]


@pytest.mark.parametrize("tiling", [CAUSAL, {}, WINDOW], ids=str)
def test_tile_buffer_that_is_mostly_slack(tiling):
    """Beats that come while one multiplier computes gates; fewer rows would not help."""
    config = Config(k=7, width=2, channels=1 << 16, squeeze=256, lanes=64, macs=1, **tiling)
    (found,) = doubts(config, True, True)
    assert found.endswith(" bits, and no FPGA has 1,073,741,824; a smaller SLACK takes less")
    assert doubts(dataclasses.replace(config, slack=0), True, True) == []


@pytest.mark.parametrize("channels", range(1, 130))
def test_lanes_that_fell_to_one(channels):
    config = Config(k=2, width=64, channels=channels, squeeze=1, lanes=lanes_within(channels))
    fell = channels > 1 and not any(channels % n == 0 for n in range(2, 9))
    found = doubts(config, False, True)
    assert len(found) == fell
    assert doubts(config, True, True) == []
    if fell:
        assert found[0].startswith(f"LANES=1, one channel a cycle, as C={channels} has no divisor from 2 to 8")
        divisors = [n for n in range(2, 65) if channels % n == 0]
        assert found[0].endswith(
            f"; LANES={divisors[0]} is possible, with beats of {8 * divisors[0]} bits" if divisors else " to 8")


def test_more_multipliers_than_full_rate_takes():
    config = sized(k=7, width=28, channels=576, squeeze=144)
    (found,) = doubts(config, False, False)
    fewest = next(macs for macs in range(1, 600)
                  if Timing(dataclasses.replace(config, macs=macs)).keeps_pace)
    assert config.macs > max(FAR * fewest, MANY)
    factors = [memory_bits(dataclasses.replace(config, macs=n)) / config.bound_bits for n in (config.macs, fewest)]
    assert found == (f"MACS=auto takes {config.macs} multipliers for a memory of {factors[0]:.2f} x the bound 8*K*W*C; "
                     f"MACS={fewest} is as fast with {factors[1]:.2f} x the bound, "
                     "and a larger SRAM_OVERHEAD has auto take fewer")
    assert choose_macs(config, factors[1] - 1 + 1e-9) == fewest
    assert doubts(config, False, True) == []
    # Not where there are few of them, or full rate takes nearly as many.
    assert doubts(dataclasses.replace(config, macs=MANY), False, False) == []
    assert doubts(dataclasses.replace(config, macs=FAR * math.ceil(MANY / FAR) + 1, width=1), False, False) != []


@pytest.mark.parametrize(("tiling", "text", "name"), [
    (COLUMNS, "the bound 8*K*H*C", "the bound"), (CUMULATIVE, "the bound 8*K*W*C", "the bound"),
    (dict(k=2, width=512, tile_width=256), "the bound 8*((K-1)*W+TILE_W)*C", "the bound"),
    (dict(context=Context.WINDOW, window=(2, 5)), "the bound 8*(FIRST+COUNT)*W*C", "the bound"),
    (CAUSAL, "7 rows, 8*7*W*C", "7 rows"), (CAUSAL | COLUMNS, "7 columns, 8*7*H*C", "7 columns")], ids=str)
def test_multipliers_are_compared_with_what_reports_name(tiling, text, name):
    config = sized(**dict(k=7, width=64, channels=960, squeeze=240) | tiling)
    bits = yardstick(config)[1]
    fewest = next(macs for macs in range(1, 241) if Timing(dataclasses.replace(config, macs=macs)).keeps_pace)
    before, after = (memory_bits(dataclasses.replace(config, macs=n)) / bits for n in (fewest, config.macs))
    assert doubts(config, False, False) == [
        f"MACS=auto takes {config.macs} multipliers for a memory of {after:.2f} x {text}; MACS={fewest} is as fast "
        f"with {before:.2f} x {name}, and a larger SRAM_OVERHEAD has auto take fewer"]


@pytest.mark.parametrize(("width", "slack"), [(7, None), (14, 0)])
def test_no_number_of_multipliers_is_enough(width, slack):
    """With SLACK=0 each tile pauses, however many there are."""
    config = sized(k=1, width=width, channels=1152, squeeze=288, slack=slack)
    assert config.macs > MANY
    (found,) = doubts(config, False, False)
    words, fewer = config.tile_words, dataclasses.replace(config, macs=config.macs // FAR)
    assert found == (f"MACS=auto takes {config.macs:,} multipliers, with which a tile of {words:,} beats takes "
                     f"{Timing(config).period(words):,.0f} cycles; MACS={fewer.macs} takes "
                     f"{Timing(fewer).period(words):,.0f}"
                     + ("" if slack is None else ", and a larger SRAM_OVERHEAD has auto take fewer"))
    # A bound on the period; without SLACK, no bound on the memory gives full rate.
    assert (choose_macs(config, 5) < config.macs) == (slack is not None)
