# SPDX-License-Identifier: Apache-2.0
"""What `Timing` states of full tiles, against the schedule, which test_schedule.py holds to the simulated block."""

import dataclasses
import pathlib
import random

import pytest

from tiled_se.hdl.config import Config, ConfigError, Context, Mid
from tiled_se.hdl.schedule import predict
from tiled_se.hdl.sizing import choose_macs, memory_bits
from tiled_se.hdl.timing import TILES_UNDER_WAY, Timing


def random_config(rng, near):
    """A block of any kind, or (`near`) a small one that is just fast enough for full rate or just too slow."""
    if near:
        config = Config(k=1, width=1, channels=rng.randint(1, 8), squeeze=rng.randint(1, 8), macs=rng.randint(1, 8))
        timing = Timing(config)
        least = max(timing.excite_cycles, timing.gates_cycles + 1) / config.channels
        return dataclasses.replace(config, width=max(1, int(least) + rng.choice([-1, 0, 1, 2])))
    lanes = rng.choice([1, 2, 3, 8])
    return Config(k=rng.choice([1, 2, 3]), width=rng.choice([1, 2, 5, 7, 20]), lanes=lanes,
                  channels=lanes * rng.choice([1, 2, 5, 12, 30]), squeeze=rng.choice([1, 3, 20]),
                  macs=rng.choice([1, 3, 9, 30, 100]), slack=rng.choice([None, 0, 1, 7, 10, 50, 100, 300]))


def test_full_tiles():
    """First output, peak and pace; full rate exactly where it is stated, at its boundary, too."""
    rng = random.Random(8)
    near = []
    for number in range(400):
        config = random_config(rng, number % 2)
        timing, tile = Timing(config), config.tile_words
        many, more = (predict(config, [config.k * tiles]) for tiles in (60, 180))
        assert many.first_output_latency == tile - 1 + timing.output_latency, config
        # A tile in n waits longer than the others.
        assert (more.total_cycles - many.total_cycles) / 120 == pytest.approx(timing.period(tile), abs=0.1), config
        assert (more.steady_throughput == 1) == timing.full_rate, config
        # With the default slack, a word is left over for the beat that is taken while one is read.
        if timing.keeps_pace and timing.buffer_slack <= timing.tile_latency:
            assert many.peak_words == timing.buffer_words - timing.full_rate, config
        near += [timing.full_rate] * (number % 2)
    assert 50 < sum(near) < 150


@pytest.mark.parametrize("context", [Context.CUMULATIVE, Context.CAUSAL, Context.WINDOW])
def test_contexts(context):
    """First output and pace; no full rate is stated that is not there, and with the default slack none is missed.

    Near its boundary, where a division makes more tiles be under way at once than strips ever have.
    """
    rng, full = random.Random(5), 0
    for _ in range(150):
        lanes = rng.choice([1, 2, 3, 8])
        config = Config(
            context=context, k=rng.choice([1, 1, 2, 3]), width=1, lanes=lanes,
            channels=lanes * rng.choice([1, 2, 5, 12]),
            squeeze=rng.choice([1, 3, 8]), macs=rng.choice([1, 3, 9, 30]), prior_rows=rng.choice([1, 2]),
            window=(rng.choice([0, 1, 2]), rng.choice([1, 2, 3])) if context is Context.WINDOW else None)
        timing, beats = Timing(config), config.tile_words
        least = max(timing.excite_cycles, timing.gates_cycles + 1, timing.start_latency + timing.layer_cycles[0] + 1)
        config = dataclasses.replace(config, width=max(1, least // beats + rng.choice([-2, -1, 0, 0, 1, 2, 20])))
        if short := rng.choice([0, 0, 1, 5]):
            config = dataclasses.replace(config, slack=max(0, Timing(config).full_slack - short))
        timing, tile = Timing(config), config.tile_words
        rows = tile // (config.width * config.groups)
        # In WINDOW a frame is the tile.
        many, more = (predict(config, [rows] * count if context is Context.WINDOW else [rows * count])
                      for count in (40, 120))
        assert many.first_output_latency == timing.first_output_latency, config
        if config.slack is None or timing.full_rate:
            assert (more.steady_throughput == 1) == timing.full_rate, config
        if config.slack is None:
            pace = (more.total_cycles - many.total_cycles) / 80
            # After a pause of the input, the next tile's first pixel may be out of step with the copy, and wait for it.
            late = config.groups / TILES_UNDER_WAY if context.running and not timing.full_rate else 0
            assert timing.period(tile) - 0.2 <= pace <= timing.period(tile) + 0.2 + late, config
        full += timing.full_rate
    assert 20 < full < 130


@pytest.mark.parametrize(("width", "channels"), [(3, 10), (2, 20)])
def test_a_causal_frame_begins_a_cycle_late(width, channels):
    """The sums of a frame's prior are handed over after a beat, so its first tile needs a cycle more than the others.
    """
    config = Config(k=1, width=width, channels=channels, squeeze=1, macs=channels, context=Context.CAUSAL, prior_rows=1)
    timing, words = Timing(config), config.tile_words
    assert words == timing.start_latency + timing.layer_cycles[0] + 1 == timing.period(words)
    for block, full in ((config, False), (dataclasses.replace(config, width=width + 1), True)):
        assert Timing(block).full_rate == full
        assert all((predict(block, [rows] * 9).steady_throughput == 1) == full for rows in (3, 40))


@pytest.mark.parametrize("sizes", [
    {"width": 16, "tile_width": 12, "channels": 18, "lanes": 2, "squeeze": 1, "macs": 2},
    {"width": 14, "tile_width": 12, "channels": 17, "lanes": 1, "squeeze": 4, "macs": 17}])
def test_a_narrow_tile_holds_up_every_other_row(sizes):
    """The pace of a row is that of its beats, but the rightmost tile of one is late for that of the next."""
    config = Config(k=1, operand_bits=24, mid=Mid.SILU, **sizes)
    assert Timing(config).period(config.tile_words) == config.tile_words
    assert predict(config, [200]).steady_throughput < 1
    assert not Timing(config).full_rate


def test_patches():
    """First output; full rate where it is stated, at its boundary, too: the last words of slack, the least width."""
    rng = random.Random(9)
    full = 0
    for _ in range(150):
        lanes = rng.choice([1, 2, 3, 8])
        config = Config(k=rng.choice([1, 2, 3, 7]), width=2, lanes=lanes, channels=lanes * rng.choice([1, 2, 5, 12]),
                        squeeze=rng.choice([1, 3, 8]), macs=rng.choice([1, 3, 9, 30]), mid=rng.choice([*Mid]))
        timing = Timing(config)
        columns = max(1, -(-timing.excite_cycles // config.groups) + rng.choice([-2, -1, 0, 0, 1, 20]))
        last = max(1, min(columns, rng.choice([columns, columns, columns - 1, columns // 2, 1])))
        config = dataclasses.replace(config, width=columns * rng.choice([1, 1, 2, 5]) + last, tile_width=columns)
        if rng.random() < 0.3:
            latency = Timing(config).tile_latency
            config = dataclasses.replace(config, slack=max(0, latency + rng.choice([-latency, -9, -1, 0, 1])))
        timing = Timing(config)
        many, more = (predict(config, [config.k * bands]) for bands in (10, 30))
        assert (more.steady_throughput == 1) == timing.full_rate, config
        assert many.first_output_latency == timing.first_output_latency, config
        if timing.full_rate:
            first = config.waiting(config.width) * config.groups - 1 + timing.output_latency
            assert many.first_output_latency == first, config
            assert timing.period(config.tile_words) == config.tile_words, config
        full += timing.full_rate
    assert 40 < full < 110


@pytest.mark.parametrize(("slack", "period"), [(None, 192), (56, 192), (55, 193), (30, 244), (0, 304)])
def test_period_of_bands(slack, period):
    """Patches wait in a band's first row for as many cycles as the slack is too short: each, or one for two in it."""
    config = Config(k=2, width=24, tile_width=12, channels=8, squeeze=2, lanes=2, macs=8, slack=slack)
    two, three = (predict(config, [bands * config.k]) for bands in (12, 13))
    assert three.total_cycles - two.total_cycles == period == Timing(config).period(config.tile_words)


@pytest.mark.parametrize(("width", "period"), [(12, 50), (13, 52)])
def test_places_of_gates_in_short_rows(width, period):
    """A place for gates is free again a row before its next gates are read: they take 25 cycles, the first row 24."""
    config = Config(k=2, width=width, tile_width=11, channels=2, squeeze=1, macs=30)
    timing = Timing(config)
    two, three = (predict(config, [bands * config.k]) for bands in (12, 13))
    assert three.total_cycles - two.total_cycles == period == timing.period(config.tile_words)
    assert timing.full_rate == (three.steady_throughput == 1) == (period == config.tile_words)


@pytest.mark.parametrize("missing", [0, 1, 2, 5, None])
def test_slack_is_exact(missing):
    """Words fewer than full rate's slack cost as many cycles a tile; without any, tiles take turns in the buffer."""
    config = Config(k=4, width=11, channels=9, squeeze=7, lanes=3, macs=2)
    latency = Timing(config).tile_latency
    missing = latency if missing is None else missing
    config = dataclasses.replace(config, slack=latency - missing)
    five, six = (predict(config, [tiles * config.k]) for tiles in (5, 6))
    assert six.total_cycles - five.total_cycles == config.tile_words + missing
    assert five.peak_words == Timing(config).buffer_words - (missing == 0)


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
    table = text[text.index("    cycle          what happens"):].split("\n\n")[0]
    for name, (first, last) in spans.items():
        row, = (line for line in table.splitlines() if name in line)
        assert row.split()[-2:] == [f"{first}-{last}", f"{first + tile}-{last + tile}"], row
    assert last_gate + 1 - timing.lead == read
    first, rest = timing.tile_latency, timing.output_latency - timing.tile_latency
    for sentence in (f"`cycles_between_tiles_at_least` is {timing.excite_cycles},",
                     f"is {timing.output_latency} ({first} cycles until the first read, and {rest} from"):
        assert sentence in " ".join(text.split())


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
