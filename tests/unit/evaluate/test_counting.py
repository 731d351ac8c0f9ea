# SPDX-License-Identifier: Apache-2.0
"""The paper's Buffer and MFLOPs columns: its way of counting gives the printed digits, and shows where it doesn't."""

import collections
import dataclasses
import json
import pathlib
from fractions import Fraction

import pytest

from tiled_se.evaluate.metric import WHOLE, Tile, added_macs, buffered, parse_tile, tiles
from tiled_se.evaluate.networks import BlockShape, load_networks
from tiled_se.evaluate.paper.paper import Figure, load_paper, model_rows, tile_rows
from tiled_se.evaluate.paper.rules import RULES, mflops
from tiled_se.evaluate.report.texts import paper_text

SHARED = pathlib.Path(__file__).parents[4] / "shared/data/networks.json"
# Model to Buffer of both forms, of the real network in millions.
REAL = {
    "RegNetY-200MF": (0.3646, 0.2062), "RegNetY-400MF": (0.7691, 0.3316), "RegNetY-600MF": (0.8844, 0.3795),
    "RegNetY-800MF": (1.0788, 0.4265), "RegNetY-1.6GF": (2.0721, 0.8256), "RegNetY-3.2GF": (2.8400, 1.0760),
    "EfficientNet-B0": (2.3065, 0.7495), "EfficientNet-B1": (4.1093, 1.2388), "EfficientNet-B2": (5.2704, 1.4989),
    "EfficientNet-B3": (8.9881, 2.2072), "EfficientDet-D0": (12.0504, 1.7132), "EfficientDet-D1": (28.7616, 3.2256),
    "EfficientDet-D2": (43.6009, 4.1852), "MobileNetV3-L": (132.9070, 7.2684), "MobileNetV3-S": (76.8082, 4.1431),
}
DIFFERENT = {"EfficientDet-D1": "SE differs", "MobileNetV3-S": "both differ"}


@pytest.fixture(scope="module")
def definitions():
    return {network.name: network for network in load_networks(staged=True)}


@pytest.fixture(scope="module")
def table_1(definitions):
    return {row.tile: row for row in tile_rows(definitions, load_paper())}


@pytest.fixture(scope="module")
def models(definitions):
    return {row.model: row for row in model_rows(definitions, load_paper())}


def _with(definitions, name, number, **changes):
    """`definitions` with another block `number` of network `name`."""
    blocks = list(definitions[name].blocks)
    blocks[number] = dataclasses.replace(blocks[number], **changes)
    return definitions | {name: dataclasses.replace(definitions[name], blocks=tuple(blocks))}


class TestMetric:
    def test_tiles(self):
        block = BlockShape(10, 6, 16, 4)
        assert [buffered(block, tile) for tile in (WHOLE, Tile(3), Tile(12), Tile(None, 4), Tile(3, 4))] == [
            960, 288, 960, 640, 192]
        assert [tiles(block, tile) for tile in (WHOLE, Tile(3), Tile(12), Tile(None, 4), Tile(3, 4))] == [1, 4, 1, 2, 8]
        assert [added_macs(block, tile) for tile in (WHOLE, Tile(3))] == [128, 512]

    @pytest.mark.parametrize(("text", "tile"), [
        ("SE", WHOLE), ("7xW", Tile(7)), ("Hx9", Tile(None, 9)), ("13x13", Tile(13, 13)), ("7xW-upper", WHOLE)])
    def test_parse(self, text, tile):
        assert parse_tile(text) == tile


class TestDefinitions:
    def test_equal_blocks_are_merged(self, definitions):
        for network in load_networks():
            staged = collections.Counter()
            for block in definitions[network.name].blocks:
                staged[block] += block.count
            assert {block: block.count for block in network.blocks} == staged
            assert len(network.blocks) == len(staged)

    def test_strides(self, definitions):
        """A block's map is its input's over the stride, rounded up; only its first one has a stride."""
        for network in definitions.values():
            for block in network.blocks:
                assert (block.height, block.width) == (-(-block.height_in // block.stride),
                                                       -(-block.width_in // block.stride))
                assert block.stride == 1 or block.count == 1

    def test_source(self, definitions):
        if not SHARED.exists():
            pytest.skip(f"{SHARED} is not there")
        wanted = json.loads(SHARED.read_text())
        assert list(definitions) == list(wanted)
        for name, network in definitions.items():
            found = [(b.stage, b.stride, b.height_in, b.width_in, b.height, b.width, b.channels, b.squeeze)
                     for b in network.blocks for _ in range(b.count)]
            assert (list(network.input), network.source) == (wanted[name]["input"], wanted[name]["source"])
            assert found == [(b.get("stage", b.get("layer")), b["stride"], b["H_in"], b["W_in"], b["H"], b["W"], b["C"],
                              b["CR"]) for b in wanted[name]["se_blocks"]]


class TestRules:
    def test_table_1(self, table_1):
        """The rule gives every figure of paper.json to the digits that the paper prints."""
        assert len(table_1) == 21
        for tile, row in table_1.items():
            for figure in filter(None, (row.buffer, row.mflops)):
                assert figure.printed in (None, figure.as_printed(figure.by_rule)), tile
            assert row.status.startswith("explained"), tile
        assert [(table_1[tile].buffer.printed, table_1[tile].mflops.printed) for tile in ("SE", "7xW", "1x1")] == [
            ("1.07", "797.18"), ("0.42", "797.88"), (None, "931.23")]
        assert float(table_1["1x1"].buffer.by_rule) == 4544

    def test_other_tables(self, models):
        assert list(models) == list(REAL)
        for model, row in models.items():
            figures = row.original, row.tiled
            assert tuple(round(figure.real / 1e6, 4) for figure in figures) == REAL[model], model
            found = all(figure.as_printed(figure.by_rule) == figure.printed for figure in figures)
            assert found == row.status.startswith("explained") == (model not in DIFFERENT), model
            assert row.status == DIFFERENT.get(model, row.status)

    def test_what_differs_has_both_values(self, models):
        d1, small = models["EfficientDet-D1"], models["MobileNetV3-S"]
        assert (d1.original.by_rule, d1.tiled.by_rule) == (33433600, 3664640)
        assert (d1.original.explained, d1.tiled.explained) == (False, True)
        assert (small.original.by_rule, small.tiled.by_rule) == (22347776, 863744)
        text = paper_text((), (d1, small), {})
        assert [line.split()[:8] for line in text.splitlines() if line.startswith(("EfficientDet", "MobileNet"))] == [
            ["EfficientDet-D1", "33.6", "33.4", "28.762", "3.6", "3.6", "3.226", "89.3%"],
            ["MobileNetV3-S", "24.51", "22.34", "76.808", "1.04", "0.86", "4.143", "95.8%"]]

    def test_real_networks(self, models, table_1):
        """Whole tiles, the real CR; and which networks are those that the paper counted."""
        for tile, macs in (("7xW", 797.64), ("1xW", 805.29), ("1x1", 911.66), ("vanilla", 796.36)):
            assert round(float(table_1[tile].mflops.real) / 1e6, 2) == macs
        assert [model for model, row in models.items() if row.status == "explained"] == [
            f"RegNetY-{size}" for size in ("400MF", "600MF", "800MF", "1.6GF", "3.2GF")]
        assert "real differs" in table_1["7xW"].status

    def test_quirk_of_9x9(self, definitions):
        """Only that tile is counted beyond the 7x7 maps."""
        network = definitions["RegNetY-800MF"]
        last = [block for block in network.blocks if block.height == 7]
        small = dataclasses.replace(network, blocks=tuple(last), macs_without_se=0)
        biases = sum(block.channels * 5 // 4 for block in last)
        layers = sum(block.channels**2 // 2 for block in last)
        assert mflops(small, Tile(9, 9)) == Fraction(49, 81) * layers + biases
        assert mflops(small, Tile(11, 11)) == mflops(small, Tile(9)) == layers + biases

    def test_map_sizes_are_floored(self, definitions):
        for name, sizes in (("EfficientNet-B2", [130, 65, 32, 16, 8]), ("EfficientNet-B3", [150, 75, 37, 18, 9])):
            assert list(dict.fromkeys(b.height for b in RULES["widest_of_stage"].blocks(definitions[name]))) == sizes


class TestFigure:
    @pytest.mark.parametrize(("value", "printed", "explained"), [
        (1078784, "1.07", True), (1078784, "1.08", False), (1080000, "1.08", True), (1079999, "1.08", False),
        (300000, "0.30", True), (300000, "0.3", True), (50853888, "50.8", True),
        (Fraction(299999999, 1000), "0.29", True)])
    def test_cut_off(self, value, printed, explained):
        assert Figure(printed, value, value).explained is explained

    def test_rounded_only_where_said(self, models):
        assert Figure("1.08", 1078784, 0, rounded=True).explained
        assert not Figure("1.07", 1078784, 0, rounded=True).explained
        assert [model for model, row in models.items() if row.original.rounded or row.tiled.rounded] == [
            "EfficientDet-D0"]
        assert models["EfficientDet-D0"].status == "explained; rounded; real differs"

    def test_nothing_printed(self):
        figure = Figure(None, 4544, 4544)
        assert (figure.explained, figure.real_agrees) == (None, None)
        assert figure.as_json() == {"printed": None, "by_rule": 4544.0, "by_rule_as_printed": "0.00", "real": 4544.0,
                                    "status": "not printed"}


class TestChangedShape:
    """Nothing that is printed is taken for what is computed."""

    def test_tables(self, definitions):
        for name, number, changes in (("EfficientNet-B0", 0, {"channels": 40}), ("EfficientNet-B1", 5, {"stride": 4}),
                                      ("RegNetY-200MF", 3, {"height": 28}),
                                      ("MobileNetV3-L_LRASPP_mmseg", 0, {"height_in": 128})):
            changed = _with(definitions, name, number, **changes)
            rows = {row.network: row for row in model_rows(changed, load_paper())}
            assert "differ" in rows[name].status.partition(";")[0], name
            assert rows["RegNetY-400MF"].status == "explained"

    def test_table_1(self, definitions):
        changed = _with(definitions, "RegNetY-800MF", 2, channels=160)
        rows = tile_rows(changed, load_paper())
        assert {row.status for row in rows if row.tile != "vanilla"} == {"differs"}

    def test_squeeze(self, definitions):
        """The rule for tiles has a CR of its own; the network's own is in the rows without tiles."""
        rows = {row.tile: row for row in tile_rows(_with(definitions, "RegNetY-800MF", 3, squeeze=80), load_paper())}
        assert [rows[tile].status.partition(";")[0] for tile in ("SE", "7xW")] == ["differs", "explained"]


def test_lines(table_1, models):
    text = paper_text(tuple(table_1.values()), tuple(models.values()), {"EfficientDet-D2": 0.8977})
    assert max(map(len, text.splitlines())) <= 120
    # Where all three of a figure have the same digits, they are equal where the numbers are.
    assert ["vanilla", "796.35", "796.35", "796.35", "explained"] in [line.split() for line in text.splitlines()]
    line = next(line for line in text.splitlines() if line.startswith("EfficientDet-D2"))
    assert line.split() == ["EfficientDet-D2", "50.8", "50.8", "43.601", "4.7", "4.7", "4.185", "90.7%", "90.4%",
                            "89.8%", "b", "explained;", "real", "differs"]
