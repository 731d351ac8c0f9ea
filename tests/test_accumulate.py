# SPDX-License-Identifier: Apache-2.0
"""The accumulator: sums, copying out ahead of the next tile's first pixel, few and many groups."""

import numpy as np
import pytest

from tiled_se.hdl.accumulate import Accumulator
from tiled_se.hdl.config import Config

from .pysim import simulate


def run(config, tiles, rng, pause):
    """Feed tiles (arrays of pixels x groups x lanes), flush after each as the top does; return what was copied out."""
    dut = Accumulator(config)
    copied = []

    async def cycle(ctx, beat=None, flush=None):
        ctx.set(dut.i_valid, beat is not None)
        if beat is not None:
            group, first, lanes = beat
            ctx.set(dut.i_group, group)
            ctx.set(dut.i_first, first)
            for lane, value in enumerate(lanes):
                ctx.set(dut.i_data[lane], int(value))
        ctx.set(dut.flush, flush is not None)
        if flush is not None:
            ctx.set(dut.flush_words, flush)
        if ctx.get(dut.o_valid):
            copied.append((ctx.get(dut.o_group), [ctx.get(dut.o_sums[lane]) for lane in range(config.lanes)]))
        await ctx.tick()

    async def bench(ctx):
        flush = None
        for tile in tiles:
            beats = [(g, p == 0, lanes) for p, pixel in enumerate(tile) for g, lanes in enumerate(pixel)]
            for i, beat in enumerate(beats):
                while i and rng.random() < pause:
                    await cycle(ctx)
                # A tile's first beat may come in the very cycle in which copying out its predecessor starts.
                await cycle(ctx, beat, flush)
                flush = None
            flush = config.groups
        await cycle(ctx, None, flush)
        for _ in range(config.groups + 2):
            await cycle(ctx)

    simulate(dut, bench)
    return copied


@pytest.mark.parametrize("pause", [0, 0.5])
@pytest.mark.parametrize(("groups", "lanes"), [(1, 4), (2, 1), (3, 2), (4, 1), (7, 3)])
def test_sums(groups, lanes, pause):
    rng = np.random.default_rng(groups * 10 + lanes)
    config = Config(k=2, width=3, channels=groups * lanes, squeeze=1, lanes=lanes)
    tiles = [rng.integers(-128, 128, (pixels, groups, lanes)) for pixels in (6, 1, 3, 1, 1, 6)]
    tiles.append(np.full((6, groups, lanes), -128))
    wanted = [(g, tile.sum(0)[g].tolist()) for tile in tiles for g in range(groups)]
    assert run(config, tiles, rng, pause) == wanted


@pytest.mark.parametrize("groups", [2, 5])
def test_words_that_a_tile_did_not_reach_count_as_zero(groups):
    config = Config(k=2, width=3, channels=groups, squeeze=1)
    dut = Accumulator(config)
    copied = []

    async def bench(ctx):
        for _ in range(2):
            for group in range(groups):
                ctx.set(dut.i_valid, 1)
                ctx.set(dut.i_first, 1)
                ctx.set(dut.i_group, group)
                ctx.set(dut.i_data[0], 100 + group)
                await ctx.tick()
        ctx.set(dut.i_valid, 0)
        while ctx.get(dut.busy):
            await ctx.tick()
        ctx.set(dut.flush, 1)
        ctx.set(dut.flush_words, 1)
        await ctx.tick()
        ctx.set(dut.flush, 0)
        for _ in range(groups):
            assert ctx.get(dut.o_valid)
            copied.append(ctx.get(dut.o_sums[0]))
            await ctx.tick()

    simulate(dut, bench)
    assert copied == [100] + [0] * (groups - 1)
