# SPDX-License-Identifier: Apache-2.0
"""The predicted schedule of any frames against the block in Amaranth's simulator, to the cycle and the word."""

import random

import numpy as np
import pytest

from tests.unit.hdl.test_timing import trace
from tiled_se.hdl.config import Config, Gate, GateKind, Mid
from tiled_se.hdl.schedule import Prediction, in_flight, predict
from tiled_se.hdl.timing import Timing


def measure(config, heights, pauses=()):
    """A :class:`Prediction` of what really happens with both sides always ready, but for pauses; the beats inside."""
    taken, given, peak = trace(config, heights, pauses)
    span = int(given[-1] - given[0])
    inside = np.cumsum(np.bincount(taken, minlength=given[-1] + 1) - np.bincount(given))[taken[0]:]
    return Prediction(int(given[-1] - taken[0]) + 1, int(given[0] - taken[0]),
                      (len(given) - 1) / span if span else 1.0, peak), inside.tolist()


def predicted(config, heights, pauses=()):
    return predict(config, heights, pauses), in_flight(config, heights, pauses).tolist()


@pytest.mark.parametrize(("shape", "heights"), [
    # Ragged tiles that are longer than excite takes, at full rate; and shorter ones.
    (dict(k=3, width=24, channels=8, squeeze=2, lanes=2, macs=8), [5, 5, 5]),
    (dict(k=5, width=9, channels=8, squeeze=4, lanes=4, macs=2), [6, 11, 16]),
    # Frames of a row; a tile of a beat; tall after short.
    (dict(k=4, width=3, channels=4, squeeze=2, lanes=4, macs=3), [1] * 7),
    (dict(k=1, width=1, channels=3, squeeze=1, lanes=3, macs=1), [9, 1, 4]),
    (dict(k=3, width=7, channels=6, squeeze=3, lanes=1, macs=2), [1, 9, 1, 2, 3]),
    # A buffer of exactly k rows, and one that is three words short of full rate.
    (dict(k=2, width=20, channels=6, squeeze=3, lanes=2, macs=3, slack=0), [6, 3]),
    (dict(k=2, width=40, channels=6, squeeze=3, lanes=2, macs=3, slack=40), [8, 3]),
    # Memories of sums, gates, hidden values and records with two and three registers; gates deeper than the buffer.
    (dict(k=2, width=2, channels=37, squeeze=2, macs=5), [3, 4]),
    (dict(k=1, width=2, channels=520, squeeze=1, macs=70), [2]),
    (dict(k=1, width=2, channels=4, squeeze=515, lanes=2, macs=60), [3]),
    (dict(k=1, width=1, channels=33, squeeze=2, macs=9, slack=0), [4]),
])
def test_named(shape, heights):
    config = Config(**shape)
    assert measure(config, heights) == predicted(config, heights)


@pytest.mark.parametrize("seed", range(3))
def test_random(seed):
    """Small blocks of every kind, whose tiles are shorter and longer than excite takes."""
    rng = random.Random(seed)
    for _ in range(12):
        lanes = rng.choice([1, 1, 2, 3, 4])
        config = Config(
            k=rng.choice([1, 1, 2, 3, 5]), width=rng.choice([1, 2, 3, 5, 9, 20]), lanes=lanes,
            channels=lanes * rng.choice([1, 1, 2, 3, 4, 5, 6, 9]), squeeze=rng.choice([1, 2, 3, 7, 20]),
            macs=rng.choice([1, 2, 3, 5, 9, 30]), mid=rng.choice([Mid.RELU, Mid.RELU, Mid.SILU]),
            gate=rng.choice([Gate(), Gate(GateKind.HARDSIGMOID)]), slack=rng.choice([None, None, None, 0, 1, 7]))
        heights = [rng.choice([1, 2, 3, 5, 7, 8]) for _ in range(rng.choice([1, 3, 8]))]
        # Frames beyond these would repeat what the first ones do, and take most of the time.
        while len(heights) > 2 and predict(config, heights).total_cycles > 1200:
            heights.pop()
        pauses = [0, *(rng.choice([0, 0, 1, 5, 20, 60]) for _ in heights[1:])]
        assert measure(config, heights, pauses) == predicted(config, heights, pauses), (config, heights, pauses)


@pytest.mark.parametrize("pauses", [[0, 0, 0], [1, 2]])
def test_pauses_are_before_frames(pauses):
    """As many as frames, and none before the first one, with which time begins."""
    with pytest.raises(ValueError, match=r"^pauses: .*; must be one for each of 2 frames, the first of them 0$"):
        predict(Config(k=1, width=1, channels=1, squeeze=1), [1, 2], pauses)


def test_period():
    """The stated pace of many full tiles, for slacks of nothing, of a few words, and of several tiles."""
    rng = random.Random(8)
    for _ in range(300):
        lanes = rng.choice([1, 2, 3, 8])
        config = Config(
            k=rng.choice([1, 2, 3]), width=rng.choice([1, 2, 5, 7, 20]), lanes=lanes,
            channels=lanes * rng.choice([1, 2, 5, 12, 30]), squeeze=rng.choice([1, 3, 20]),
            macs=rng.choice([1, 3, 9, 30, 100]), slack=rng.choice([None, 0, 1, 7, 10, 50, 100, 300]))
        many, more = (predict(config, [config.k * tiles]).total_cycles for tiles in (60, 180))
        # A tile in n waits longer than the others.
        assert (more - many) / 120 == pytest.approx(Timing(config).period(config.tile_words), abs=0.1), config


def test_agrees_with_the_closed_form():
    """Many full tiles: the first output's latency, the peak and the pace are those that `Timing` states."""
    for slack in (None, 0):
        config = Config(k=7, width=56, channels=64, squeeze=16, lanes=8, macs=16, slack=slack)
        timing, tile = Timing(config), config.tile_words
        found, longer = predict(config, [70]), predict(config, [77])
        assert found.first_output_latency == tile - 1 + timing.output_latency
        assert longer.total_cycles - found.total_cycles == timing.period(tile)
        assert found.peak_words == (tile if slack == 0 else tile + timing.tile_latency - 1)
