# SPDX-License-Identifier: Apache-2.0
"""Tile buffer, scale FIFO and RAM against models of a line, at depths that are no power of two."""

import collections
import itertools
import random

import pytest
from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.sim import Simulator

from tests.helpers.pysim import clocked, simulate
from tiled_se.hdl.arithmetic import counter, saturate
from tiled_se.hdl.config import Config
from tiled_se.hdl.latency import MULTIPLY, ram_latency
from tiled_se.hdl.multiplier import Multiplier
from tiled_se.hdl.queue import Queue
from tiled_se.hdl.ram import Ram
from tiled_se.hdl.scale_fifo import ScaleFifo
from tiled_se.hdl.tile_buffer import TileBuffer
from tiled_se.hdl.timing import DEVIATE, Timing


@pytest.mark.parametrize("slack", [0, 1, 4])
def test_tile_buffer_is_a_queue(slack):
    """Order and count hold through many laps; it fills to the last word, and the peak says so."""
    config = Config(k=3, width=1, channels=2, squeeze=1, lanes=2, slack=slack)
    dut = TileBuffer(config)
    assert dut.depth == 3 + slack
    rng = random.Random(slack)
    queue, most, written = collections.deque(), 0, 0

    async def bench(ctx):
        nonlocal most, written
        # What was written a cycle before can be read no sooner than two cycles after: a tile has to end first.
        expected, value, ready, fresh = [], 0, True, 0
        for cycle in range(600):
            busy = rng.random() < (0.9 if cycle // 100 % 2 else 0.3)
            write = busy and ready
            read = len(queue) > fresh and rng.random() < (0.3 if cycle // 100 % 2 else 0.9)
            assert ctx.get(dut.empty) == (not queue)
            assert ctx.get(dut.tail) == written % dut.depth
            if queue:
                assert ctx.get(dut.ahead) == (written - len(queue) + 1) % dut.depth
            if len(expected) == ram_latency(dut.depth):
                wanted = expected.pop(0)
                assert wanted is None or ctx.get(dut.o) == wanted
            # A beat's data come a cycle after it was taken.
            ctx.set(dut.i, value)
            value = rng.randrange(1 << 16)
            ctx.set(dut.write, write)
            ctx.set(dut.read, read)
            expected.append(queue.popleft() if read else None)
            if write:
                queue.append(value)
            fresh, written = int(write), written + write
            ready = ctx.get(dut.ready)
            assert ready == (len(queue) < dut.depth)
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
    dut, latency = ScaleFifo(config), Timing(config).read_latency + DEVIATE
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
            ctx.set(dut.read, 0)
            ctx.set(dut.release, 0)
            await ctx.tick().repeat(latency - 1)
            assert [ctx.get(dut.o[i]) for i in range(lanes)] == tile[group * lanes:(group + 1) * lanes]

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


@pytest.mark.parametrize("depth", [1, 2, 5, 33, 513])
def test_ram(depth):
    """A word is read ``ram_latency`` cycles after its address."""
    dut = Ram(width=4, depth=depth)
    assert dut.latency == {1: 1, 2: 1, 5: 1, 33: 2, 513: 3}[depth]

    async def bench(ctx):
        ctx.set(dut.we, 1)
        for i in range(depth):
            ctx.set(dut.waddr, i)
            ctx.set(dut.wdata, i * 7 % 13)
            await ctx.tick()
        ctx.set(dut.we, 0)
        ctx.set(dut.wdata, 15)
        for i in range(depth):
            ctx.set(dut.re, 1)
            ctx.set(dut.raddr, i)
            await ctx.tick()
            ctx.set(dut.re, 0)
            ctx.set(dut.raddr, 0)
            await ctx.tick().repeat(dut.latency)
            assert ctx.get(dut.rdata) == i * 7 % 13

    simulate(dut, bench)


@pytest.mark.parametrize("depth", [1, 3, 4])
def test_queue(depth):
    """Order and count; a word is offered two cycles after it was written; every place and the register are used."""
    dut = Queue(width=8, depth=depth)
    rng = random.Random(depth)
    queue, given = collections.deque(), []

    async def bench(ctx):
        for cycle in range(400):
            write = len(queue) <= depth and rng.random() < (0.9 if cycle // 50 % 2 else 0.4)
            # Room for one more than the memory's words is there only when one is in the register.
            write = write and (len(queue) < depth or ctx.get(dut.o_valid))
            ready = rng.random() < (0.3 if cycle // 50 % 2 else 0.9)
            if ctx.get(dut.o_valid):
                assert ctx.get(dut.o) == queue[0][0]
            elif queue:
                assert cycle < queue[0][1] + 2
            value = rng.randrange(256)
            ctx.set(dut.i_valid, write)
            ctx.set(dut.i, value)
            ctx.set(dut.o_ready, ready)
            if ready and ctx.get(dut.o_valid):
                given.append(queue.popleft())
            if write:
                queue.append((value, cycle))
            await ctx.tick()

    simulate(dut, bench)
    assert len(given) > 100


@pytest.mark.parametrize("shapes", [(signed(5), signed(3)), (signed(4), unsigned(5)), (unsigned(4), unsigned(2)),
                                    (unsigned(3), signed(1))], ids=str)
def test_multiplier(shapes):
    """Every pair of operands, one a cycle."""
    dut = Multiplier(*shapes)
    a, b = (range(-(1 << s.width - 1) if s.signed else 0, 1 << s.width - s.signed) for s in shapes)
    pairs = [(x, y) for x in a for y in b]
    seen = clocked(dut, [dut.i_a, dut.i_b], [dut.o], pairs, extra=MULTIPLY)
    assert [value for value, in seen[MULTIPLY:]] == [x * y for x, y in pairs]


def test_saturate():
    """Every value of narrow and wide sources, against the definition."""
    for source, target in itertools.product((signed(6), unsigned(6), signed(3), unsigned(3)),
                                            (signed(4), unsigned(4), signed(6), unsigned(5), signed(1), unsigned(1))):
        dut = Module()
        i, o = Signal(source), Signal(target)
        dut.d.comb += o.eq(saturate(i, target))
        (low, high), values = ((-(1 << s.width - 1), (1 << s.width - 1) - 1) if s.signed else (0, (1 << s.width) - 1)
                               for s in (target, source))

        async def bench(ctx, i=i, o=o, low=low, high=high, values=values):
            for value in range(values[0], values[1] + 1):
                ctx.set(i, value)
                await ctx.delay(1e-9)
                assert ctx.get(o) == min(max(value, low), high)

        simulator = Simulator(dut)
        simulator.add_testbench(bench)
        simulator.run()


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_counter(limit):
    """Counts and wraps with the step, clears, and knows the last count a cycle ahead."""
    dut, step, clear = Module(), Signal(), Signal()
    count, last = counter(dut, limit, step, clear, name="c")
    rng = random.Random(limit)

    async def bench(ctx):
        model = 0
        for _ in range(200):
            assert (ctx.get(count), ctx.get(last)) == (model, model == limit - 1)
            ctx.set(step, s := rng.random() < 0.7)
            ctx.set(clear, c := rng.random() < 0.1)
            await ctx.tick()
            model = 0 if c else (model + s) % limit

    simulate(dut, bench)
