# SPDX-License-Identifier: Apache-2.0
"""The formats that `build` gives the blocks of a network, and what it tells of them, against the maps themselves."""

import dataclasses
import json
import os

import numpy as np
import pytest

from tests.helpers.contexts import scaled
from tests.helpers.onnx_images import HEIGHT, SHAPE, WIDTH, network_and_images
from tests.helpers.onnx_networks import CHANNELS, Spelling, network
from tiled_se.gen.options import BlockOptions
from tiled_se.golden import DataFormat, RangeMethod
from tiled_se.hdl.config import ConfigError, Context, DataType, Order
from tiled_se.network.calibration.data_formats import data_formats
from tiled_se.network.calibration.feature_maps import feature_maps
from tiled_se.network.calibration.images import find_images
from tiled_se.network.commands import block_runs
from tiled_se.network.commands.options import ImageOptions
from tiled_se.network.match.numbers import Numbers
from tiled_se.network.network import find_blocks, open_network
from tiled_se.network.tile import tile_blocks

METHODS = [RangeMethod.parse(name) for name in ("min-max", "percentile:99.99", "mse")]
TRIED = RangeMethod.parse("percentile:97.0")
TILINGS = [{"k": 4}, {"k": 3, "order": Order.COLUMNS}, {"k": 2, "context": Context.CUMULATIVE},
           {"k": 4, "tile_width": 2}, {"k": 2, "tile_width": 6, "order": Order.COLUMNS}]


def block_and_maps(end="mul"):
    """A block with a sigmoid, and maps (6, 11, 5, C) for it, with a number in a hundred far outside."""
    (block,) = find_blocks(network(Spelling(end=end)))
    rng = np.random.default_rng(7)
    maps = rng.normal(0.5, 1, (6, 11, 5, CHANNELS)).astype(np.float32)
    maps[rng.random(maps.shape) < 0.01] *= 8
    return dataclasses.replace(block, float_block=dataclasses.replace(block.float_block, prior=maps.mean((0, 1, 2)))
                               ), maps


def rounded(x, form):
    return (np.clip(np.rint(x / form.scale) + form.zero_point, form.data.low, form.data.high) - form.zero_point
            ) * form.scale


def decibel(exact, found):
    return 10 * np.log10((exact.astype(np.float64)**2).sum() / ((found - exact)**2).sum())


def floats(block, options, maps):
    """What the block makes of maps, pixel by pixel."""
    form, line = block.float_block, 11 if options.order is Order.COLUMNS else 5
    return np.stack([scaled(options.tiling(line, True), one.astype(np.float64), form, form.prior) for one in maps])


@pytest.mark.parametrize("end", ["mul", "add"])
@pytest.mark.parametrize("tiling", TILINGS)
def test_input(tiling, end):
    """Figures from the maps; the method is that of the outputs' least error, in x's format or twice its scale."""
    block, maps = block_and_maps(end)
    options = BlockOptions(dtype="int5", **tiling)
    found = data_formats(block, maps, options)
    assert (found.y, found.options) == (None, options)
    figures, y = found.figures["x"], floats(block, options, maps[[1, 5]])
    assert figures["held_out"] == [1, 5]
    assert list(figures["methods"]) == list(map(str, METHODS))
    for name, own in figures["methods"].items():
        form = DataFormat(own["scale"], own["zero_point"], DataType(5))
        assert own["sqnr_db"] == pytest.approx(decibel(maps, rounded(maps, form)), abs=1e-6)
        steps = np.rint(maps / form.scale) + form.zero_point
        assert own["clipped"] == ((steps < -16) | (steps > 15)).mean()
        # With the range of the others; their number does not matter to data_formats().
        trial = data_formats(block, maps[[0, 2, 3, 4]], options, RangeMethod.parse(name)).x
        outputs = dataclasses.replace(trial, scale=trial.scale * (2 if end == "add" else 1))
        expected = decibel(y, rounded(floats(block, options, rounded(maps[[1, 5]].astype(np.float64), trial)), outputs))
        assert own["held_out_sqnr_db"] == pytest.approx(expected, abs=1e-6)
    best = max(figures["methods"], key=lambda name: figures["methods"][name]["held_out_sqnr_db"])
    assert figures["method"] == best == "mse"
    chosen = figures["methods"][best]
    assert found.x == DataFormat(chosen["scale"], chosen["zero_point"], DataType(5))
    assert chosen["clipped"] > 0
    assert chosen["sqnr_db"] > figures["methods"]["min-max"]["sqnr_db"] + 1


def test_min_max():
    block, maps = block_and_maps()
    expected = DataFormat.calibrate(maps.min(), maps.max())
    assert data_formats(block, maps, BlockOptions(), METHODS[0]).x == expected
    assert data_formats(block, maps[:1], BlockOptions()).x == DataFormat.calibrate(maps[0].min(), maps[0].max())


@pytest.mark.parametrize(("given", "type_name"), [
    ({"y_scale": "auto"}, "int5"), ({"y_dtype": "uint4"}, "uint4"), ({"y_dtype": "int6", "y_scale": "auto"}, "int6"),
    ({"y_dtype": "int6", "y_zero_point": -5}, "int6")])
@pytest.mark.parametrize("tiling", TILINGS[:2])
def test_outputs(tiling, given, type_name):
    """By the same methods, from what the block makes of x in its format."""
    block, maps = block_and_maps()
    options = BlockOptions(dtype="int5", **tiling, **given)
    found = data_formats(block, maps, options, TRIED)
    data = DataType.parse(type_name)
    y = floats(block, options, rounded(maps.astype(np.float64), found.x))
    assert found.options == dataclasses.replace(options, y_scale=None)
    figures = found.figures["y"]
    assert (figures["method"], figures["held_out"]) == (str(TRIED), [1, 5])
    for own in figures["methods"].values():
        form = DataFormat(own["scale"], own["zero_point"], data)
        assert own["sqnr_db"] == pytest.approx(decibel(y, rounded(y, form)), abs=1e-6)
        assert own["zero_point"] == given.get("y_zero_point", own["zero_point"])
    widest, tried = figures["methods"]["min-max"], figures["methods"][str(TRIED)]
    expected = DataFormat.calibrate(y.min(), y.max(), data, given.get("y_zero_point"))
    assert widest["scale"] == pytest.approx(expected.scale, rel=1e-12)
    assert widest["clipped"] == 0 < tried["clipped"] < 0.04
    assert found.y == DataFormat(tried["scale"], tried["zero_point"], data)
    automatic = data_formats(block, maps, options).figures["y"]
    held_out = {name: own["held_out_sqnr_db"] for name, own in automatic["methods"].items()}
    assert automatic["method"] == max(held_out, key=held_out.get)


@pytest.mark.parametrize("given", [{"y_scale": 0.5}, {"y_scale": 0.5, "y_dtype": "int4"}, {"y_zero_point": 3}])
def test_outputs_that_are_given(given):
    block, maps = block_and_maps()
    options = BlockOptions(**given)
    found = data_formats(block, maps, options)
    assert (found.y, found.options, list(found.figures)) == (None, options, ["x"])


def test_scale_of_outputs_is_limited():
    """As tables allow no more: 16 bits take outputs with a sixteenth of the input's step."""
    block, maps = block_and_maps()
    form = block.float_block
    silent = dataclasses.replace(block, float_block=dataclasses.replace(form, b2=form.b2 - 9))
    found = data_formats(silent, maps, BlockOptions(dtype="int16", y_scale="auto"))
    assert found.y.scale == found.x.scale / 16


def test_numbers_of_the_network():
    """They are not chosen."""
    block, maps = block_and_maps()
    own = DataFormat(0.5, 3), DataFormat(0.25, 7)
    quantised = dataclasses.replace(block, numbers=Numbers(x=own[0], y=own[1]))
    found = data_formats(quantised, maps, BlockOptions(dtype="int8", y_dtype="int8"), METHODS[2])
    assert (found.x, found.y, found.figures) == (*own, None)
    of_input = dataclasses.replace(block, numbers=Numbers(x=own[0]))
    found = data_formats(of_input, maps, BlockOptions(dtype="int8", y_scale="auto"), METHODS[2])
    assert (found.x, list(found.figures)) == (own[0], ["y"])


@pytest.mark.parametrize(("zero_point", "message"), [
    (127, "y_zero_point=127: leaves no integers for numbers from "),
    (200, "y_zero_point=200: must be from -128 to 127")])
def test_zero_point_that_fits_nothing(zero_point, message):
    block, maps = block_and_maps()
    with pytest.raises(ConfigError, match=message):
        data_formats(block, maps, BlockOptions(y_scale="auto", y_zero_point=zero_point))


class Unbuilt:
    """A campaign that builds no block."""

    def __init__(self, tasks):
        self.failures, self.results = dict.fromkeys(tasks, "not built"), {}

    def run(self, *_, **__):
        """Nothing."""


@pytest.mark.parametrize("arguments", [[], ["--calibrate-by", "percentile:90", "--y-dtype", "uint6"]])
def test_build(tiled_se, tmp_path, monkeypatch, arguments):
    """The files have the formats that report.json tells, from the maps of the tiled network."""
    monkeypatch.setattr(block_runs, "Campaign", Unbuilt)
    path, images = network_and_images(tmp_path)
    finished = tiled_se("build", path, "--calibration", images, "--input-shape", f"3x{HEIGHT}x{WIDTH}", "--k", 4, "-o",
                        "rtl", *arguments)
    assert finished.status == 1
    report = json.loads((tmp_path / "rtl/report.json").read_text())
    opened = open_network(path, SHAPE)
    with feature_maps(opened, tile_blocks(opened.model, opened.blocks, 4), opened.blocks,
                      find_images(ImageOptions(calibration=images), opened)) as maps:
        for block in report["blocks"]:
            figures, folder = block["calibrated"], tmp_path / "rtl" / block["folder"]
            assert list(figures) == (["x", "y"] if arguments else ["x"])
            own = figures["x"]["methods"][figures["x"]["method"]]
            stored, weights = np.load(folder / block_runs.INPUT), np.load(folder / block_runs.WEIGHTS)
            form = DataFormat(float(stored["x_scale"]), int(stored["x_zero_point"]))
            assert (form.scale, form.zero_point) == (own["scale"], own["zero_point"])
            np.testing.assert_array_equal(stored["x_q"], form.quantise(maps[block["name"]][:2]))
            widest = DataFormat.calibrate(maps[block["name"]].min(), maps[block["name"]].max())
            assert figures["x"]["methods"]["min-max"]["scale"] == widest.scale
            assert own["sqnr_db"] == pytest.approx(decibel(maps[block["name"]], rounded(maps[block["name"]], form)))
            if arguments:
                assert {about["method"] for about in figures.values()} == {"percentile:90.0"}
                assert own["clipped"] == pytest.approx(0.1, abs=0.02)
                y = figures["y"]["methods"]["percentile:90.0"]
                assert (weights["y_scale"], weights["y_zero_point"]) == (y["scale"], y["zero_point"])
            else:
                assert "y_scale" not in weights
            line = next(line for line in finished.out.splitlines() if line.split()[:2] == [block["name"], "x"])
            assert f" {own['sqnr_db']:.2f} / " in line


def test_refused(tiled_se, tmp_path):
    path, images = network_and_images(tmp_path)
    tiled_se.refuses("CALIBRATE_BY=entropy (--calibrate-by): must be min-max, percentile, percentile:P with P from 50 "
                     "to 100, or mse, or auto", "build", path, "--calibration", images, "--calibrate-by", "entropy",
                     "-o", "rtl")
    assert not os.path.exists("rtl")
