# SPDX-License-Identifier: Apache-2.0
"""`tiled-se build` and `tiled-se context`: a small network, run on images, quantised, built and measured."""

import json
import os
import pathlib

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from PIL import Image

from tiled_se.gen.network.activations import feature_maps
from tiled_se.gen.network.agreement import agreement
from tiled_se.gen.network.blocks import open_network
from tiled_se.gen.network.images import find_images
from tiled_se.gen.network.recognise import find_blocks
from tiled_se.gen.network.shapes import InputShape
from tiled_se.gen.options import Options
from tiled_se.gen.reference import squeeze_excite
from tiled_se.hdl.config import Config

from .onnx_net import Net
from .onnx_networks import CHANNELS, Spelling, network, se

HEIGHT, WIDTH = 22, 10
SHAPE = InputShape(3, HEIGHT, WIDTH)


def model(path):
    """A convolution with stride 2 from an image of any size, then two blocks, the second one residual."""
    net = Net(13)
    rng = np.random.default_rng(2)
    stem = net("Conv", "x", net.constant(rng.normal(size=(CHANNELS, 3, 3, 3))), strides=[2, 2], pads=[1, 1, 1, 1])
    first = se(net, stem, Spelling(gate="fifth"))
    net("Identity", se(net, first, Spelling(end="add", mid="silu"), seed=3), output="y")
    path.write_bytes(net.model({"x": (1, 3, "h", "w")}, {"y": (1, CHANNELS, "a", "b")}).SerializeToString())
    return str(path)


@pytest.fixture
def files(tmp_path):
    """Paths of a model and of a folder with three images."""
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(3):
        pixels = np.random.default_rng(index).integers(0, 255, (30, 40, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return model(tmp_path / "net.onnx"), str(folder)


def test_build(tiled_se, files):
    path, images = files
    finished = tiled_se("build", path, "--calibration", images, "--input", f"3x{HEIGHT}x{WIDTH}", "--k", 4, "-o", "rtl",
                        "--frames", 2, "--stall", 0.2)
    assert (finished.status, finished.err) == (0, "")
    report = json.loads(pathlib.Path("rtl/report.json").read_text())
    assert report["bit_exact"]
    rows = HEIGHT // 2
    assert (report["se_elements"], report["tse_elements"]) == (2 * rows * 5 * CHANNELS, 2 * 4 * 5 * CHANNELS)
    for block in report["blocks"]:
        folder = pathlib.Path("rtl", block["folder"])
        assert {"manifest.json", "report.json", "output.npz", "weights.npz", "input.npz",
                f"{block['module']}.v"} == {path.name for path in folder.iterdir()}
        own = json.loads((folder / "report.json").read_text())
        assert own == block["report"]
        assert own["elements"] == 2 * rows * 5 * CHANNELS
        assert own["float_error_lsb"]["max"] <= 1
        arrays = np.load(folder / "output.npz")
        assert (arrays["y_q"] == arrays["y_golden"]).all()
        assert f"module {block['module']}(" in (folder / f"{block['module']}.v").read_text()
    assert [block["report"]["config"]["residual"] for block in report["blocks"]] == [False, True]
    # The run can be repeated by its files.
    again = tiled_se("sim", "--weights", folder / "weights.npz", "--input", folder / "input.npz", "--k", 4)
    assert again.status == 0
    repeated = np.load(next(pathlib.Path("build").glob("*/output.npz")))
    assert (repeated["y_q"] == arrays["y_q"]).all()


def test_images_are_resized_and_normalised(files):
    path, images = files
    found = list(find_images(Options(calibration=images, limit=3), open_network(path, SHAPE)))
    assert [image.shape for image in found] == [(1, 3, HEIGHT, WIDTH)] * 3
    with Image.open(os.path.join(images, "1.png")) as image:
        expected = np.asarray(image.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR))
    scaled = (expected / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(found[1][0].transpose(1, 2, 0), scaled, atol=1e-5)


def test_feature_maps_are_those_of_the_network(files):
    """Against ONNX's own evaluator."""
    path, folder = files
    opened = open_network(path, SHAPE)
    images = find_images(Options(calibration=folder), opened)
    (first, second) = opened.blocks
    with feature_maps(opened, opened.model, [first, second], images, 2) as maps:
        found = {name: np.array(values) for name, values in maps.items()}
    inner = onnx.ModelProto()
    inner.CopyFrom(opened.model)
    inner.graph.output.append(onnx.helper.make_tensor_value_info(second.block.x, onnx.TensorProto.FLOAT, None))
    evaluator = ReferenceEvaluator(inner)
    for index, image in enumerate(list(images)[:2]):
        expected = evaluator.run([second.block.x], {"x": image})[0]
        np.testing.assert_allclose(found[second.name][index], expected[0].transpose(1, 2, 0), rtol=1e-4, atol=1e-5)
    assert found[first.name].shape == (2, HEIGHT // 2, WIDTH // 2, CHANNELS)


def test_bgr_and_limit(files):
    path, images = files
    opened = open_network(path, SHAPE)
    plain, turned = (list(find_images(Options(calibration=images, limit=2, bgr=bgr, mean=(0.0,), std=(1.0,)), opened))
                     for bgr in (False, True))
    assert len(plain) == 2
    np.testing.assert_array_equal(plain[0][:, ::-1], turned[0])


@pytest.mark.parametrize(("arguments", "line"), [
    (["--calibration", "images"],
     "INPUT= (--input): is needed, as the model leaves its input's size open; must be CxHxW, like 3x640x640"),
    (["--calibration", "nowhere", "--input", "3x22x10"],
     "CALIBRATION=nowhere (--calibration): is no folder; must be a folder with .png, .jpg or .bmp images, or .npy or "
     ".npz arrays (C, H, W) or (N, C, H, W)"),
    (["--calibration", "images", "--input", "3x22x10", "--mean", "1,2"],
     "MEAN=1,2 (--mean): must be 1 or 3 numbers with commas between"),
    (["--calibration", "images", "--input", "4x22x10"], "INPUT=4x22x10 (--input): the model's input is 3x?x?"),
    (["--calibration", "images", "--input", "3x22x10", "--skip", "nothing"],
     "SKIP=nothing (--skip): must be a block's"),
])
def test_refused(tiled_se, files, arguments, line):
    finished = tiled_se("build", files[0], *arguments, "-o", "rtl")
    assert finished.status == 2
    assert finished.err.startswith(f"tiled-se: error: {line}")
    assert len(finished.err.splitlines()) == 1
    assert not os.path.exists("rtl")


@pytest.mark.parametrize(("name", "content"), [("a.png", b"nothing"), ("a.npy", b"\x93NUMPY"), ("a.npz", b"PK")])
def test_damaged_image(tiled_se, files, name, content):
    pathlib.Path(files[1], name).write_bytes(content)
    finished = tiled_se("context", *files, "--input", f"3x{HEIGHT}x{WIDTH}", "-o", "found")
    assert finished.status == 2
    assert finished.err.startswith("tiled-se: error: CALIBRATION=")
    assert name in finished.err
    assert not os.path.exists("found")


def test_arrays_are_inputs_as_they_are(files):
    path, folder = files
    array = np.random.default_rng(1).normal(size=(2, 3, HEIGHT, WIDTH)).astype(np.float32)
    np.save(os.path.join(folder, "9.npy"), array)
    found = list(find_images(Options(calibration=folder), open_network(path, SHAPE)))
    np.testing.assert_array_equal(np.concatenate(found[3:]), array)


class TestContext:
    def test_command(self, tiled_se, files):
        finished = tiled_se("context", *files, "--input", f"3x{HEIGHT}x{WIDTH}", "--ks", "2,11", "-o", "found")
        assert (finished.status, finished.err) == (0, "")
        contents = json.loads(pathlib.Path("found/context.json").read_text())
        assert contents["images"] == 3
        for block in contents["blocks"]:
            few, whole = block["ks"]
            assert (few["k"], few["tiles"], whole["k"], whole["tiles"]) == (2, 3 * 6, 11, 3)
            # A tile that is the whole map agrees with it.
            assert whole["mean_correlation"] == pytest.approx(1)
            assert whole["output_change"] == pytest.approx(0, abs=1e-9)
            assert few["output_change"] > 0
            assert 0 < few["quantised_gate_error"]["max"] < 0.05
        assert b"<svg" in pathlib.Path("found/context.svg").read_bytes()

    @pytest.mark.parametrize("end", ["mul", "add"])
    def test_figures(self, end):
        """Against the reference in float64, which shares nothing with the module."""
        (block,) = find_blocks(network(Spelling(end=end, gate="fifth")))
        maps = np.random.default_rng(4).normal(0.5, 1, (2, 11, 5, CHANNELS)).astype(np.float32)
        found = agreement(block, 4, maps)
        form = block.float_block
        config = Config(k=4, width=5, channels=CHANNELS, squeeze=3, lanes=1, macs=1, mid=form.mid, gate=form.gate,
                        residual=form.residual, loadable=False)
        arrays = form.w1, form.b1, form.w2, form.b2
        tiled, whole = (np.stack([squeeze_excite(one.astype(np.float64), *arrays, about) for one in maps])
                        for about in (config, Config(**{**vars(config), "k": 11})))
        change = np.sqrt(((tiled - whole)**2).sum() / (whole**2).sum())
        assert found.output_change == pytest.approx(change, rel=1e-9)
        means = np.stack([maps[0, row:row + 4].mean((0, 1), np.float64) for row in (0, 4, 8)])
        np.testing.assert_allclose(found.means[:3], means, rtol=1e-6)
        weights = np.array([4, 4, 3] * 2)
        each = [np.corrcoef(a, b)[0, 1] for a, b in zip(found.means, found.whole_means, strict=True)]
        assert found.figures["mean_correlation"] == pytest.approx(np.average(each, weights=weights))
