# SPDX-License-Identifier: Apache-2.0
"""The formats of a quantised network's integers, as they are read for each block."""

import json
import pathlib

import ml_dtypes
import numpy as np
import onnx
import pytest

from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import SHAPE, block, network
from tests.helpers.onnx_quantised import NETWORKS, WAYS, brevitas, quantised
from tests.helpers.onnx_runs import graph_of
from tiled_se.golden.block import DataFormat
from tiled_se.hdl.data_type import DataType
from tiled_se.network.match.match import match
from tiled_se.network.network import find_blocks
from tiled_se.network.read.model import load_model

TYPES = {"u8": "uint8", "s8-channel": "int8", "s8-symmetric": "int8", "u16": "uint16"}


def initialiser(model, name):
    return next(onnx.numpy_helper.to_array(item) for item in model.graph.initializer if item.name == name)


@pytest.mark.parametrize(("way", "operators"), [*((way, False) for way in WAYS), ("s8-channel", True)])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_onnxruntime(tmp_path, name, way, operators):
    """The numbers of the file's own constants, found by the names that the quantiser gives them."""
    path = quantised(name, way, str(tmp_path), operators)
    model = onnx.load(path)
    blocks = find_blocks(load_model(path).model)
    assert len(blocks) >= 9
    for found in blocks:
        numbers = found.numbers
        plain = numbers.y_codes.removesuffix("_QuantizeLinear_Output").removesuffix("_quantized")
        scale, zero = (initialiser(model, f"{plain}_{part}") for part in ("scale", "zero_point"))
        assert numbers.y == DataFormat(float(scale), int(zero), DataType.parse(TYPES[way]))
        assert numbers.x.data == numbers.y.data
        assert numbers.x.zero_point == 0 or way != "s8-symmetric"
        assert found.ranges.roundings.keys() >= {"mean", "hidden", "gates"}
        for stored, weight in zip(numbers.layers, (found.float_block.w1, found.float_block.w2), strict=True):
            assert (stored.several, stored.symmetric, str(stored.type)) == ("channel" in way or way == "u16", True,
                                                                            "int8")
            np.testing.assert_allclose(stored.integers * stored.steps[:, None], weight, rtol=1e-6)
            assert stored.bits == 8
            assert any(tensor.name.endswith("_quantized") and np.array_equal(
                onnx.numpy_helper.to_array(tensor).reshape(-1), stored.integers.reshape(-1))
                for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.INT8)


@pytest.mark.parametrize(("bits", "weight_bits"), [(4, 4), (2, 2), (8, 8), (16, 3)])
def test_networks_of_brevitas(tmp_path, bits, weight_bits):
    path = brevitas(str(tmp_path / "net.onnx"), bits=bits, weight_bits=weight_bits, inside=5)
    (found,) = find_blocks(load_model(path).model)
    steps = 2 ** bits - 1
    assert found.numbers.x == DataFormat(float(np.float32(3 / steps)), 0, DataType(bits, signed=False))
    assert found.numbers.y == DataFormat(float(np.float32(2 / steps)), 0, DataType(bits, signed=False))
    assert [stored.bits for stored in found.numbers.layers] == [weight_bits] * 2
    assert {stage: [rounding.format.data for rounding in items] for stage, items in found.ranges.roundings.items()} == \
        dict.fromkeys(("mean", "hidden", "gates"), [DataType(5, signed=False)])


def fake(net, x, scale=1 / 16, zero=128, kind=np.uint8, **about):
    names = net.constant(scale), net.constant(zero, kind)
    return net("DequantizeLinear", net("QuantizeLinear", x, *names, **about), *names, **about)


def written(weight=lambda net, w: net.constant(w), x=fake, y=fake):
    """A block whose weights `weight` writes, of a map that `x` makes, with the node that `y` adds to its product."""
    held, net = block(), Net(21)
    source = x(net, "x")
    hidden = net("Relu", net("Conv", net("GlobalAveragePool", source), weight(net, held.w1[:, :, None, None]),
                             net.constant(held.b1)))
    logits = net("Conv", hidden, weight(net, held.w2[:, :, None, None]), net.constant(held.b2))
    net("Neg", y(net, net("Mul", source, net("Sigmoid", logits))), output="y")
    (found,), _ = match(graph_of(net.model({"x": SHAPE}, {"y": SHAPE})))
    return found.numbers


def stored(net, w, scale=1 / 128, zero=0, kind=np.int8, **about):
    spread = np.reshape(scale, [-1 if axis == about.get("axis") else 1 for axis in range(4)])
    integers = np.rint(w / spread) + zero
    return net("DequantizeLinear", net.constant(integers, kind), net.constant(scale),
               net.constant(np.full(np.shape(scale), zero), kind), **about)


def test_plain_networks_have_none():
    (found,) = find_blocks(network())
    assert not found.numbers.known
    assert found.ranges.roundings == {}


def test_what_is_float_is_none():
    numbers = written(x=lambda net, x: net("Relu", x))
    assert (numbers.x, numbers.y) == (None, DataFormat(1 / 16, 128, DataType(8, signed=False)))
    assert numbers.layers == (None, None)
    numbers = written(y=lambda net, y: net("Relu", y))
    assert (numbers.x, numbers.y) == (DataFormat(1 / 16, 128, DataType(8, signed=False)), None)


def test_readers_that_quantise_in_other_ways():
    """The output has a format if all that read it have the same."""
    def twice(net, y, scale):
        return net("Add", fake(net, y), fake(net, y, scale=scale))

    assert written(y=lambda net, y: twice(net, y, 1 / 16)).y is not None
    assert written(y=lambda net, y: twice(net, y, 1 / 8)).y is None
    assert written(y=lambda net, y: net("Add", fake(net, y), y)).y is None


def test_a_scale_for_each_channel_of_a_map():
    six = np.full(6, 128)
    assert written(y=lambda net, y: fake(net, y, np.arange(1, 7) / 16, six, axis=1)).y is None


def test_weights():
    one, other = written(stored).layers
    assert (str(one.type), one.several, one.symmetric, one.bits) == ("int8", False, True, 8)
    np.testing.assert_allclose(one.integers / 128, block().w1)
    np.testing.assert_allclose(other.integers / 128, block().w2)


def test_weights_with_a_zero_point():
    one, _ = written(lambda net, w: stored(net, w, zero=128, kind=np.uint8)).layers
    assert (str(one.type), one.symmetric) == ("uint8", False)
    np.testing.assert_allclose(one.integers / 128, block().w1)


def test_a_scale_for_each_input_is_none_of_an_output():
    def across(net, w):
        return stored(net, w, np.arange(1, w.shape[1] + 1) / 128, axis=1)

    numbers = written(across, x=lambda net, x: net("Relu", x), y=lambda net, y: net("Relu", y))
    assert numbers.layers == (None, None)
    assert [(str(one.type), one.symmetric, len(one.steps)) for one in numbers.others] == [
        ("int8", True, 6), ("int8", True, 3)]
    for one in numbers.others:
        np.testing.assert_allclose(one.steps, np.arange(1, len(one.steps) + 1) / 128)
    assert numbers.known


def blocks_of_integers(net, w, kind=np.int8):
    """Scales of two numbers each, along the inputs."""
    pairs = -(-w.shape[1] // 2)
    scale = np.broadcast_to(np.arange(1, pairs + 1)[:, None, None] / 64, (len(w), pairs, 1, 1)).copy()
    integers = np.clip(np.rint(w / np.repeat(scale, 2, 1)[:, :w.shape[1]]), -8, 7)
    names = (net.constant(array, kind) for array, kind in ((integers, kind), (scale, np.float32)))
    return net("DequantizeLinear", *names, axis=1, block_size=2)


def test_scales_of_blocks():
    numbers = written(blocks_of_integers)
    assert numbers.layers == (None, None)
    assert [(one.symmetric, one.steps) for one in numbers.others] == [(True, None)] * 2
    floats = written(lambda net, w: blocks_of_integers(net, w, ml_dtypes.float8_e4m3fn))
    assert floats.others == floats.layers == (None, None)


def per_input_and_in_blocks(net, w):
    """The first layer has a scale for each input, the second has blocks."""
    return blocks_of_integers(net, w) if len(w) > w.shape[1] else stored(
        net, w, np.arange(1, w.shape[1] + 1) / 128, axis=1)


def test_inspect_of_other_scales(tiled_se):
    held, net = block(), Net(21)
    hidden = net("Relu", net("Conv", net("GlobalAveragePool", "x"), per_input_and_in_blocks(
        net, held.w1[:, :, None, None]), net.constant(held.b1)))
    logits = net("Conv", hidden, per_input_and_in_blocks(net, held.w2[:, :, None, None]), net.constant(held.b2))
    net("Mul", "x", net("Sigmoid", logits), output="y")
    onnx.save(net.model({"x": SHAPE}, {"y": SHAPE}), "net.onnx")
    out = tiled_se.passes("inspect", "net.onnx", "--json", "blocks.json").out.splitlines()
    (about,) = json.loads(pathlib.Path("blocks.json").read_text())["blocks"]
    formats, at = about["formats"], next(i for i, line in enumerate(out) if line.startswith("formats"))
    line = " ".join(out[at + 1].split()[1:])
    assert line == f"float float int8 per input {formats['w2']['dtype']} in blocks nothing"
    assert (formats["w1"]["scales"], len(formats["w1"]["scale"])) == ("per input", 6)
    assert (formats["w2"]["scales"], formats["w2"]["scale"]) == ("in blocks", None)


def test_what_is_folded_is_in_the_steps():
    """The weights are those integers still; a negative factor turns their signs."""
    net, held, factors = Net(21), block(), np.linspace(-2, 2, 6)[:, None, None]
    hidden = net("Relu", net("Conv", net("GlobalAveragePool", "x"), net.constant(held.w1[:, :, None, None])))
    logits = net("Mul", net("Conv", hidden, stored(net, held.w2[:, :, None, None])), net.constant(factors))
    net("Mul", "x", net("Sigmoid", logits), output="y")
    (found,), _ = match(graph_of(net.model({"x": SHAPE}, {"y": SHAPE})))
    _, layer = found.numbers.layers
    np.testing.assert_allclose(layer.steps, abs(factors[:, 0, 0]) / 128, rtol=1e-6)
    np.testing.assert_array_equal(layer.integers, np.rint(held.w2 * 128) * np.sign(factors[:, 0]))


@pytest.mark.parametrize("least", [2e-16, 0])
def test_rows_of_zeros_have_a_step(least):
    """That of the row with the largest one, whatever scale the file has for them; 1 if there is no other row."""
    def pruned(rows, **about):
        def weight(net, w):
            w = w.copy()
            w[rows] = 0
            return stored(net, w, **about)

        return weight

    for layer, held in zip(written(pruned(1)).layers, (block().w1, block().w2), strict=True):
        np.testing.assert_allclose(layer.steps, 1 / 128, rtol=1e-6)
        np.testing.assert_array_equal(layer.integers, np.where(np.arange(len(held))[:, None] == 1, 0, held * 128))
    for layer in written(pruned(slice(None))).layers:
        assert (layer.bits, set(layer.steps), layer.integers.any()) == (2, {1.0}, False)

    def each_row(net, w):
        w, steps = w.copy(), np.arange(1, len(w) + 1) / 512
        # Any integers times 0 are zeros.
        integers, steps[1] = np.rint(w / steps[:, None, None, None]), least
        integers[1] = 0 if least else 5
        return net("DequantizeLinear", net.constant(integers, np.int8), net.constant(steps), axis=0)

    for layer in written(each_row).layers:
        rows = len(layer.steps)
        np.testing.assert_allclose(layer.steps, np.where(np.arange(rows) == 1, rows, np.arange(1, rows + 1)) / 512)


def test_a_factor_of_zero_makes_a_row_of_zeros():
    net, held, factors = Net(21), block(), np.array([1, 0, 2, -1, 0, 1])[:, None, None]
    hidden = net("Relu", net("Conv", net("GlobalAveragePool", "x"), net.constant(held.w1[:, :, None, None])))
    logits = net("Mul", net("Conv", hidden, stored(net, held.w2[:, :, None, None])), net.constant(factors))
    net("Mul", "x", net("Sigmoid", logits), output="y")
    (found,), _ = match(graph_of(net.model({"x": SHAPE}, {"y": SHAPE})))
    _, layer = found.numbers.layers
    np.testing.assert_allclose(layer.steps, np.array([1, 2, 2, 1, 2, 1]) / 128, rtol=1e-6)
    np.testing.assert_array_equal(layer.integers, np.rint(held.w2 * 128) * np.sign(factors[:, 0]))


def test_inspect(tiled_se, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    brevitas("net.onnx")
    out = tiled_se.passes("inspect", "net.onnx", "--json", "blocks.json").out.splitlines()
    (about,) = json.loads(pathlib.Path("blocks.json").read_text())["blocks"]
    at = next(i for i, line in enumerate(out) if line.startswith("formats"))
    assert out[at].split("  ")[0] == "formats"
    assert " ".join(out[at + 1].split()[1:]) == ("uint4 0.2 uint4 0.1333 int4 per channel int4 per channel "
                                                 "mean uint8, hidden uint8, gates uint8")
    formats = about["formats"]
    assert formats["x"] == {"dtype": "uint4", "scale": pytest.approx(0.2), "zero_point": 0}
    assert (formats["w1"]["dtype"], len(formats["w1"]["scale"]), len(formats["w2"]["scale"])) == ("int4", 3, 6)
    assert formats["w1"]["scales"] == "per output"
    assert formats["rounded"]["hidden"] == [{"dtype": "uint8", "scale": pytest.approx(2 / 255), "zero_point": 0}]


def test_inspect_of_a_plain_network(tiled_se, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    onnx.save(network(), "net.onnx")
    out = tiled_se.passes("inspect", "net.onnx", "--json", "blocks.json").out
    assert "formats" not in out
    assert [about["formats"] for about in json.loads(pathlib.Path("blocks.json").read_text())["blocks"]] == [None]
