# SPDX-License-Identifier: Apache-2.0
"""`tiled-se build` and `tiled-se sensitivity`: a small network, run on images, quantised, built and measured."""

import json
import os
import pathlib
import types

import numpy as np
import pytest

from tests.helpers.contexts import scaled
from tests.helpers.nightly import nightly
from tests.helpers.onnx_images import HEIGHT, WIDTH, network_and_images
from tests.helpers.onnx_networks import CHANNELS, Spelling, network
from tests.helpers.onnx_quantised import brevitas
from tests.helpers.onnx_quantised import images as quantised_images
from tiled_se.golden.block import DataFormat
from tiled_se.golden.reference import squeeze_excite
from tiled_se.hdl.config import Context, Order, Tiling
from tiled_se.network.calibration.agreement import agreement
from tiled_se.network.calibration.feature_maps import feature_maps, with_prior
from tiled_se.network.calibration.images import find_images
from tiled_se.network.commands import sensitivity as sensitivity_command
from tiled_se.network.commands.options import ImageOptions
from tiled_se.network.network import find_blocks, open_network

SIZE = f"3x{HEIGHT}x{WIDTH}"


@pytest.fixture
def files(tmp_path):
    """Paths of a model and of a folder with three images."""
    return network_and_images(tmp_path, others=True)


OTHER = "it has no layer between its mean and its gate; a block has two"


def test_build(tiled_se, files):
    path, images = files
    finished = tiled_se.passes("build", path, "--calibration", images, "--input-shape", SIZE, "--k", 4, "-o", "rtl",
                               "--frames", 2, "--stall", 0.2)
    assert f"left out: other: {OTHER}" in finished.out.splitlines()
    report = json.loads(pathlib.Path("rtl/report.json").read_text())
    assert report["others"] == {"other": OTHER}
    assert report["bit_exact"]
    assert report["images"] == 3
    rows = HEIGHT // 2
    assert (report["se_elements"], report["tse_elements"]) == (2 * rows * 5 * CHANNELS, 2 * 4 * 5 * CHANNELS)
    for block in report["blocks"]:
        folder = pathlib.Path("rtl", block["folder"])
        listed = {file["name"] for file in json.loads((folder / "manifest.json").read_text())["files"]}
        assert f"{block['module']}.v" in listed
        assert listed | {"manifest.json", "report.json", "output.npz", "weights.npz", "input.npz"} == {
            path.name for path in folder.iterdir()}
        own = json.loads((folder / "report.json").read_text())
        assert own == block["report"]
        assert own["elements"] == 2 * rows * 5 * CHANNELS
        assert own["float_error_lsb"]["max"] <= 1
        arrays = np.load(folder / "output.npz")
        assert (arrays["y_q"] == arrays["y_golden"]).all()
        assert f"module {block['module']} (" in (folder / f"{block['module']}.v").read_text()
    assert [block["report"]["config"]["residual"] for block in report["blocks"]] == [False, True]
    # The run can be repeated by its files.
    tiled_se.passes("sim", "--weights", folder / "weights.npz", "--input", folder / "input.npz", "--k", 4)
    repeated = np.load(next(pathlib.Path("build").glob("*/output.npz")))
    assert (repeated["y_q"] == arrays["y_q"]).all()


def test_build_of_a_quantised_network(tiled_se, tmp_path):
    """As Brevitas exports one, with 4 bits: the RTL has its integers in and out, and its weights."""
    path = brevitas(str(tmp_path / "net.onnx"))
    (tmp_path / "images").mkdir()
    np.save(tmp_path / "images" / "x.npy", quantised_images(2, size=16))
    finished = tiled_se.passes("build", path, "--calibration", tmp_path / "images", "--k", 16, "-o", "rtl")
    (block,) = json.loads(pathlib.Path("rtl/report.json").read_text())["blocks"]
    assert block["bit_exact"]
    config = block["report"]["config"]
    assert (config["data"], config["outputs"], config["weight_bits"]) == ("uint4", "uint4", 4)
    arrays = np.load(pathlib.Path("rtl", block["folder"], "output.npz"))
    # One tile of the whole map, as in the network, on the same two images.
    codes = block["codes"]
    assert codes["elements"] == arrays["y_q"].size == 2 * 16 * 16 * 6
    assert codes["rounded"]["equal_share"] >= 0.99
    real = np.array([squeeze_excite((x.astype(float) - arrays["x_zero_point"]) * arrays["x_scale"], *whole(path))
                     for x in arrays["x_q"]])
    expected = np.clip(real / arrays["y_scale"] + arrays["y_zero_point"], 0, 15)
    assert abs(arrays["y_q"] - expected).max() == pytest.approx(codes["float"]["max"], abs=1e-6)
    assert codes["float"]["max"] <= 1
    assert "network's integers" in finished.out


def whole(path):
    """The float block of the network in file `path`, and one tile of the whole map."""
    (block,) = open_network(path).blocks
    return block.float_block, types.SimpleNamespace(**vars(Tiling(k=16)), **{
        name: getattr(block.float_block, name) for name in ("mid", "gate", "residual")})


@nightly  # its parts are in the other builds, in test_sim.py and in unit tests of calibration
def test_build_with_outputs_calibrated(tiled_se, files):
    """Ranges of both ends that clip: RTL and golden model agree, within a step of the float block."""
    path, images = files
    tiled_se.passes("build", path, "--calibration", images, "--input-shape", SIZE, "--k", 4, "--calibrate-by",
                    "percentile:95", "--dtype", "int6", "--y-dtype", "uint5", "-o", "rtl")
    report = json.loads(pathlib.Path("rtl/report.json").read_text())
    for block in report["blocks"]:
        arrays, own = np.load(pathlib.Path("rtl", block["folder"], "output.npz")), block["report"]
        assert (own["bit_exact"], own["float_error_lsb"]["max"] <= 1) == (True, True)
        for name, top in (("x", 31), ("y", 31)):
            figures = block["calibrated"][name]["methods"]["percentile:95.0"]
            assert (arrays[f"{name}_scale"], arrays[f"{name}_zero_point"]) == (figures["scale"], figures["zero_point"])
            assert figures["clipped"] > 0.01
            assert arrays[f"{name}_q"].max() == top


def test_build_of_causal_gates(tiled_se, files):
    """The prior of each block is the mean of its maps in the original network, of which both blocks count one row."""
    path, images = files
    finished = tiled_se.passes("build", path, "--calibration", images, "--input-shape", SIZE, "--k", 1, "--context",
                               "causal", "-o", "rtl")
    assert "the prior of each block is the mean of its maps on 3 images" in finished.out.splitlines()
    report = json.loads(pathlib.Path("rtl/report.json").read_text())
    assert (report["context"], report["prior_rows"], report["tse_elements"]) == ("causal", 1, 0)
    network = open_network(path, SIZE)
    with feature_maps(network, network.model, network.blocks, find_images(ImageOptions(calibration=images), network)
                      ) as maps:
        means = {name: own.mean((0, 1, 2), np.float64) for name, own in maps.items()}
    for block in report["blocks"]:
        folder, own = pathlib.Path("rtl", block["folder"]), block["report"]
        assert own["bit_exact"]
        assert own["float_error_lsb"]["max"] <= 1
        assert (own["config"]["context"], own["config"]["prior_rows"], own["sram"]["over_bound"]) == ("causal", 1, None)
        np.testing.assert_allclose(np.load(folder / "weights.npz")["prior"], means[block["name"]], rtol=1e-6)
        arrays = np.load(folder / "output.npz")
        np.testing.assert_allclose(arrays["prior"], means[block["name"]], atol=arrays["x_scale"] / WIDTH)


@pytest.mark.parametrize(("arguments", "line"), [
    (["--calibration", "images"],
     "INPUT_SHAPE= (--input-shape): is needed, as the model leaves its input's size open; must be CxHxW, like "
     "3x640x640"),
    (["--calibration", "nowhere", "--input-shape", "3x22x10"],
     "CALIBRATION=nowhere (--calibration): is no folder; must be a folder with .png, .jpg or .bmp images, or .npy or "
     ".npz arrays (C, H, W) or (N, C, H, W)"),
    (["--calibration", "images", "--input-shape", "3x22x10", "--mean", "1,2"],
     "MEAN=1,2 (--mean): must be 1 or 3 numbers with commas between"),
    (["--calibration", "images", "--input-shape", "3x22x10", "--skip", "nothing"],
     "SKIP=nothing (--skip): must be a block's"),
])
def test_refused(tiled_se, files, arguments, line):
    tiled_se.refuses_as(line, "build", files[0], *arguments, "-o", "rtl")
    assert not os.path.exists("rtl")


class TestSensitivity:
    def test_command(self, tiled_se, files):
        finished = tiled_se.passes("sensitivity", *files, "--input-shape", SIZE, "--ks", "2,6,11", "-o", "found")
        contents = json.loads(pathlib.Path("found/sensitivity.json").read_text())
        assert (contents["images"], contents["others"]) == (3, {"other": OTHER})
        assert f"left out: other: {OTHER}" in finished.out.splitlines()
        for block in contents["blocks"]:
            few, _, whole = block["ks"]
            assert (few["k"], few["tiles"], whole["k"], whole["tiles"]) == (2, 3 * 6, 11, 3)
            # A tile that is the whole map agrees with it.
            assert whole["mean_correlation"] == pytest.approx(1)
            assert whole["output_change"] == pytest.approx(0, abs=1e-9)
            assert few["output_change"] > 0
            assert 0 < few["quantised_gate_error"]["max"] < 0.05
        assert "means r k=6  gates r k=6  quantised gates k=6\n" in finished.out
        assert b"<svg" in pathlib.Path("found/sensitivity.svg").read_bytes()

    def test_every_context(self, tiled_se, files):
        finished = tiled_se.passes("sensitivity", *files, "--input-shape", SIZE, "--ks", "1,11", "-o", "found")
        contents = json.loads(pathlib.Path("found/sensitivity.json").read_text())
        for block in contents["blocks"]:
            plain, prior, causal = block["contexts"]
            assert [(one["context"], one["prior_rows"]) for one in block["contexts"]] == [
                ("cumulative", 0), ("cumulative", 1), ("causal", 1)]
            # All rows are those of the map, but with the prior in, or instead of, them.
            assert plain["ks"][1]["output_change"] == pytest.approx(0, abs=1e-9)
            assert 0 < prior["ks"][1]["output_change"] < causal["ks"][1]["output_change"]
            # More rows are better than one.
            assert plain["ks"][0]["output_change"] < block["ks"][0]["output_change"]
            assert all(0 < figures["quantised_gate_error"]["max"] < 0.05
                       for one in block["contexts"] for figures in one["ks"])
        lines = finished.out.splitlines()
        assert "the prior of each block is the mean of its maps on the same 3 images" in lines
        assert sum(line.split()[1:3] == ["causal", "PRIOR=1"] for line in lines) == 2

    def test_formats(self, tiled_se, files):
        """Gates from coarser data and weights are further from the float ones; the format is that of `build`."""
        errors = {}
        for data, bits in (("int8", 8), ("uint3", 8), ("int12", 8), ("int8", 2)):
            tiled_se.passes("sensitivity", *files, "--input-shape", SIZE, "--ks", 6, "-o", "found", "--dtype", data,
                            "--weight-bits", bits)
            blocks = json.loads(pathlib.Path("found/sensitivity.json").read_text())["blocks"]
            assert [(block["x_type"], block["weight_bits"]) for block in blocks] == 2 * [(data, bits)]
            errors[data, bits] = np.array([block["ks"][0]["quantised_gate_error"]["mean"] for block in blocks])
        assert (errors["uint3", 8] > 4 * errors["int8", 8]).all()
        assert (errors["int8", 2] > 4 * errors["int8", 8]).all()
        assert (errors["int12", 8] < errors["int8", 8]).all()

    def test_advice(self):
        changes = {"a": (0.3, 0.11, 0.02), "b": (0.2, 0.05, 0.1)}
        blocks = [{"name": name, "ks": [{"output_change": n} for n in values], "contexts": [
            {"context": "causal", "prior_rows": 1, "ks": [{"output_change": n / 2} for n in values]}]}
                  for name, values in changes.items()]
        assert sensitivity_command._advice(blocks, (1, 3, 7)).splitlines()[1:] == [
            "  k=1: SKIP=a,b", "  k=3: SKIP=a", "  k=7: none",
            "  causal PRIOR=1 k=1: SKIP=a", "  causal PRIOR=1 k=3: none", "  causal PRIOR=1 k=7: none"]

    @pytest.mark.parametrize("end", ["mul", "add"])
    @pytest.mark.parametrize("tiling", [
        Tiling(k=4), Tiling(k=4, tile_width=2), Tiling(k=3, order=Order.COLUMNS),
        Tiling(k=2, context=Context.CUMULATIVE, prior_rows=1), Tiling(k=1, context=Context.CAUSAL, prior_rows=2),
        Tiling(k=7, context=Context.WINDOW, window=(2, 3))], ids=lambda tiling: f"{tiling.context.value}-{tiling.k}")
    def test_figures(self, end, tiling):
        """Against the definition, pixel by pixel."""
        (block,) = find_blocks(network(Spelling(end=end)))
        maps = np.random.default_rng(4).normal(0.5, 1, (2, 11, 5, CHANNELS)).astype(np.float32)
        block = with_prior(block, maps[:1])
        form, prior = block.float_block, maps[0].mean((0, 1), np.float64)
        np.testing.assert_allclose(form.prior, prior, rtol=1e-12)
        found = agreement(block, tiling, maps, DataFormat.calibrate(maps.min(), maps.max()))
        tiled, whole = (np.stack([scaled(about, one.astype(np.float64), form, prior) for one in maps])
                        for about in (tiling, Tiling(k=11)))
        change = np.sqrt(((tiled - whole)**2).sum() / (whole**2).sum())
        assert found.output_change == pytest.approx(change, rel=1e-9)
        assert 0 < found.figures["quantised_gate_error"]["max"] < 0.05
        # The gates of all elements, which have the same weight.
        differences = abs(tiled - whole)[maps != 0] / abs(maps[maps != 0])
        assert found.gate_difference["mean"] == pytest.approx(differences.mean(), rel=1e-6)
        assert found.gate_difference["max"] == pytest.approx(differences.max(), rel=1e-6)
        p95 = found.gate_difference["p95"]
        assert (differences < p95 - 1e-6).mean() < 0.95 <= (differences < p95 + 1e-6).mean()

    def test_correlation(self):
        (block,) = find_blocks(network())
        maps = np.random.default_rng(4).normal(0.5, 1, (2, 11, 5, CHANNELS)).astype(np.float32)
        found = agreement(block, 4, maps)
        means = np.stack([maps[0, row:row + 4].mean((0, 1), np.float64) for row in (0, 4, 8)])
        np.testing.assert_allclose(found.means[:3], means, rtol=1e-6)
        weights = np.array([4, 4, 3] * 2)
        each = [np.corrcoef(a, b)[0, 1] for a, b in zip(found.means, found.whole_means, strict=True)]
        assert found.figures["mean_correlation"] == pytest.approx(np.average(each, weights=weights))
