# SPDX-License-Identifier: Apache-2.0
"""Blocks of patches in Amaranth's simulator: frames that end anywhere, stalls on both sides, resets."""

import itertools
import random

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from tests.helpers.blocks import random_parameters
from tests.helpers.nightly import seldom
from tests.helpers.pysim import simulate
from tiled_se.golden.integer import IntegerModel
from tiled_se.hdl.config import Config
from tiled_se.hdl.tiled_se import TiledSE

BLOCKS = {
    "narrower rightmost patch": dict(k=3, width=5, tile_width=2, channels=18, squeeze=2, lanes=2, macs=5),
    "patches of a column": dict(k=4, width=6, tile_width=1, channels=8, squeeze=3, lanes=4, macs=3, slack=1),
    "one group, all but a column": dict(k=2, width=4, tile_width=3, channels=3, squeeze=2, lanes=3, macs=2, slack=0),
    "sums in registers, slow excite": dict(k=3, width=7, tile_width=3, channels=6, squeeze=5, lanes=2, macs=1),
    "sums of a band two registers later": dict(k=2, width=9, tile_width=1, channels=12, squeeze=1, lanes=3, macs=12),
    "patches of one row": dict(k=1, width=7, tile_width=3, channels=10, squeeze=2, lanes=2, macs=4, slack=3),
    "band higher than the frames": dict(k=9, width=6, tile_width=4, channels=8, squeeze=2, lanes=8, macs=8, slack=0),
}
# None on either side, and on both.
STALLS = ((0, 0), (0.4, 0.4))


def lengths_of(config, rng, beats):
    """Beats of frames, in all at least `beats`: whole rows, rows and a part of one, a part of a row, single beats."""
    row, lengths = config.width * config.groups, []
    while sum(lengths) < beats:
        rows = rng.choice([0, 0, 1, config.k - 1, config.k, config.k + 1, 2 * config.k])
        rest = rng.choice([0, 0, 1, config.groups - 1, rng.randrange(row), config.columns * config.groups + 1])
        lengths.append(max(1, min(rows, 7) * row + min(rest, row - 1)))
    return lengths


def words(beats):
    return [int.from_bytes(beat.astype(np.int8).tobytes(), "little") for beat in beats]


def play(config, sections, seed, stalls):
    """Send the frames of each section, and check what leaves; a reset ends each section but the last at any beat."""
    generator, rng = np.random.default_rng(seed), random.Random(seed)
    parameters = random_parameters(config, generator)
    model, reset = IntegerModel(config, parameters), Signal()
    block = TiledSE(config, parameters)
    dut = ResetInserter(reset)(block)

    async def bench(ctx):
        for number, lengths in enumerate(sections):
            sent, wanted = [], []
            for length in lengths:
                x = generator.integers(-128, 128, (length, config.lanes))
                ends = [0] * (length - 1) + [1]
                sent += zip(words(x), ends, strict=True)
                wanted += zip(words(model.run_beats(x).y.numpy()), ends, strict=True)
            last = number == len(sections) - 1
            # A section that a reset ends is played up to any beat.
            await section(ctx, sent, wanted, len(wanted) if last else rng.randrange(len(wanted)))
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)

    async def section(ctx, sent, wanted, until):
        moved, given, offered, quiet = 0, 0, False, 0
        while given < until:
            offered = moved < len(sent) and (offered or rng.random() >= stalls[0])
            data, end = sent[moved] if offered else (rng.getrandbits(8 * config.lanes), rng.getrandbits(1))
            takes = rng.random() >= stalls[1]
            for signal, value in ((block.s_axis_tvalid, offered), (block.s_axis_tdata, data),
                                  (block.s_axis_tlast, end), (block.m_axis_tready, takes)):
                ctx.set(signal, value)
            quiet += 1
            if offered and ctx.get(block.s_axis_tready):
                moved, offered, quiet = moved + 1, False, 0
            if takes and ctx.get(block.m_axis_tvalid):
                assert (ctx.get(block.m_axis_tdata), ctx.get(block.m_axis_tlast)) == wanted[given], given
                given, quiet = given + 1, 0
            assert quiet < 2000, "nothing moves"
            await ctx.tick()

    simulate(dut, bench)


@pytest.mark.parametrize(("name", "stalls"), seldom(
    itertools.product(BLOCKS, STALLS), *zip(BLOCKS, itertools.cycle(STALLS), strict=False)), ids=str)
def test_frames_of_any_length(name, stalls):
    shape = BLOCKS[name]
    config = Config(**shape)
    rng = random.Random(str(shape))
    play(config, [lengths_of(config, rng, 400)], seed=len(str(shape)), stalls=stalls)


@pytest.mark.parametrize("seed", range(2))
def test_resets(seed):
    """A reset at any time leaves an empty block."""
    config = Config(**BLOCKS["narrower rightmost patch"])
    rng = random.Random(seed)
    play(config, [lengths_of(config, rng, 150) for _ in range(5)], seed, (0.1 * seed, 0.2 * seed))
