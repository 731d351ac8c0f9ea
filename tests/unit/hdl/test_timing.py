# SPDX-License-Identifier: Apache-2.0
"""Every cycle count that ``Timing`` states, against the block in Amaranth's simulator."""

import dataclasses
import pathlib

import numpy as np
import pytest

from tests.helpers.pysim import simulate
from tiled_se.hdl.config import Config, ConfigError, Gate, GateKind, Mid
from tiled_se.hdl.parameters import Layer, Parameters
from tiled_se.hdl.sizing import choose_macs, memory_bits
from tiled_se.hdl.tiled_se import TiledSE
from tiled_se.hdl.timing import Timing

HARD = Gate(GateKind.HARDSIGMOID)


def dummy_parameters(config):
    """Parameters whose values don't matter: cycle counts must not depend on them."""
    def layer(outputs, inputs):
        ones = np.ones(outputs, np.int64)
        return Layer(np.ones((outputs, inputs), np.int64), ones, 0 * ones, ones)

    return Parameters(layer(config.squeeze, config.channels), layer(config.channels, config.squeeze), 0)


def trace(config, heights, pauses=()):
    """Cycles in which beats of frames of `heights` rows are taken and given, both sides always ready; and the peak.

    But for `pauses`: before each frame the source offers nothing for so many cycles.
    """
    dut = TiledSE(config, dummy_parameters(config))
    row = config.width * config.groups
    total, ends = sum(heights) * row, set((np.cumsum(heights) * row - 1).tolist())
    taken, given, peak = [], [], []
    before = dict(zip(np.cumsum([0, *heights]).tolist(), pauses, strict=False))

    async def bench(ctx):
        ctx.set(dut.m_axis_tready, 1)
        left = before.pop(0, 0)
        for cycle in range(60 * (total + 2000)):
            if len(given) == total:
                break
            offers = len(taken) < total and left == 0
            ctx.set(dut.s_axis_tvalid, offers)
            ctx.set(dut.s_axis_tlast, len(taken) in ends)
            left = max(0, left - 1)
            if offers and ctx.get(dut.s_axis_tready):
                taken.append(cycle)
                left = before.pop(len(taken) / row, 0)
            if ctx.get(dut.m_axis_tvalid):
                given.append(cycle)
            await ctx.tick()
        peak.append(ctx.get(dut.status_peak_words))

    simulate(dut, bench)
    return np.array(taken), np.array(given), peak[0]


def full_tiles(config, count):
    """`trace` of one frame of `count` full tiles."""
    return trace(config, [count * config.k])


SHAPES = {
    "one pass each": dict(k=3, width=8, channels=8, squeeze=3, lanes=2, macs=8),
    "many passes": dict(k=4, width=11, channels=9, squeeze=7, lanes=3, macs=2),
    "drain longer than layer 2's input": dict(k=4, width=12, channels=16, squeeze=2, lanes=2, macs=5),
    "drain longer than layer 1's input": dict(k=8, width=20, channels=3, squeeze=14, lanes=1, macs=4),
    "more units than outputs": dict(k=3, width=16, channels=4, squeeze=2, lanes=1, macs=9),
    "hidden vector over several passes": dict(k=5, width=30, channels=4, squeeze=40, lanes=1, macs=3),
    "silu": dict(k=3, width=16, channels=8, squeeze=2, lanes=4, macs=4, mid=Mid.SILU, hidden_frac=12),
    "hard sigmoid": dict(k=3, width=16, channels=8, squeeze=2, lanes=4, macs=4, gate=HARD),
    "one lane": dict(k=3, width=9, channels=6, squeeze=2, lanes=1, macs=3),
    "one group": dict(k=6, width=14, channels=6, squeeze=2, lanes=6, macs=6),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_full_rate(shape):
    """A beat every cycle over four tiles, the latencies to the cycle, and a slack of which nothing is left over."""
    config = Config(**shape)
    timing = Timing(config)
    assert timing.full_rate
    taken, given, peak = full_tiles(config, 4)
    assert np.diff(taken).tolist() == [1] * (4 * config.tile_words - 1)
    assert given[0] - taken[config.tile_words - 1] == timing.output_latency
    assert given.tolist() == list(range(given[0], given[0] + len(given)))
    assert peak == config.tile_words + timing.tile_latency - 1


@pytest.mark.parametrize("missing", [1, 2, 5])
@pytest.mark.parametrize("name", ["many passes", "one lane", "one group"])
def test_slack_is_exact(name, missing):
    """Words fewer than full rate's slack cost as many cycles a tile."""
    config = Config(**SHAPES[name])
    config = dataclasses.replace(config, slack=Timing(config).tile_latency - missing)
    assert not Timing(config).full_rate
    taken, given, peak = full_tiles(config, 5)
    assert peak == Timing(config).buffer_words
    first = taken[::config.tile_words]
    assert np.diff(first).tolist()[1:] == [config.tile_words + missing] * 3


def test_no_slack():
    """A buffer of exactly k rows: the next tile enters as the last one leaves."""
    config = Config(**SHAPES["many passes"], slack=0)
    assert Timing(config).buffer_words == config.tile_words
    taken, given, peak = full_tiles(config, 4)
    assert peak == config.tile_words
    assert np.diff(given[::config.tile_words]).tolist() == [config.tile_words + Timing(config).tile_latency] * 3


@pytest.mark.parametrize("shape", [
    dict(k=1, width=2, channels=8, squeeze=3, lanes=2, macs=1),
    dict(k=1, width=1, channels=6, squeeze=4, lanes=6, macs=4),
    dict(k=2, width=3, channels=6, squeeze=6, lanes=2, macs=3),
    # Limited by the scale FIFO's places, not by the MAC units.
    dict(k=1, width=4, channels=5, squeeze=5, lanes=1, macs=5),
    dict(k=1, width=8, channels=2, squeeze=2, lanes=1, macs=3),
    dict(k=1, width=12, channels=48, squeeze=12, lanes=8, macs=48),
])
def test_short_tiles_come_at_the_stated_period(shape):
    """Tiles for which gates take too long come out at the stated pace, to the cycle over pairs of them."""
    config = Config(**shape)
    timing = Timing(config)
    assert not timing.full_rate
    _, given, _ = full_tiles(config, 14)
    starts = given[::config.tile_words]
    assert (starts[2:] - starts[:-2]).tolist()[4:] == [2 * timing.period(config.tile_words)] * 8


def test_rate_is_right_at_its_boundary():
    """Random small blocks whose tiles are about as long as excite takes: full rate exactly where it is stated."""
    rng = np.random.default_rng(5)
    tried = {True: 0, False: 0}
    while min(tried.values()) < 6:
        channels, squeeze, macs, width = map(int, rng.integers([1, 1, 1, 4], [9, 9, 9, 40]))
        config = Config(k=1, width=width, channels=channels, squeeze=squeeze, macs=macs)
        timing = Timing(config)
        # Few reach full rate: of the others no more are simulated.
        if not 0.8 < timing.excite_cycles / config.tile_words < 1.25 or tried[timing.full_rate] == 6:
            continue
        _, given, _ = full_tiles(config, 14)
        starts = given[::config.tile_words]
        assert starts[-1] - starts[-3] == 2 * timing.period(config.tile_words), config
        assert (np.diff(given) == 1).all() == timing.full_rate, config
        tried[timing.full_rate] += 1


def test_cycle_table_of_the_design_document():
    """docs/design.md lists the cycles of two tiles back to back: those of `Timing`, which the tests above hold."""
    config = Config(k=7, width=56, channels=64, squeeze=16, lanes=8, macs=16)
    timing, tile = Timing(config), config.tile_words
    issue = tile + timing.sums_latency
    layer2 = issue + timing.layer_cycles[0] + timing.gap - 1
    read = tile - 1 + timing.tile_latency
    last_gate = layer2 + timing.layer_cycles[1] - 1 + timing.gates_latency
    # Four passes of 16 gates each.
    first_gate = last_gate - 3 * timing.pass_cycles[1] - 15
    spans = {
        "s_axis": (0, tile - 1), "accumulate": (tile, tile + config.groups - 1),
        "layer 1: inputs": (issue, issue + timing.layer_cycles[0] - 1),
        "gap:": (issue + timing.layer_cycles[0], layer2 - 1),
        "layer 2: inputs": (layer2, layer2 + timing.layer_cycles[1] - 1),
        "scale FIFO": (first_gate, last_gate), "tile buffer ": (read, read + tile - 1),
        "m_axis": (read + timing.output_latency - timing.tile_latency,
                   read + timing.output_latency - timing.tile_latency + tile - 1)}
    text = (pathlib.Path(__file__).parents[3] / "docs" / "design.md").read_text()
    table = text[text.index("    cycle          what happens"):text.index("and what happens around the boundary")]
    for name, (first, last) in spans.items():
        row, = (line for line in table.splitlines() if name in line)
        assert row.split()[-2:] == [f"{first}-{last}", f"{first + tile}-{last + tile}"], row
    assert last_gate + 1 - timing.lead == read
    assert f"145 is `cycles_between_tiles_at_least`, {timing.tile_latency} + 9 is" in text
    assert (timing.excite_cycles, timing.output_latency - timing.tile_latency) == (145, 9)


def test_choose_macs():
    """The fewest units: one fewer would miss the rate or the overhead."""
    config = Config(k=7, width=56, channels=64, squeeze=16, lanes=1)
    chosen = dataclasses.replace(config, macs=choose_macs(config, 0.05))
    fewer = dataclasses.replace(chosen, macs=chosen.macs - 1)
    assert Timing(chosen).full_rate
    assert memory_bits(chosen) <= 1.05 * config.bound_bits < memory_bits(fewer)
    exact = dataclasses.replace(config, slack=0)
    chosen = dataclasses.replace(exact, macs=choose_macs(exact, 0.05))
    assert Timing(chosen).excite_cycles <= config.tile_words
    with pytest.raises(ConfigError, match="sram_overhead=-1: must be at least 0"):
        choose_macs(config, -1)


def test_choose_macs_when_the_rate_is_out_of_reach():
    config = Config(k=1, width=1, channels=24, squeeze=6, lanes=8)
    chosen = Timing(dataclasses.replace(config, macs=choose_macs(config, 0.05)))
    least = min(Timing(dataclasses.replace(config, macs=m)).excite_cycles for m in range(1, 40))
    assert chosen.excite_cycles <= 1.01 * least
