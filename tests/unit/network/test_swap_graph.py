# SPDX-License-Identifier: Apache-2.0
"""The rest of an ONNX graph stays as it was when blocks are tiled in it."""

import numpy as np
import onnx
import pytest
import torch

from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import CHANNELS, WIDTH, Spelling, block, network, se
from tests.helpers.onnx_runs import close, data, expected, run, two
from tiled_se.golden.module import TiledSE
from tiled_se.hdl.config import ConfigError
from tiled_se.network.network import find_blocks
from tiled_se.network.tile import tile_blocks


def test_what_else_reads_the_inside_is_as_before():
    model, x = two(), data(Spelling(), 11)
    y, z = run(tile_blocks(model, find_blocks(model), 3), x)
    before = run(model, x)
    np.testing.assert_allclose(z, before[1], rtol=1e-6)
    assert np.abs(y - before[0]).max() > 1e-3


def test_rows_by_name():
    model, x = two(), data(Spelling(), 11)
    first, second = find_blocks(model)
    some = run(tile_blocks(model, [first, second], {second.name: 3}), x)[0]
    middle = TiledSE.from_block(first.float_block, 11)(torch.tensor(x))
    expected_y = TiledSE.from_block(second.float_block, 3)(middle).detach().numpy()
    close(some, expected_y)
    with pytest.raises(ConfigError, match="k=nothing: is no block of the model"):
        tile_blocks(model, [first], {"nothing": 3})
    with pytest.raises(ConfigError, match="k=0: must be from 1 to "):
        tile_blocks(model, [first], 0)


def test_one_after_the_other():
    """A network that has a tiled block already, whose name the second block then takes, as both are of one scope."""
    model, x = two(), data(Spelling(), 11)
    for index, node in enumerate(model.graph.node):
        node.name = f"/a/{node.op_type}_{index}"
    first, second = find_blocks(model)
    once = tile_blocks(model, [first], 3)
    (left,) = find_blocks(once)
    assert left.name == first.name
    twice = tile_blocks(once, [left], 3)
    onnx.checker.check_model(twice)
    close(run(twice, x)[0], run(tile_blocks(model, [first, second], 3), x)[0], 1e-6)


def test_constants_among_the_inputs():
    """The oldest version of the format declares every constant as an input, too."""
    model, x = network(Spelling(opset=7)), data(Spelling(), 11)
    model.ir_version = 3
    model.graph.input.extend(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
                             for tensor in model.graph.initializer)
    tiled = tile_blocks(model, find_blocks(model), 4)
    onnx.checker.check_model(tiled)
    assert {value.name for value in tiled.graph.input} == {"x"} | {tensor.name for tensor in tiled.graph.initializer}
    close(run(tiled, x)[0], expected(Spelling(), x, 4))


def test_inner_graphs_keep_what_they_read():
    """Graphs in nodes read the hidden vector and a bias that nothing else is left to read."""
    net = Net()
    y = se(net, "x", Spelling())
    hidden = next(node.output[0] for node in net.nodes if node.op_type == "Relu")
    bias = net.nodes[3].input[2]
    inner = [onnx.helper.make_graph([onnx.helper.make_node("Identity", [name], [f"inner_{name}"])], name, [],
                                    [onnx.helper.make_tensor_value_info(f"inner_{name}", 1, None)])
             for name in (hidden, bias)]
    condition = net("Greater", net("ReduceMax", "x", keepdims=0), net.constant(1e9))
    net("If", condition, output="z", then_branch=inner[0], else_branch=inner[1])
    net("Identity", y, output="y")
    model = net.model({"x": (1, CHANNELS, "h", WIDTH)}, {"y": None, "z": None})
    x = data(Spelling(), 11)
    tiled = tile_blocks(model, find_blocks(model), 4)
    found, z = run(tiled, x)
    close(found, expected(Spelling(), x, 4))
    np.testing.assert_array_equal(z, block().b2.astype(np.float32))
    x[0, 0, 0, 0] = 2e9
    np.testing.assert_allclose(run(tiled, x)[1], run(model, x)[1], rtol=1e-6)


def test_shared_weights():
    net = Net()
    middle = se(net, "x", Spelling())
    net.tensors, held = [], net.tensors
    net("Identity", se(net, middle, Spelling()), output="y")
    # The second block's constants have the first one's names and numbers.
    net.tensors = held
    model, x = net.model({"x": (1, CHANNELS, 11, WIDTH)}, {"y": None}), data(Spelling(), 11)
    blocks = find_blocks(model)
    expected_y = expected(Spelling(), expected(Spelling(), x, 4), 11)
    close(run(tile_blocks(model, blocks, {blocks[0].name: 4}), x)[0], expected_y)
    close(run(tile_blocks(model, blocks, 4), x)[0], expected(Spelling(), expected(Spelling(), x, 4), 4))


@pytest.mark.parametrize("at", [0, 1], ids=["before", "map"])
@pytest.mark.parametrize("shape", [None, (None, CHANNELS, None, WIDTH), ("n", CHANNELS, "h", WIDTH)])
def test_sizes_of_a_sample_are_not_believed(shape, at):
    """Some exporters declare the sizes of their sample inside of a network that takes any."""
    net = Net()
    # Runtimes remove an Identity, with its declared shape.
    net("Identity", se(net, net("Relu", net("Neg", "x")), Spelling()), output="y")
    model = net.model({"x": shape}, {"y": None})
    model.graph.value_info.append(onnx.helper.make_tensor_value_info(net.nodes[at].output[0], 1,
                                                                     (1, CHANNELS, 11, WIDTH)))
    (found,) = find_blocks(model)
    tiled = tile_blocks(model, [found], 4)
    x = np.concatenate([data(Spelling(), 23), -data(Spelling(), 23)])
    expected_y = np.concatenate([expected(Spelling(), np.maximum(-half, 0), 4) for half in (x[:1], x[1:])])
    close(run(tiled, x)[0], expected_y)


def test_gates_that_are_an_output():
    model, x = network(), data(Spelling(), 11)
    gates = next(node.output[0] for node in model.graph.node if node.op_type == "Sigmoid")
    model.graph.output.append(onnx.helper.make_tensor_value_info(gates, 1, (1, CHANNELS, 1, 1)))
    found, kept = run(tile_blocks(model, find_blocks(model), 4), x)
    close(found, expected(Spelling(), x, 4))
    np.testing.assert_allclose(kept, run(model, x)[1], rtol=1e-6)


def test_ends_of_the_network():
    """The block's own input and output are the network's, and keep their names."""
    model, x = network(Spelling(end="add")), data(Spelling(), 11)
    last = model.graph.node.pop()
    model.graph.node[-1].output[0] = last.output[0]
    tiled = tile_blocks(model, find_blocks(model), 4)
    onnx.checker.check_model(tiled, full_check=True)
    close(run(tiled, x)[0], expected(Spelling(end="add"), x, 4))


@pytest.mark.parametrize("name", ["Conv_2", "Sigmoid_5"])
def test_a_tensor_with_a_name_like_those_of_the_new_nodes(name):
    """No two nodes have one name."""
    net = Net()
    net("Identity", se(net, "x", Spelling()), output="y")
    net.nodes[-2].output[0] = net.nodes[-1].input[0] = name
    model, x = net.model({"x": (1, CHANNELS, 11, WIDTH)}, {"y": None}), data(Spelling(), 11)
    tiled = tile_blocks(model, find_blocks(model), 4)
    names = [node.name for node in tiled.graph.node]
    assert len(set(names)) == len(names)
    close(run(tiled, x)[0], expected(Spelling(), x, 4))


def test_no_constant_is_as_long_as_a_declared_height():
    """A file of some bytes may declare any: the tiles of its rows are computed where it runs."""
    declared = network(height=1 << 26)
    tiled = tile_blocks(declared, find_blocks(declared), 7)
    assert tiled.ByteSize() < 10_000
    # The same nodes on a map that fits.
    for value in (*tiled.graph.input, *tiled.graph.output):
        value.type.tensor_type.shape.dim[2].dim_value = 11
    del tiled.graph.value_info[:]
    x = data(Spelling(), 11)
    close(run(tiled, x)[0], expected(Spelling(), x, 7))
