# SPDX-License-Identifier: Apache-2.0
"""The accumulator: sums, copying out ahead of the next tile's first pixel, few and many groups."""

import numpy as np
import pytest

from tests.helpers.pysim import simulate
from tiled_se.hdl.accumulate import Accumulator
from tiled_se.hdl.config import Config


def run(config, tiles, rng, pause):
    """Feed tiles (arrays of pixels x groups x lanes), flush after each as the top does; return what was copied out."""
    dut = Accumulator(config)
    copied = []

    late = [0] * config.lanes

    async def cycle(ctx, beat=None, flush=False):
        nonlocal late
        # A beat's data come a cycle after it was taken.
        for lane, value in enumerate(late):
            ctx.set(dut.i_data[lane], int(value))
        ctx.set(dut.i_valid, beat is not None)
        late = [99] * config.lanes
        if beat is not None:
            group, first, late = beat
            ctx.set(dut.i_group, group)
            ctx.set(dut.i_first, first)
        ctx.set(dut.flush, flush)
        if ctx.get(dut.o_valid):
            copied.append((ctx.get(dut.o_group), [ctx.get(dut.o_sums[lane]) for lane in range(config.lanes)]))
        await ctx.tick()

    async def bench(ctx):
        flush = False
        for tile in tiles:
            beats = [(g, p == 0, lanes) for p, pixel in enumerate(tile) for g, lanes in enumerate(pixel)]
            for i, beat in enumerate(beats):
                while i and rng.random() < pause:
                    await cycle(ctx)
                # A tile's first beat may come in the very cycle in which copying out its predecessor starts.
                await cycle(ctx, beat, flush)
                flush = False
            flush = True
        await cycle(ctx, None, flush)
        for _ in range(config.groups + dut.latency + 1):
            await cycle(ctx)

    simulate(dut, bench)
    return copied


@pytest.mark.parametrize("pause", [0, 0.5])
@pytest.mark.parametrize(("groups", "lanes"), [(1, 4), (2, 1), (3, 2), (4, 1), (7, 3), (33, 2), (513, 1)])
def test_sums(groups, lanes, pause):
    rng = np.random.default_rng(groups * 10 + lanes)
    config = Config(k=2, width=3, channels=groups * lanes, squeeze=1, lanes=lanes)
    tiles = [rng.integers(-128, 128, (pixels, groups, lanes)) for pixels in (6, 1, 3, 1, 1, 6)]
    tiles.append(np.full((6, groups, lanes), -128))
    wanted = [(g, tile.sum(0)[g].tolist()) for tile in tiles for g in range(groups)]
    assert run(config, tiles, rng, pause) == wanted


@pytest.mark.parametrize("groups", [2, 5, 40])
def test_busy_until_the_last_sum_has_landed(groups):
    """A tile that is cut short ends on a sum that is still under way: copied as soon as nothing is, it is complete."""
    config = Config(k=2, width=3, channels=groups, squeeze=1)
    dut = Accumulator(config)
    copied = []

    async def bench(ctx):
        for pixel in range(2):
            for group in range(groups if pixel == 0 else 1):
                ctx.set(dut.i_valid, 1)
                ctx.set(dut.i_first, pixel == 0)
                ctx.set(dut.i_group, group)
                await ctx.tick()
                ctx.set(dut.i_data[0], 100 - group)
        ctx.set(dut.i_valid, 0)
        while ctx.get(dut.busy):
            await ctx.tick()
        ctx.set(dut.flush, 1)
        for cycle in range(dut.latency + groups):
            assert ctx.get(dut.o_valid) == (cycle >= dut.latency)
            if ctx.get(dut.o_valid):
                copied.append(ctx.get(dut.o_sums[0]))
            await ctx.tick()
            ctx.set(dut.flush, 0)

    simulate(dut, bench)
    assert copied == [200] + [100 - group for group in range(1, groups)]
