# SPDX-License-Identifier: Apache-2.0
"""Calibration data: images and arrays as inputs of a network, and the feature maps that they lead to."""

import os
import pathlib

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from PIL import Image

from tests.helpers.onnx_images import HEIGHT, SHAPE, WIDTH, model, network_and_images
from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import CHANNELS, Spelling, se
from tiled_se.hdl.config import ConfigError
from tiled_se.network.calibration import feature_maps as feature_maps_module
from tiled_se.network.calibration.feature_maps import feature_maps
from tiled_se.network.calibration.images import find_images
from tiled_se.network.commands.options import SensitivityOptions
from tiled_se.network.network import open_network


@pytest.fixture
def files(tmp_path):
    """Paths of a model and of a folder with three images."""
    return network_and_images(tmp_path)


def inputs(opened, folder, **options):
    """The inputs of a network that a folder gives, arrays in a list."""
    return [array for _, array in find_images(SensitivityOptions(calibration=str(folder), **options), opened)]


def maps_of(opened, folder, **options):
    """Block's name to its feature maps for what is in `folder`."""
    images = find_images(SensitivityOptions(calibration=str(folder), **options), opened)
    with feature_maps(opened, opened.model, list(opened.blocks), images) as maps:
        return {name: np.array(values) for name, values in maps.items()}


def test_images_are_resized_and_normalised(files):
    path, images = files
    opened = open_network(path, SHAPE)
    found = inputs(opened, images)
    assert [image.shape for image in found] == [(1, 3, HEIGHT, WIDTH)] * 3
    with Image.open(os.path.join(images, "1.png")) as image:
        expected = np.asarray(image.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR))
    scaled = (expected / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(found[1][0].transpose(1, 2, 0), scaled, atol=1e-5)
    plain, turned = (inputs(opened, images, limit=2, bgr=bgr, mean=(0.0,), std=(1.0,)) for bgr in (False, True))
    assert len(plain) == 2
    np.testing.assert_array_equal(plain[0][:, ::-1], turned[0])


def test_feature_maps_are_those_of_the_network(files):
    """Against ONNX's own evaluator."""
    path, folder = files
    opened = open_network(path, SHAPE)
    first, second = opened.blocks
    found = maps_of(opened, folder, limit=2)
    inner = onnx.ModelProto()
    inner.CopyFrom(opened.model)
    inner.graph.output.append(onnx.helper.make_tensor_value_info(second.x, onnx.TensorProto.FLOAT, None))
    evaluator = ReferenceEvaluator(inner)
    for index, image in enumerate(inputs(opened, folder, limit=2)):
        expected = evaluator.run([second.x], {"x": image})[0]
        np.testing.assert_allclose(found[second.name][index], expected[0].transpose(1, 2, 0), rtol=1e-4, atol=1e-5)
    assert found[first.name].shape == (2, HEIGHT // 2, WIDTH // 2, CHANNELS)


def test_batches(files, tmp_path):
    """A network that takes four images at once, of which there are five."""
    path, folder = files
    np.save(os.path.join(folder, "9.npy"), np.random.default_rng(1).normal(size=(2, 3, HEIGHT, WIDTH)).astype("f4"))
    one, four = (maps_of(open_network(path, SHAPE), folder)
                 for path in (path, model(tmp_path / "four.onnx", 4)))
    for singly, together in zip(one.values(), four.values(), strict=True):
        assert len(singly) == 5
        np.testing.assert_allclose(together, singly, rtol=1e-4, atol=1e-5)


def takes_integers(path):
    """The network of `model` after a cast from uint8."""
    network = onnx.load(model(path))
    network.graph.node.insert(0, onnx.helper.make_node("Cast", ["pixels"], ["x"], to=onnx.TensorProto.FLOAT))
    network.graph.input[0].name = "pixels"
    network.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    onnx.save(network, path)
    return open_network(str(path), SHAPE)


def test_a_network_that_takes_integers_gets_pixels(files, tmp_path):
    path, folder = files
    found = maps_of(takes_integers(tmp_path / "u8.onnx"), folder)
    # The same pixels, as they are, for the network after the cast.
    expected = maps_of(open_network(path, SHAPE), folder, mean=(0.0,), std=(1 / 255,))
    for one, other in zip(found.values(), expected.values(), strict=True):
        # Resized pixels are whole numbers; 1/255 isn't, in float32. Maps go to a thousand.
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=5e-4)
    with pytest.raises(ConfigError, match="numbers that the network's input can't hold, uint8 from 0 to 255"):
        maps_of(takes_integers(tmp_path / "u8.onnx"), folder, mean=(0.5,), std=(0.5 / 255,))


def test_batch_that_is_too_large(tiled_se, files):
    tiled_se.refuses("MODEL=many.onnx (--model): takes a batch of 1,000,000; must be 1,024 at most", "sensitivity",
                     model(pathlib.Path("many.onnx"), 10**6), files[1], "--input-shape", f"3x{HEIGHT}x{WIDTH}", "-o",
                     "found")


def test_maps_that_are_of_no_image(tiled_se, files):
    net = Net(13)
    net("Identity", se(net, net("Concat", "x", "x", axis=0), Spelling()), output="y")
    onnx.save(net.model({"x": (1, CHANNELS, 5, 5)}, {"y": None}), "two.onnx")
    os.mkdir("arrays")
    np.save("arrays/a.npy", np.zeros((CHANNELS, 5, 5), np.float32))
    tiled_se.refuses("MODEL=two.onnx (--model): concat_0: has 2 maps for a batch of 1; must have one an image",
                     "sensitivity", "two.onnx", "arrays", "-o", "found")


@pytest.mark.parametrize("batch", [1, 4])
def test_what_leads_to_infinity_is_named(files, tmp_path, batch):
    folder = tmp_path / "arrays"
    folder.mkdir()
    for name, value in (("a", 1), ("b", 1e38), ("c", 1)):
        np.save(folder / f"{name}.npy", np.full((3, HEIGHT, WIDTH), value, np.float32))
    with pytest.raises(ConfigError, match=r"arrays/b\.npy: leads to a tensor that isn't finite"):
        maps_of(open_network(model(tmp_path / "own.onnx", batch), SHAPE), folder)


def test_inputs_of_an_array_are_counted(files, monkeypatch):
    """Inputs are spread over the whole array, and are not normalised."""
    path, folder = files
    opened = open_network(path, SHAPE)
    for index in range(3):
        os.unlink(os.path.join(folder, f"{index}.png"))
    array = np.random.default_rng(1).normal(size=(10, 3, HEIGHT, WIDTH)).astype(np.float32)
    np.save(os.path.join(folder, "a.npy"), array)
    assert len(find_images(SensitivityOptions(calibration=folder, limit=4), opened)) == 4
    np.testing.assert_array_equal(np.concatenate(inputs(opened, folder, limit=4)), array[::3])
    monkeypatch.setattr(feature_maps_module, "MOST_BYTES", 4 * 2 * (HEIGHT // 2) * (WIDTH // 2) * CHANNELS * 9)
    assert len(maps_of(opened, folder, limit=9)[opened.blocks[0].name]) == 9
    with pytest.raises(ConfigError, match=r"^limit=10: must be less: feature maps of "):
        maps_of(opened, folder)


@pytest.mark.parametrize(("name", "content"), [("a.png", b"nothing"), ("a.npy", b"\x93NUMPY"), ("a.npz", b"PK")])
def test_damaged_image(tiled_se, files, name, content):
    pathlib.Path(files[1], name).write_bytes(content)
    finished = tiled_se("sensitivity", *files, "--input-shape", f"3x{HEIGHT}x{WIDTH}", "-o", "found")
    assert finished.status == 2
    assert finished.err.startswith("tiled-se: error: CALIBRATION=")
    assert name in finished.err
    assert not os.path.exists("found")
