# SPDX-License-Identifier: Apache-2.0
"""A sweep's TOML, networks' JSON and small ONNX files: good ones, and damaged ones."""

import copy
import functools
import json

import numpy as np
from hypothesis import strategies as st

from .files import flipped

__all__ = ["FAILING", "MODEL_SHAPE", "WORKING", "damaged_list", "good_networks", "model_bytes"]

# H, W, C, CR of the network's one block.
MODEL_SHAPE = (6, 5, 4, 2)

# All of its configurations fail when they are prepared: LANES doesn't divide C.
FAILING = """# a list
[defaults]
W = 6
C = 8
LANES = 3

[grid]
MID = ["relu", "silu"]
STALL = [0, 0.5]

[[configurations]]
label = "exactly K rows"
K = 3
SLACK = 0
"""
# One block, which is built once.
WORKING = """[defaults]
K = 2
W = 3
C = 2
CR = 1
H = 5

[grid]
STALL = [0, 0.5]

[[configurations]]
label = "another seed"
SEED = 9
FRAMES = 3
"""
# Each is wrong as a whole.
WRONG_TOML = (
    "", "[grid]\n", "[grid]\nK = 3\n", "[grid]\nK = []\n", "[[grid]]\n", "defaults = 3\n", "grid = [1, 2]\n",
    "[other]\n", "[[defaults]]\nK = 3\n", "[configurations]\nK = 3\n", "[[configurations]]\nKK = 3\n",
    "[[configurations]]\nOUT = \"x\"\n", "[[configurations]]\nWAVES = 1\n", "[[configurations]]\nK = 1979-05-27\n",
    "[[configurations]]\nK = 07:32:00\n", "[[configurations]]\nK = [3]\n", "[[configurations]]\nK = {a = 1}\n",
    "[[configurations]]\nK = true\n", "[[configurations]]\nK = 3\nK = 4\n", "[[configurations]]\nlabel = 3\nK = 3\n",
    "[[configurations]]\nlabel = \"\"\n", "[[configurations]]\nlabel = \"a\\nb\"\n", "[[configurations]]\nK = nan\n",
    "[[configurations]]\nK = -inf\n", "[[configurations]]\nSTALL = nan\n", "[[configurations]]\nK = 3.0\n",
    "[[configurations]]\nK = 0x" + "F" * 5000 + "\n", "[[configurations]]\nK = " + "9" * 5000 + "\n",
    "[[configurations]]\nK = 0b" + "1" * 20000 + "\n", "[[configurations]]\nSTALL = 1e999\n",
    "[grid]\nK = [0x" + "F" * 5000 + "]\n", "[defaults]\nlabel = 0x" + "F" * 5000 + "\n",
    "[[configurations]]\nK = 3\n[[configurations]]\nK = 3\n", "[defaults]\nlabel = \"x\"\n", "a = " + "[" * 3000,
    "a" + ".a" * 3000 + " = 1\n", "a = " + "[" * 100 + "]" * 100, "a = " + "{a = " * 900 + "1" + "}" * 900,
    "[grid]\n" + "".join(f"{name} = [{', '.join(map(str, range(1, 60)))}]\n" for name in ("K", "W", "C")),
    "[[configurations]]\n\"K\\u0000\" = 1\n", "[[configurations]]\nNAME = \"\\u202e\"\n", "\ufeff[defaults]\n",
    "[[configurations]]\nWEIGHTS = \"a\\u0000b\"\n", "[[configurations]]\n" + "K" * 100_000 + " = 1\n",
    "[[configurations]]\nMID = \"" + "x" * 100_000 + "\"\n", "[[configurations]]\nSEEDS = \"1\"\n", "K = 3\n",
)
NETWORK = {"input": [8, 8], "source": "a test", "blocks": [[2, 3, 4, 1, 1], [1, 2, 4, 2, 3]]}
# What replaces a value somewhere in a file of networks, and is wrong there.
WRONG_JSON = (None, True, -1, 0, 1.5, "8", [], {}, [[]], float("nan"), float("inf"), "\ud800", [1] * 5)
WRONG_TEXTS = ("", "[]", "{}", "null", "3", '{"networks": 3}', '{"networks": [1]}', '{"networks": {"a": 1}}',
               '{"networks": {"a": {}}}', "[" * 100_000, '{"networks": ' + '{"a":' * 5000, "\ufeff{}", "9" * 5000,
               '{"networks": {}}',
               '{"networks": {"\\ud800": {"input": [1, 1], "source": "", "blocks": [[1, 1, 1, 1, 1]]}}}')


def good_networks(draw):
    """A sound JSON file of a network with small blocks."""
    name = draw(st.sampled_from(("mine", "\u00e9\u4e16", "a b", "x" * 300, "$\\frac{$")))
    return json.dumps({"networks": {name: NETWORK}}).encode()


def damaged_list(draw, kind):
    """A TOML (`kind` "configs") or JSON ("network") file with something wrong.

    Returns
    -------
    (bytes, bool)
        Where the second is true, it must be refused; else what is wrong may be where it doesn't count.
    """
    if draw(st.integers(0, 3)) == 3:
        return flipped(draw, FAILING.encode() if kind == "configs" else good_networks(draw)), False
    if kind == "configs":
        return draw(st.sampled_from(WRONG_TOML)).encode(), True
    if draw(st.booleans()):
        return draw(st.sampled_from(WRONG_TEXTS)).encode(), True
    return json.dumps({"networks": {"mine": _replaced(draw)}}).encode(), True


def _replaced(draw):
    """NETWORK with something in it replaced, added or lost."""
    network, wrong = copy.deepcopy(NETWORK), draw(st.sampled_from(WRONG_JSON))
    kind = draw(st.sampled_from(("input", "side", "block", "number", "blocks", "extra", "lacking")))
    if kind == "input":
        network["input"] = [1] * 5 if wrong == "\ud800" else wrong
    elif kind == "side":
        network["input"][draw(st.integers(0, 1))] = wrong
    elif kind == "block":
        network["blocks"][draw(st.integers(0, 1))] = [1] * 4 if wrong == [1] * 5 else wrong
    elif kind == "number":
        network["blocks"][draw(st.integers(0, 1))][draw(st.integers(0, 4))] = wrong
    elif kind == "blocks":
        network["blocks"] = wrong
    elif kind == "extra":
        network["more"] = wrong
    else:
        network.pop(draw(st.sampled_from(list(network))))
    return network


@functools.cache
def model_bytes():
    """A small ONNX network with one squeeze-and-excite block of MODEL_SHAPE."""
    from onnx import TensorProto, helper, numpy_helper

    height, width, channels, squeeze = MODEL_SHAPE
    numbers = np.random.default_rng(7)
    shapes = {"w1": (squeeze, channels, 1, 1), "b1": (squeeze,), "w2": (channels, squeeze, 1, 1), "b2": (channels,)}
    weights = [numpy_helper.from_array(numbers.normal(size=shape).astype(np.float32), name)
               for name, shape in shapes.items()]
    nodes = [helper.make_node(kind, inputs, [output], name=output) for kind, inputs, output in (
        ("GlobalAveragePool", ["x"], "mean"), ("Conv", ["mean", "w1", "b1"], "pre"), ("Relu", ["pre"], "hidden"),
        ("Conv", ["hidden", "w2", "b2"], "logits"), ("Sigmoid", ["logits"], "gates"), ("Mul", ["x", "gates"], "y"))]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, height, width]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
