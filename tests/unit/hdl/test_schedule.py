# SPDX-License-Identifier: Apache-2.0
"""The block in Amaranth's simulator: its outputs are the golden model's, its cycles and words those predicted."""

import random

import numpy as np
import pytest

from tests.helpers.blocks import expected, random_frame, random_parameters
from tests.helpers.nightly import seldom
from tests.helpers.pysim import simulate
from tiled_se.hdl.config import Config, Context, Gate, GateKind, Mid
from tiled_se.hdl.schedule import Prediction, in_flight, predict
from tiled_se.hdl.tiled_se import TiledSE

HARD = Gate(GateKind.HARDSIGMOID)


def beats_of(config, frame):
    """Words of `s_axis_tdata` or `m_axis_tdata` for a frame (H, W, C), in their order."""
    return [int.from_bytes(beat.tobytes(), "little") for beat in frame.astype(np.int8).reshape(-1, config.lanes)]


def trace(config, heights, pauses=()):
    """Cycles in which beats of frames of `heights` rows are taken and given, both sides always ready; and the peak.

    But for `pauses`: before each frame the source offers nothing for so many cycles. What is given is checked.
    """
    rng = np.random.default_rng(1)
    parameters = random_parameters(config, rng)
    frames = [random_frame(config, height, rng) for height in heights]
    # The largest sum there is.
    frames[0][:config.k] = -128
    outputs = [beat for frame in frames for beat in beats_of(config, expected(config, parameters, frame))]
    frames = [beats_of(config, frame) for frame in frames]
    inputs = [beat for frame in frames for beat in frame]
    ends = set((np.cumsum([len(frame) for frame in frames]) - 1).tolist())
    dut, total = TiledSE(config, parameters), len(inputs)
    taken, given, peak = [], [], []
    before = dict(zip([0, *(end + 1 for end in sorted(ends))], pauses, strict=False))

    async def bench(ctx):
        ctx.set(dut.m_axis_tready, 1)
        left = before.pop(0, 0)
        for cycle in range(60 * (total + 2000)):
            if len(given) == total:
                break
            offers = len(taken) < total and left == 0
            ctx.set(dut.s_axis_tvalid, offers)
            ctx.set(dut.s_axis_tdata, inputs[len(taken)] if offers else 0x55)
            ctx.set(dut.s_axis_tlast, len(taken) in ends)
            left = max(0, left - 1)
            if offers and ctx.get(dut.s_axis_tready):
                taken.append(cycle)
                left = before.pop(len(taken), 0)
            if ctx.get(dut.m_axis_tvalid):
                assert ctx.get(dut.m_axis_tdata) == outputs[len(given)], len(given)
                assert ctx.get(dut.m_axis_tlast) == (len(given) in ends), len(given)
                given.append(cycle)
            await ctx.tick()
        peak.append(ctx.get(dut.status_peak_words))

    simulate(dut, bench)
    return np.array(taken), np.array(given), peak[0]


def measure(config, heights, pauses=()):
    """A :class:`Prediction` of what really happens with both sides always ready, but for pauses; the beats inside."""
    taken, given, peak = trace(config, heights, pauses)
    span = int(given[-1] - given[0])
    inside = np.cumsum(np.bincount(taken, minlength=given[-1] + 1) - np.bincount(given))[taken[0]:]
    return Prediction(int(given[-1] - taken[0]) + 1, int(given[0] - taken[0]),
                      (len(given) - 1) / span if span else 1.0, peak), inside.tolist()


def predicted(config, heights, pauses=()):
    return predict(config, heights, pauses), in_flight(config, heights, pauses).tolist()


NAMED = {
    "one pass each": (dict(k=3, width=8, channels=8, squeeze=3, lanes=2, macs=8), [12]),
    "many passes": (dict(k=4, width=11, channels=9, squeeze=7, lanes=3, macs=2), [16]),
    "drain longer than layer 2's input": (dict(k=4, width=12, channels=16, squeeze=2, lanes=2, macs=5), [12]),
    "drain longer than layer 1's input": (dict(k=8, width=20, channels=3, squeeze=14, macs=4), [24]),
    "more units than outputs": (dict(k=3, width=16, channels=4, squeeze=2, macs=9), [9]),
    "hidden vector over several passes": (dict(k=5, width=30, channels=4, squeeze=40, macs=3), [15]),
    "silu": (dict(k=3, width=16, channels=8, squeeze=2, lanes=4, macs=4, mid=Mid.SILU, hidden_frac=12), [12]),
    "hard sigmoid": (dict(k=3, width=16, channels=8, squeeze=2, lanes=4, macs=4, gate=HARD, residual=True), [12]),
    "one group": (dict(k=6, width=14, channels=6, squeeze=2, lanes=6, macs=6), [24]),
    "full rate": (dict(k=3, width=24, channels=8, squeeze=2, lanes=2, macs=8), [5, 5, 5]),
    "tiles shorter than excite takes": (dict(k=5, width=9, channels=8, squeeze=4, lanes=4, macs=2), [6, 11, 16]),
    "limited by the scale FIFO's places": (dict(k=1, width=4, channels=5, squeeze=5, macs=5), [14]),
    "frames of a row": (dict(k=4, width=3, channels=4, squeeze=2, lanes=4, macs=3), [1] * 7),
    "a tile of a beat": (dict(k=1, width=1, channels=3, squeeze=1, lanes=3, macs=1), [9, 1, 4]),
    "tall after short": (dict(k=3, width=7, channels=6, squeeze=3, lanes=1, macs=2), [1, 9, 1, 2, 3]),
    "a buffer of k rows": (dict(k=2, width=20, channels=6, squeeze=3, lanes=2, macs=3, slack=0), [6, 3]),
    "three words short": (dict(k=2, width=40, channels=6, squeeze=3, lanes=2, macs=3, slack=40), [8, 3]),
    "two registers after the sums": (dict(k=2, width=2, channels=37, squeeze=2, macs=5), [3, 4]),
    "three registers after the sums": (dict(k=1, width=2, channels=520, squeeze=1, macs=9), [2]),
    "three registers after hidden values": (dict(k=1, width=2, channels=4, squeeze=515, lanes=2, macs=9), [3]),
    "gates deeper than the buffer": (dict(k=1, width=1, channels=33, squeeze=2, macs=9, slack=0), [4]),
    "the prior's memory is slower than the sums'": (dict(context=Context.CAUSAL, prior_rows=1, k=1, width=2, lanes=20,
                                                         channels=520, squeeze=1, macs=9), [3]),
    "a causal tile of a beat": (dict(context=Context.CAUSAL, prior_rows=2, k=1, width=1, channels=3, squeeze=1, lanes=3,
                                     macs=1), [9, 1, 4]),
    "a causal buffer of pipeline registers": (dict(context=Context.CAUSAL, prior_rows=1, k=1, width=30, channels=10,
                                                   squeeze=2, lanes=2, macs=4, slack=0), [4, 2]),
    "patches at full rate": (dict(k=2, width=20, tile_width=10, channels=8, squeeze=2, lanes=2, macs=8), [4, 4]),
    "patches of which excite is not as fast": (dict(k=3, width=8, tile_width=2, channels=8, squeeze=3, lanes=2, macs=3),
                                               [6, 3]),
    "bands of patches that end early": (dict(k=4, width=9, tile_width=3, channels=6, squeeze=2, lanes=2, macs=6),
                                        [6, 1, 4, 3]),
    "a narrow patch whose sums wait for others": (dict(k=2, width=13, tile_width=6, channels=8, squeeze=2, lanes=2,
                                                       macs=8, slack=90), [6]),
    "patches of a column, sums in registers": (dict(k=3, width=5, tile_width=1, channels=4, squeeze=2, lanes=2, macs=4,
                                                    slack=0), [3, 4]),
    "sums that are not written in time": (dict(k=2, width=4, tile_width=3, channels=2, squeeze=2, lanes=2, macs=2),
                                          [4]),
    "sums of a band two registers later": (dict(k=2, width=7, tile_width=1, channels=12, squeeze=1, lanes=2, macs=9),
                                           [3, 2]),
    "patches of one row": (dict(k=1, width=11, tile_width=4, channels=6, squeeze=2, lanes=2, macs=6), [3, 1]),
    "cumulative at full rate": (dict(context=Context.CUMULATIVE, k=1, width=40, channels=8, squeeze=2, lanes=2, macs=8),
                                [5, 3]),
}


@pytest.mark.parametrize(("shape", "heights"), NAMED.values(), ids=NAMED)
def test_named(shape, heights):
    config = Config(**shape)
    assert measure(config, heights) == predicted(config, heights)


@pytest.mark.parametrize("seed", seldom(range(4), 0, 2))
def test_random(seed):
    """Small blocks of every kind, whose tiles are shorter and longer than excite takes."""
    rng = random.Random(seed)
    for _ in range(6):
        lanes = rng.choice([1, 1, 2, 3, 4])
        config = Config(
            k=rng.choice([1, 1, 2, 3, 5]), width=rng.choice([1, 2, 3, 5, 9, 20]), lanes=lanes,
            channels=lanes * rng.choice([1, 1, 2, 3, 4, 5, 6, 9]), squeeze=rng.choice([1, 2, 3, 7, 20]),
            macs=rng.choice([1, 2, 3, 5, 9, 30]), mid=rng.choice([Mid.RELU, Mid.RELU, Mid.SILU]),
            zero_point=rng.choice([-128, 0, 37, 127]), residual=rng.choice([False, True]),
            gate=rng.choice([Gate(), HARD]), slack=rng.choice([None, None, None, 0, 1, 7]))
        heights = [rng.choice([1, 2, 3, 5, 7, 8]) for _ in range(rng.choice([1, 3, 8]))]
        # Frames beyond these would repeat what the first ones do, and take most of the time.
        while len(heights) > 2 and predict(config, heights).total_cycles > 600:
            heights.pop()
        pauses = [0, *(rng.choice([0, 0, 1, 5, 20, 60]) for _ in heights[1:])]
        assert measure(config, heights, pauses) == predicted(config, heights, pauses), (config, heights, pauses)


CONTEXTS = {
    "cumulative": (Context.CUMULATIVE, (0, 0, 1, 3)),
    "causal": (Context.CAUSAL, (1, 1, 2, 5)),
    "window": (Context.WINDOW, (0,)),
}


@pytest.mark.parametrize("seed", seldom(range(2), 0))
@pytest.mark.parametrize(("context", "priors"), CONTEXTS.values(), ids=CONTEXTS)
def test_contexts(context, priors, seed):
    """Running sums, windows and priors; frames that end before a window, and rows beyond the most that count."""
    rng = random.Random(seed)
    for _ in range(8):
        lanes = rng.choice([1, 1, 2, 3, 4])
        config = Config(
            context=context, k=rng.choice([1, 1, 2, 3, 5]), width=rng.choice([1, 2, 3, 5, 9, 20]), lanes=lanes,
            channels=lanes * rng.choice([1, 1, 2, 3, 4, 5, 6, 9]), squeeze=rng.choice([1, 2, 3, 7, 20]),
            macs=rng.choice([1, 2, 3, 5, 9, 30]), zero_point=rng.choice([-128, 0, 37, 127]),
            prior_rows=rng.choice(priors), max_rows=rng.choice([2, 6, 4096]),
            window=(rng.choice([0, 0, 1, 2, 4]), rng.choice([1, 2, 3, 7])) if context is Context.WINDOW else None,
            slack=rng.choice([None, None, None, 0, 1, 7]))
        heights = [rng.choice([1, 2, 3, 5, 7, 8]) for _ in range(rng.choice([1, 3, 6]))]
        while len(heights) > 2 and predict(config, heights).total_cycles > 600:
            heights.pop()
        pauses = [0, *(rng.choice([0, 0, 1, 5, 20, 60]) for _ in heights[1:])]
        assert measure(config, heights, pauses) == predicted(config, heights, pauses), (config, heights, pauses)


@pytest.mark.parametrize("seed", seldom(range(3), 0, 1))
def test_patches(seed):
    """Patches of any width, the rightmost one narrower; bands that end early; excite of any speed."""
    rng = random.Random(seed)
    for _ in range(4):
        lanes, width, k = rng.choice([1, 2, 3, 4]), rng.choice([2, 3, 5, 7, 12]), rng.choice([1, 2, 2, 3, 4, 6])
        config = Config(
            k=k, width=width, tile_width=min(rng.choice([1, 2, 3, width - 1]), width - 1), lanes=lanes,
            channels=lanes * rng.choice([1, 1, 2, 3, 4, 5, 9]), squeeze=rng.choice([1, 2, 3, 7]),
            macs=rng.choice([1, 2, 3, 5, 9, 30]), zero_point=rng.choice([-128, 0, 37, 127]),
            gate=rng.choice([Gate(), HARD]), slack=rng.choice([None, None, 0, 1, 7, 40]))
        heights = [rng.choice([1, 2, 3, 5, 7, k, 2 * k]) for _ in range(rng.choice([1, 3, 8]))]
        while len(heights) > 2 and predict(config, heights).total_cycles > 600:
            heights.pop()
        pauses = [0, *(rng.choice([0, 0, 1, 5, 20, 60]) for _ in heights[1:])]
        assert measure(config, heights, pauses) == predicted(config, heights, pauses), (config, heights, pauses)


@pytest.mark.parametrize("pauses", [[0, 0, 0], [1, 2]])
def test_pauses_are_before_frames(pauses):
    """As many as frames, and none before the first one, with which time begins."""
    with pytest.raises(ValueError, match=r"^pauses: .*; must be one for each of 2 frames, the first of them 0$"):
        predict(Config(k=1, width=1, channels=1, squeeze=1), [1, 2], pauses)
