# SPDX-License-Identifier: Apache-2.0
"""Tiled blocks whose nodes and quantisers stay: against the network's roundings in numpy, in every context."""

import dataclasses
import itertools

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.helpers.contexts import averaged
from tests.helpers.nightly import seldom
from tests.helpers.onnx_networks import SPELLINGS, network
from tests.helpers.onnx_quantised import NETWORKS, WAYS, brevitas, four_bits, images, quantised
from tests.helpers.onnx_runs import close, data, run, two
from tiled_se.hdl.config import ConfigError, Context, Order, Tiling
from tiled_se.network.check.whole import check_tiled
from tiled_se.network.network import find_blocks, open_network
from tiled_se.network.read.model import load_model as load
from tiled_se.network.read.shapes import open_session
from tiled_se.network.tile import tile_blocks

TILINGS = (
    Tiling(k=7), Tiling(k=1), Tiling(k=3, tile_width=5), Tiling(k=3, order=Order.COLUMNS),
    Tiling(k=3, context=Context.CUMULATIVE, prior_rows=1), Tiling(k=2, context=Context.CAUSAL, prior_rows=2),
    Tiling(k=2, context=Context.CAUSAL, prior_rows=1, max_rows=5, order=Order.COLUMNS),
    Tiling(k=1, context=Context.WINDOW, window=(1, 3)),
)
WHOLE = (Tiling(k=16), Tiling(k=1 << 20, tile_width=1 << 10), Tiling(k=16, order=Order.COLUMNS),
         Tiling(k=16, context=Context.CUMULATIVE), Tiling(k=1, context=Context.WINDOW, window=(0, 16)))
QUANTISERS = ("QuantizeLinear", "DequantizeLinear")


def prior(block):
    return np.linspace(0, 0.3, block.channels)


def with_priors(blocks):
    return [dataclasses.replace(block, float_block=dataclasses.replace(block.float_block, prior=prior(block)))
            for block in blocks]


class Excite:
    """The nodes of a block from its mean to its gates, in float64 but for what quantisers round."""

    def __init__(self, model, mean):
        self.arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self.producer = {name: node for node in model.graph.node for name in node.output}
        self.nodes, name = [], mean
        while True:
            (node,) = [node for node in model.graph.node if name in node.input]
            if node.op_type == "Mul":
                break
            self.nodes.append(node)
            name = node.output[0]

    def number(self, name):
        """A constant, or what a DequantizeLinear makes of one."""
        if name in self.arrays:
            return self.arrays[name].astype(np.float64)
        node = self.producer[name]
        assert node.op_type == "DequantizeLinear"
        values, scale, zero = map(self.number, node.input)
        several = [-1] + [1] * (values.ndim - 1) if scale.size > 1 else []
        return (values - zero.reshape(several)) * scale.reshape(several)

    def gates(self, z):
        """``(rounded, exact, error, step)`` of means (..., C): gates with the network's roundings and without, how far
        these may be apart, and the step of the last quantiser."""
        rounded, exact, error, step = z, z, np.zeros(z.shape[-1]), None
        for node in self.nodes:
            if node.op_type == "QuantizeLinear":
                step, zero = self.number(node.input[1]), self.number(node.input[2])
                ends = np.iinfo(self.arrays[node.input[2]].dtype)
                low, high = (ends.min - zero) * step, (ends.max - zero) * step
                rounded = np.clip(np.rint((rounded / step).astype(np.float32)) + zero, ends.min, ends.max)
                exact, error = np.clip(exact, low, high), error + step / 2
            elif node.op_type == "DequantizeLinear":
                rounded = (rounded - self.number(node.input[2])) * self.number(node.input[1])
            elif node.op_type == "Conv":
                weight, bias = self.number(node.input[1])[:, :, 0, 0], self.number(node.input[2])
                rounded, exact, error = rounded @ weight.T + bias, exact @ weight.T + bias, abs(weight) @ error
            else:
                function, slope = {"Relu": (lambda v: np.maximum(v, 0), 1),
                                   "Sigmoid": (lambda v: 1 / (1 + np.exp(-v)), 1 / 4),
                                   "HardSigmoid": (lambda v: np.clip(v / 6 + 0.5, 0, 1), 1 / 6)}[node.op_type]
                rounded, exact, error = function(rounded), function(exact), slope * error
        return rounded, exact, error, step


def means(tiling, x, of_prior):
    """The mean (C) for each pixel of a map (H, W, C)."""
    if tiling.order is Order.COLUMNS:
        rows = dataclasses.replace(tiling, order=Order.ROWS)
        return means(rows, x.transpose(1, 0, 2), of_prior).transpose(1, 0, 2)
    z, found, (height, width) = np.empty(x.shape), {}, x.shape[:2]
    for row, column in np.ndindex(height, width):
        counted = averaged(tiling, height, width, row, column)
        if counted.tobytes() not in found:
            pixels = x[counted]
            imaginary = width * tiling.prior_rows if tiling.window is None else not len(pixels)
            found[counted.tobytes()] = (imaginary * of_prior + pixels.sum(axis=0)) / (imaginary + len(pixels))
        z[row, column] = found[counted.tobytes()]
    return z


def same_constants(model, other):
    """Whether each constant of `model` is in `other`, with the same numbers."""
    others = {tensor.name: tensor.SerializeToString() for tensor in other.graph.initializer}
    return all(others.get(tensor.name) == tensor.SerializeToString() for tensor in model.graph.initializer)


def written(model):
    """Operator, inputs and attributes of each node by its output."""
    return {node.output[0]: (node.op_type, [*node.input], [attribute.SerializeToString() for attribute in
                                                           node.attribute]) for node in model.graph.node}


def check_product(before, after, y, tiling):
    """The product `y` has the same map, and the same gates but for a Gather along each axis whose tiles have several
    lines."""
    (operator, inputs, attributes), gathered, spread = after[y], [], []
    for name in inputs:
        while name not in before:
            gathered.append(after[name][0])
            name = after[name][1][0]
        spread.append(name)
    assert (operator, spread, attributes) == before[y]
    several = () if tiling.window else (size for size in (tiling.k, tiling.tile_width or 1) if size > 1)
    assert gathered == ["Gather" for _ in several]


def outputs(model, taps, fed, optimise=False):
    return open_session(model, taps, threads=1, optimise=optimise).run(taps, fed)


@pytest.mark.parametrize(("name", "way"), seldom(
    itertools.product(NETWORKS, WAYS), *zip(2 * NETWORKS, WAYS, strict=True)))
def test_networks(name, way, tmp_path):
    """Nothing but the mean changes, and y is what the network's roundings make of each tile's mean.

    Integers of 16 bits are so near to each other that sums in another order come to another one.
    """
    opened = open_network(quantised(name, way, tmp_path), check=False)
    blocks, original, fed = with_priors(opened.blocks), opened.model, {"x": images(1, seed=5)}
    assert all(block.quantised for block in blocks)
    assert len(blocks) > 8
    before = written(original)
    own = [outputs(original, ["y"], fed, optimise)[0] for optimise in (False, True)]
    for tiling in WHOLE:
        kept = tile_blocks(original, blocks, tiling, keep=True)
        assert written(kept) == before
        assert same_constants(original, kept)
        for optimise, y in enumerate(own):
            np.testing.assert_array_equal(outputs(kept, ["y"], fed, bool(optimise))[0], y)
    for tiling in TILINGS if way in ("s8-channel", "u16") else TILINGS[:2]:
        kept = tile_blocks(original, blocks, tiling, keep=True)
        onnx.checker.check_model(kept, full_check=True)
        after = written(kept)
        assert same_constants(original, kept)
        changed = {output for output, node in before.items() if after.get(output) != node}
        tiled = [block for block in blocks if block.mean.tensor in changed]
        for block in tiled:
            check_product(before, after, block.y, tiling)
        # A mean's axes may be the output of a node.
        assert changed <= {name for block in tiled for name in (block.mean.tensor, block.y)} | {
            output for output, node in before.items() if node[0] == "Constant"}
        assert len(tiled) >= len([block for block in blocks if block.height > tiling.k])
        assert {node[0] for output, node in after.items() if output not in before}.isdisjoint(QUANTISERS)
        taps = [name for block in tiled for name in (block.x, block.y)]
        arrays = [array[0].transpose(1, 2, 0).astype(np.float64) for array in outputs(kept, taps, fed)]
        for block, x, y in zip(tiled, arrays[::2], arrays[1::2], strict=True):
            rounded, exact, error, step = Excite(original, block.mean.tensor).gates(means(tiling, x, prior(block)))
            apart = abs(y - x * rounded) / (np.where(x == 0, 1, abs(x)) * step)
            assert np.mean(apart < 0.01) > 0.9 if way == "u16" else apart.max() < 0.01
            # The float block that the roundings are of.
            assert (abs(y - x * exact) <= abs(x) * (error + 1e-5)).all()


@pytest.mark.parametrize("name", [name for name in SPELLINGS if name != "mid-swish"])
def test_spellings(name):
    """The nodes of every spelling take tiles: on a map of fixed size, and where they can on one of open size."""
    spelling = SPELLINGS[name]
    for height in (11,) if spelling.sized else (11, "h"):
        model = network(spelling, height=height)
        blocks = with_priors(find_blocks(model, check=False))
        for tiling in (TILINGS[2], TILINGS[6]) if height == 11 else (TILINGS[3], TILINGS[4]):
            if height == "h" and spelling.opset < 11:
                continue
            kept = tile_blocks(model, blocks, tiling, keep=True)
            onnx.checker.check_model(kept, full_check=True)
            assert same_constants(model, kept)
            x = data(spelling, 11)
            close(run(kept, x)[0], run(tile_blocks(model, blocks, tiling), x)[0], 1e-5)


def test_layers_on_maps_stay_as_they_are():
    """1x1 Convs take the tiles as a map: one node pools them, and one spreads their gates."""
    model = network()
    kept = tile_blocks(model, find_blocks(model), 3, keep=True)
    new = [node.op_type for node in kept.graph.node if node.output[0].startswith("tiled_se/")]
    (pool,) = [node for node in kept.graph.node if node.op_type == "AveragePool"]
    assert new == ["Gather"]
    assert len(kept.graph.node) == len(model.graph.node) + 1
    assert pool.output[0] == next(node.output[0] for node in model.graph.node if node.op_type == "GlobalAveragePool")


def test_what_cannot_be_kept():
    model = two()
    blocks = find_blocks(model)
    with pytest.raises(ConfigError) as caught:
        tile_blocks(model, blocks, 3, keep=True)
    assert caught.value.option == "keep_quantised"
    assert caught.value.allowed == (f"block {blocks[0].name}: node {model.graph.node[-1].name} outside of it reads one "
                                    f"of its vectors; SKIP={blocks[0].name} leaves it as it is")
    tile_blocks(model, blocks, {blocks[1].name: 3}, keep=True)


def test_gates_that_are_an_output():
    model = network()
    gates = next(node.output[0] for node in model.graph.node if node.op_type == "Sigmoid")
    model.graph.output.append(onnx.ValueInfoProto(name=gates))
    with pytest.raises(ConfigError, match="one of its vectors is an output of the network"):
        tile_blocks(model, find_blocks(model), 3, keep=True)


def test_reshape_to_one_image():
    """Its number of images is written as it was in the exporter's sample; where it can't be told apart it is named."""
    model = network(SPELLINGS["layer-gemm"])
    (block,) = find_blocks(model)
    node = next(node for node in model.graph.node if node.op_type == "Reshape")
    node.attribute.append(onnx.helper.make_attribute("allowzero", 1))
    model.opset_import[0].version = 14
    shape = next(tensor for tensor in model.graph.initializer if tensor.name == node.input[1])
    shape.CopyFrom(numpy_helper.from_array(np.array([1, block.channels]), shape.name))
    with pytest.raises(ConfigError, match="is a Reshape that may take only one image"):
        tile_blocks(model, [block], 3, keep=True)
    del node.attribute[:]
    x = data(SPELLINGS["layer-gemm"], 11)
    close(run(tile_blocks(model, [block], 3, keep=True), x)[0], run(tile_blocks(model, [block], 3), x)[0], 1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_command_on_networks(tiled_se, tmp_path, way):
    """The command writes what was tested above, once its own check has run."""
    path, out = quantised(NETWORKS[0], way, tmp_path), str(tmp_path / "out.onnx")
    result = tiled_se.passes("swap", path, "--k", "3", "--keep-quantised", "-o", out)
    opened = open_network(path, check=False)
    assert f": {len(opened.blocks)} blocks tiled\n" in result.out
    kept = tile_blocks(opened.model, opened.blocks, 3, keep=True)
    assert written(onnx.load(out)) == written(kept)
    assert same_constants(kept, onnx.load(out))


@pytest.mark.parametrize("signed", [False, True], ids=["uint4", "int4"])
def test_types_of_4_bits(tiled_se, tmp_path, signed):
    """Each tile's mean is that of the integers, and every row has the gates that the network makes of its tile's."""
    path, out = four_bits(str(tmp_path / "net.onnx"), signed), str(tmp_path / "out.onnx")
    tiled_se.passes("swap", path, "--k", "3", "--keep-quantised", "-o", out)
    (block,), kept, fed = open_network(path).blocks, onnx.load(out), {"x": images(1, seed=5, size=16)}
    original = load(path).model
    x, y = (array[0].transpose(1, 2, 0).astype(np.float64) for array in outputs(kept, [block.x, block.y], fed))
    gates, _, _, step = Excite(original, block.mean.tensor).gates(means(Tiling(k=3), x, 0))
    assert (abs(y - x * gates) <= 0.01 * step * abs(x) + 1e-6).all()
    assert len(np.unique(gates[:, 0], axis=0)) == 6
    check_product(written(original), written(kept), block.y, Tiling(k=3))


@pytest.mark.parametrize(("bits", "inside"), [(4, 8), (12, 10)])
def test_command(tiled_se, tmp_path, bits, inside):
    """Operators on integers, too: they are written as what they compute between quantisers."""
    path, out = brevitas(str(tmp_path / "net.onnx"), bits=bits, inside=inside), str(tmp_path / "out.onnx")
    result = tiled_se("swap", path, "--k", "3", "--keep-quantised", "-o", out)
    assert result.status == 0, result.err
    assert "tiles of 3 rows of 16; its quantisers stay\n" in result.out
    (block,) = open_network(path).blocks
    assert open_network(out, check=False).graph.producer.keys() >= {block.y}
    counts = [sum(node.op_type in QUANTISERS for node in load(name).nodes) for name in (path, out)]
    assert counts[0] == counts[1] > 10


def test_network_without_quantisers(tiled_se, tmp_path):
    path, out = tmp_path / "net.onnx", tmp_path / "out.onnx"
    onnx.save(network(), path)
    result = tiled_se("swap", str(path), "--keep-quantised", "-o", str(out))
    assert result.status == 2
    assert not out.exists()
    assert result.err == ("tiled-se: error: KEEP_QUANTISED=1 (--keep-quantised): needs a quantised network; this one "
                          "has no QuantizeLinear and no DequantizeLinear\n")


def test_wrong_tiles_are_found(tmp_path):
    """`swap` checks the tiles of blocks that round, and that cut off what their maps never have."""
    opened = open_network(brevitas(str(tmp_path / "net.onnx")))
    blocks = with_priors(opened.blocks)
    for tiling in (TILINGS[0], TILINGS[4]):
        tilings = {block.name: tiling for block in blocks}
        kept = tile_blocks(opened.model, blocks, tiling, keep=True)
        assert check_tiled(opened, blocks, kept, tilings, keep=True) == ["y"]
        (tensor,) = [tensor for tensor in kept.graph.initializer if tensor.name.endswith("tile_of_row")]
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) // 2, tensor.name))
        with pytest.raises(ConfigError, match="on random maps the gates of .* differ by"):
            check_tiled(opened, blocks, kept, tilings, keep=True)
