# SPDX-License-Identifier: Apache-2.0
"""`tiled-se inspect`: what it prints and what it writes, of small networks and of trained ones."""

import importlib.resources
import importlib.util
import json
import pathlib

import numpy as np
import onnx
import pytest

from tests.helpers.onnx_lookalikes import lookalike
from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import CHANNELS, SQUEEZE, Spelling, network, se
from tiled_se.gen.formats import gate as parse_gate
from tiled_se.hdl.config import GateKind

PARAMETERS = 2 * CHANNELS * SQUEEZE + CHANNELS + SQUEEZE


def backbone(height="h", width="w"):
    """A convolution with stride 2 from an image, then a block, then a residual one on twice its rows and columns."""
    net = Net(13)
    rng = np.random.default_rng(2)
    x = net("Conv", "x", net.constant(rng.normal(size=(CHANNELS, 3, 3, 3))), strides=[2, 2], pads=[1, 1, 1, 1])
    x = se(net, x, Spelling(gate="fifth", mid="silu"))
    net.nodes[-1].name = "first"
    x = net("Resize", x, "", net.constant([1, 1, 2, 2]))
    net("Identity", se(net, x, Spelling(end="add"), seed=3), output="y")
    net.nodes[-2].name = "second"
    return net.model({"x": (1, 3, height, width)}, {"y": None})


def inspected(tiled_se, model, *arguments):
    """``(contents of the JSON file, printed lines)``"""
    onnx.save(model, "net.onnx")
    finished = tiled_se.passes("inspect", "net.onnx", "--json", "blocks.json", *arguments)
    return json.loads(pathlib.Path("blocks.json").read_text()), finished.out.splitlines()


def test_two_blocks(tiled_se):
    contents, lines = inspected(tiled_se, backbone(40, 24))
    assert (contents["model"], contents["input"], contents["opset"], contents["k"]) == ("net.onnx", [3, 40, 24], 13, 7)
    first, second = contents["blocks"]
    assert {name: first[name] for name in ("name", "H", "W", "C", "CR", "mid", "gate", "residual", "parameters")} == {
        "name": "first", "H": 20, "W": 12, "C": CHANNELS, "CR": SQUEEZE, "mid": "silu", "gate": "hardsigmoid:0.2,0.5",
        "residual": False, "parameters": PARAMETERS}
    assert (first["se_elements"], first["tse_elements"]) == (20 * 12 * CHANNELS, 7 * 12 * CHANNELS)
    assert (first["layout"], first["quantised"]) == ("NCHW", False)
    assert (second["name"], second["H"], second["W"], second["residual"]) == ("second", 40, 24, True)
    assert (second["mid"], second["gate"]) == ("relu", "sigmoid")
    assert (contents["others"], contents["unread"]) == ({}, [])
    assert lines[0] == "net.onnx: 2 squeeze-and-excite blocks, k = 7"
    assert lines[1].split() == ["name", "H", "W", "C", "CR", "mid", "gate", "residual", "parameters", "HxWxC", "kxWxC"]
    gate = "hardsigmoid:0.2,0.5"
    assert lines[2].split() == ["first", "20", "12", "6", "3", "silu", gate, "no", "45", "1,440", "504"]
    assert lines[3].split() == ["second", "40", "24", "6", "3", "relu", "sigmoid", "yes", "45", "5,760", "1,008"]
    assert lines[4].split() == ["sum", "90", "7,200", "1,512"]
    assert lines[5:] == ["wrote blocks.json"]


@pytest.mark.parametrize(("height", "k", "rows"), [(8, 7, [4, 7]), (40, 3, [3, 3])])
def test_rows_of_a_tile(tiled_se, height, k, rows):
    """A map lower than a tile waits as a whole."""
    contents, lines = inspected(tiled_se, backbone(height, 24), "--k", k)
    assert lines[0].endswith(f"k = {k}")
    elements = [rows[0] * 12 * CHANNELS, rows[1] * 24 * CHANNELS]
    assert (contents["k"], [block["tse_elements"] for block in contents["blocks"]]) == (k, elements)


@pytest.mark.parametrize(("arguments", "line", "waiting"), [
    (["--context", "causal", "--k", 1], "causal gates for tiles of 1 row, with 1 row of the prior", [0, 0]),
    (["--context", "cumulative", "--k", 2], "cumulative gates for tiles of 2 rows", [2 * 12, 2 * 24]),
    (["--order", "columns", "--k", 5], "tiles of 5 columns", [5 * 20, 5 * 40]),
    (["--tile-width", 3, "--k", 4], "tiles of 4 rows, 3 columns wide", [3 * 12 + 3, 3 * 24 + 3]),
    # The whole of the first map, as the window ends after it.
    (["--context", "window", "--window", "16:7"], "gates from rows 16 to 22", [20 * 12, 23 * 24]),
])
def test_what_waits_in_each_context(tiled_se, arguments, line, waiting):
    contents, lines = inspected(tiled_se, backbone(40, 24), *arguments)
    assert lines[0] == f"net.onnx: 2 squeeze-and-excite blocks, {line}"
    assert lines[1].split()[-1] == "waiting"
    assert [block["tse_elements"] for block in contents["blocks"]] == [n * CHANNELS for n in waiting]
    said = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert (contents["context"], contents["order"], contents["k"]) == (
        said.get("--context", "tile"), said.get("--order", "rows"), said.get("--k", 7))


def test_blocks_whose_gates_come_from_the_prior_alone(tiled_se):
    """Causal tiles as high as the map: of the lower map of two."""
    _, lines = inspected(tiled_se, backbone(40, 24), "--context", "causal", "--k", 20)
    named = [line for line in lines if "prior alone" in line]
    assert len(named) == 1
    assert ": a map of 20 rows is a single tile of K=20, before which no row comes" in named[0]


def test_input_tells_open_sizes(tiled_se):
    contents, lines = inspected(tiled_se, backbone())
    assert contents["input"] is None
    assert [contents["blocks"][0][name] for name in ("H", "W", "se_elements", "tse_elements")] == [None] * 4
    assert lines[-2] == "? depends on the input's size: give it with --input-shape CxHxW"
    assert lines[4].split() == ["sum", "90", "?", "?"]
    contents, lines = inspected(tiled_se, backbone(), "--input-shape", "3x41x24")
    assert contents["input"] == [3, 41, 24]
    assert [(block["H"], block["W"]) for block in contents["blocks"]] == [(21, 12), (42, 24)]
    assert not any("?" in line for line in lines)


def test_sizes_that_only_a_run_tells(tiled_se):
    """Rows and columns are cut off by what the data is."""
    net = Net(13)
    some = net("NonZero", net.reshape(net("Cast", net("Greater", "x", net.constant(-1)), to=1), -1))
    count = net("Div", net("Gather", net("Shape", some), net.constant([1], np.int64)), net.constant([10], np.int64))
    # Of the 300 zeros that are run, 30: more than there are rows.
    rows = net("Min", count, net.constant([7], np.int64))
    x = net("Slice", "x", net.constant([0], np.int64), rows, net.constant([2], np.int64))
    net("Identity", se(net, x, Spelling()), output="y")
    model = net.model({"x": (1, CHANNELS, "h", 5)}, {"y": None})
    assert inspected(tiled_se, model)[0]["blocks"][0]["H"] is None
    contents, _ = inspected(tiled_se, model, "--input-shape", f"{CHANNELS}x10x5")
    assert (contents["blocks"][0]["H"], contents["blocks"][0]["W"]) == (7, 5)


def test_channels_last(tiled_se):
    contents, _ = inspected(tiled_se, network(Spelling(last=True), height="h"), "--input-shape", f"{CHANNELS}x20x5")
    (block,) = contents["blocks"]
    assert [block[name] for name in ("layout", "H", "W", "C")] == ["NHWC", 20, 5, CHANNELS]


def test_what_is_left_out(tiled_se):
    contents, lines = inspected(tiled_se, lookalike("leaky-mid"))
    ((name, reason),) = contents["others"].items()
    assert contents["blocks"] == []
    assert reason.startswith("its activation between the layers (LeakyRelu) is ")
    assert lines == ["net.onnx: 0 squeeze-and-excite blocks, k = 7", f"left out: {name}: {reason}", "wrote blocks.json"]


@pytest.mark.parametrize(("shape", "line"), [
    ("40x24", "INPUT_SHAPE=40x24 (--input-shape): must be CxHxW, like 3x640x640"),
    ("4x40x24", "INPUT_SHAPE=4x40x24 (--input-shape): the model's input is 3x?x?"),
])
def test_refused(tiled_se, shape, line):
    onnx.save(backbone(), "net.onnx")
    tiled_se.refuses(line, "inspect", "net.onnx", "--input-shape", shape, "--json", "blocks.json")
    assert not pathlib.Path("blocks.json").exists()


# (C, CR, slope of the gate, residual) of each block of the trained networks, in their order.
SIXTHS = [(C, C // 4, 1 / 6, False) for C in (48, 96, 192, 192, 384)]
TRAINED = {
    "PP-OCRv6_det_small.onnx": SIXTHS + 4 * [(96, 24, 0.2, True)] + 4 * [(24, 6, 0.2, True)],
    "ch_ppocr_mobile_v2.0_cls_mobile.onnx": [(C, C // 4, 0.2, False) for C in (8, 32, 88, 88, 40, 48, 104, 200, 200)],
    "PP-OCRv6_rec_small.onnx": [(C, C // 4, 1 / 6, False) for C in (96, 192, 192, 192, 384)],
}


@pytest.mark.skipif(importlib.util.find_spec("rapidocr") is None, reason="rapidocr isn't installed")
@pytest.mark.parametrize("name", TRAINED)
def test_trained_networks(tiled_se, name):
    path = importlib.resources.files("rapidocr") / "models" / name
    tiled_se.passes("inspect", path, "--json", "blocks.json")
    contents = json.loads(pathlib.Path("blocks.json").read_text())
    blocks = contents["blocks"]
    assert (contents["others"], contents["unread"]) == ({}, [])
    assert len({block["name"] for block in blocks}) == len(blocks) == len(TRAINED[name])
    for block, (channels, squeeze, slope, residual) in zip(blocks, TRAINED[name], strict=True):
        gate = parse_gate(block["gate"])
        assert (gate.kind, gate.offset, block["mid"]) == (GateKind.HARDSIGMOID, 0.5, "relu")
        assert (block["C"], block["CR"], block["residual"]) == (channels, squeeze, residual)
        assert gate.slope == pytest.approx(slope, abs=1e-6)
