# SPDX-License-Identifier: Apache-2.0
"""Table 1 in RTL: which block stands for a row, and what is said of its bits."""

import types

import pytest

from tests.unit.evaluate.test_bench import cells
from tiled_se.evaluate.bench import plan, tables
from tiled_se.evaluate.networks import BlockShape, load_networks
from tiled_se.evaluate.paper import hardware
from tiled_se.evaluate.paper.hardware import PARTS, Table
from tiled_se.evaluate.paper.paper import load_paper, tile_rows
from tiled_se.evaluate.report.texts import hardware_text
from tiled_se.gen.block_spec import prepare
from tiled_se.hdl.config import Context, Order, Tiling


@pytest.fixture(scope="module")
def rows():
    return tile_rows({network.name: network for network in load_networks(staged=True)}, load_paper())


@pytest.mark.parametrize(("tile", "line", "tiling", "waiting"), [
    ("SE", 11, dict(k=20), 20 * 11), ("9xW", 11, dict(k=9), 9 * 11),
    ("Hx3", 20, dict(k=3, order=Order.COLUMNS), 3 * 20),
    ("Hx13", 20, dict(k=11, order=Order.COLUMNS), 11 * 20), ("25xW", 11, dict(k=20), 20 * 11),
    ("5x4", 11, dict(k=5, tile_width=4), 4 * 11 + 4), ("13x13", 11, dict(k=13), 13 * 11),
    ("1x1", 11, dict(k=1, tile_width=1), 1),
    ("7xW-upper", 11, dict(k=7, context=Context.WINDOW, window=(0, 7)), 7 * 11),
    ("7xW-middle", 11, dict(k=7, context=Context.WINDOW, window=(6, 7)), 13 * 11),
    ("30xW-middle", 11, dict(k=7, context=Context.WINDOW, window=(0, 20)), 20 * 11)])
def test_tiles(tile, line, tiling, waiting):
    """The hardware of a row has that row's tiles, on any map."""
    shape = BlockShape(20, 11, 16, 4)
    config = prepare(hardware.block_options(tile, shape, 8)).config
    assert config.tiling == Tiling(**tiling)
    assert (config.width, config.channels, config.squeeze, config.lanes) == (line, 16, 4, 8)
    assert config.waiting(config.width) == waiting


def test_every_row(rows):
    """19 kinds of tiles and SE, in every place of the network, with a lane and with eight."""
    table = Table(rows)
    assert len(table.tasks) == 20 * 2 * 7
    assert {task.options.lanes for task in table.tasks} == {1, 8}
    assert [task.options.lanes for task in Table(rows, 1).tasks] == [1] * 20 * 7
    # A map of seven rows is one tile in all rows with tiles of seven and more.
    assert len(set(table.tasks)) < len(table.tasks)
    assert all(task.options.macs == 3 for task in Table(rows, macs=3).tasks)


class TestSums:
    FIGURES = {"config": {"macs": 4}, "full_rate": True}

    def found(self, rows, tile, **bits):
        """The rows of that tile, from blocks of which each has such bits."""
        table = Table([row for row in rows if row.tile == tile], 1)
        sram = dict.fromkeys(("bound_bits", "tile_buffer_bits", "accumulator_bits", "scale_fifo_bits", "other_bits"), 0)
        sram |= {f"{name}_bits": value for name, value in bits.items()}
        sram["total_without_weights_bits"] = sum(sram.values()) - sram["bound_bits"]
        return table.rows({task: self.FIGURES | {"sram": sram} for task in table.tasks})

    def test_sums(self, rows):
        """Each block counts as often as the network has it."""
        (found,) = self.found(rows, "7xW", bound=240_000, tile_buffer=250_000, accumulator=1000, scale_fifo=200,
                              other=30)
        assert (found.blocks, found.multipliers, found.slow) == (14, 56, 0)
        assert found.memory_bits == 14 * 251_230
        assert (found.buffer_bits, found.real_bits) == (8 * 426_496, 8 * 426_496)
        assert found.parts == {"order": 14 * 240_000 - 8 * 426_496, "slack": 140_000, "sums": 14_000, "gates": 2800,
                               "other": 420}
        assert found.buffer_bits + sum(found.parts.values()) == found.memory_bits
        assert found.over_buffer == pytest.approx(14 * 251_230 / (8 * 426_496))

    @pytest.mark.parametrize(("bits", "reasons"), [
        (dict(bound=243_712, tile_buffer=268_000), []), (dict(bound=243_712, tile_buffer=268_500), ["slack"]),
        (dict(bound=243_712, tile_buffer=243_712, accumulator=30_000, scale_fifo=31_000), ["gates", "sums"]),
        (dict(bound=290_000, tile_buffer=300_000, accumulator=30_000), ["order", "sums"])])
    def test_reasons(self, rows, bits, reasons):
        """As few of the largest parts as make the rest small enough: a tenth of 243,712 bits a block."""
        (found,) = self.found(rows, "7xW", **bits)
        assert found.reasons == reasons
        assert found.as_json()["reasons"] == [PARTS[part] for part in reasons]
        rest = found.over_buffer - sum(found.share[part] for part in reasons)
        assert rest <= 1.1
        assert not reasons or rest + found.share[reasons[-1]] > 1.1

    def test_missing(self, rows):
        """A row of which a block has failed is left out."""
        table = Table(rows, 1)
        tasks = dict.fromkeys(table.tasks[7:], self.FIGURES | {"sram": dict.fromkeys(
            ("bound_bits", "tile_buffer_bits", "accumulator_bits", "scale_fifo_bits", "other_bits",
             "total_without_weights_bits"), 1)})
        assert len(table.rows(tasks)) == 19

    SIZES = dict(bound=10**5, tile_buffer=2 * 10**5, accumulator=10**6, scale_fifo=10**6 - 1, other=10**5 - 1)

    def test_page(self, rows):
        found = self.found(rows, "1x1", **self.SIZES)
        table = types.SimpleNamespace(rows=lambda results: found)
        row = cells(tables.table_1(plan.Plan(table=table), {}), "1x1")
        assert row[1:6] == ["1", "36,352", "36,352", "32,199,972", "885.783"]
        assert row[-3:] == ["56", "0", "sums, gates, slack, other, order"]

    def test_text(self, rows):
        text = hardware_text(self.found(rows, "1x1", **self.SIZES))
        assert 90 < max(map(len, text.splitlines())) <= 120
        line = next(line for line in text.splitlines() if line.startswith("1x1"))
        assert line.split()[:5] == ["1x1", "36.4", "36.4", "32,200.0", "885.783"]
        assert line.endswith("sums, gates, slack, other, order")
