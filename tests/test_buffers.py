# SPDX-License-Identifier: Apache-2.0
"""Tile buffer, scale FIFO and RAM against models of a line, at depths that are no power of two."""

import collections
import random

import pytest

from tiled_se.hdl.config import Config
from tiled_se.hdl.ram import Ram
from tiled_se.hdl.scale_fifo import ScaleFifo
from tiled_se.hdl.tile_buffer import TileBuffer

from .pysim import simulate


@pytest.mark.parametrize("slack", [0, 1, 4])
def test_tile_buffer_is_a_queue(slack):
    """Order and count hold through many laps; it fills to the last word, and the peak says so."""
    config = Config(k=3, width=1, channels=2, squeeze=1, lanes=2, slack=slack)
    dut = TileBuffer(config)
    assert dut.depth == 3 + slack
    rng = random.Random(slack)
    queue, most = collections.deque(), 0

    async def bench(ctx):
        nonlocal most
        expected = None
        for cycle in range(600):
            busy = rng.random() < (0.9 if cycle // 100 % 2 else 0.3)
            write = busy and ctx.get(dut.ready)
            read = bool(queue) and rng.random() < (0.3 if cycle // 100 % 2 else 0.9)
            assert ctx.get(dut.ready) == (len(queue) < dut.depth)
            assert ctx.get(dut.empty) == (not queue)
            if expected is not None:
                assert ctx.get(dut.o) == expected
            value = rng.randrange(1 << 16)
            ctx.set(dut.write, write)
            ctx.set(dut.i, value)
            ctx.set(dut.read, read)
            if read:
                expected = queue.popleft()
            if write:
                queue.append(value)
            await ctx.tick()
            most = max(most, len(queue))
        ctx.set(dut.write, 0)
        ctx.set(dut.read, 0)
        await ctx.tick()
        await ctx.tick()
        assert ctx.get(dut.peak) == most == dut.depth

    simulate(dut, bench)


@pytest.mark.parametrize(("groups", "lanes"), [(1, 1), (1, 3), (3, 1), (5, 2)])
def test_scale_fifo(groups, lanes):
    """Gates come out in their groups, tile by tile; a third tile has to wait for the first to be released."""
    config = Config(k=1, width=1, channels=groups * lanes, squeeze=1, lanes=lanes)
    dut = ScaleFifo(config)
    rng = random.Random(groups)
    tiles = [[rng.randrange(4097) for _ in range(config.channels)] for _ in range(5)]

    async def write(ctx, tile):
        ctx.set(dut.take, 1)
        await ctx.tick()
        ctx.set(dut.take, 0)
        for gate in tile:
            ctx.set(dut.i_valid, 0)
            if rng.random() < 0.3:
                await ctx.tick()
            ctx.set(dut.i_valid, 1)
            ctx.set(dut.i, gate)
            await ctx.tick()
        ctx.set(dut.i_valid, 0)

    async def read(ctx, tile):
        for group in range(groups):
            ctx.set(dut.read, 1)
            ctx.set(dut.group, group)
            ctx.set(dut.release, group == groups - 1)
            await ctx.tick()
            assert [ctx.get(dut.o[i]) for i in range(lanes)] == tile[group * lanes:(group + 1) * lanes]
        ctx.set(dut.read, 0)
        ctx.set(dut.release, 0)

    async def bench(ctx):
        assert ctx.get(dut.free)
        assert not ctx.get(dut.tile_valid)
        await write(ctx, tiles[0])
        await write(ctx, tiles[1])
        for i in range(5):
            assert ctx.get(dut.free) == (i == 4)
            assert ctx.get(dut.tile_valid)
            await read(ctx, tiles[i])
            assert ctx.get(dut.free)
            if i + 2 < 5:
                await write(ctx, tiles[i + 2])
        assert not ctx.get(dut.tile_valid)

    simulate(dut, bench)


def test_scale_fifo_shows_no_unfinished_tile():
    config = Config(k=1, width=1, channels=4, squeeze=1, lanes=2)
    dut = ScaleFifo(config)

    async def bench(ctx):
        ctx.set(dut.take, 1)
        await ctx.tick()
        ctx.set(dut.take, 0)
        ctx.set(dut.i_valid, 1)
        for i in range(4):
            assert not ctx.get(dut.tile_valid), i
            await ctx.tick()
        assert ctx.get(dut.tile_valid)

    simulate(dut, bench)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_ram(depth):
    """A word is read a cycle after its address, and held while nothing is read."""
    dut = Ram(width=4, depth=depth)

    async def bench(ctx):
        ctx.set(dut.we, 1)
        for i in range(depth):
            ctx.set(dut.waddr, i)
            ctx.set(dut.wdata, i + 3)
            await ctx.tick()
        ctx.set(dut.we, 0)
        ctx.set(dut.wdata, 15)
        for i in range(depth):
            ctx.set(dut.re, 1)
            ctx.set(dut.raddr, i)
            await ctx.tick()
            ctx.set(dut.re, 0)
            ctx.set(dut.raddr, 0)
            await ctx.tick()
            assert ctx.get(dut.rdata) == i + 3

    simulate(dut, bench)
