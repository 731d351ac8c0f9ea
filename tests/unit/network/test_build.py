# SPDX-License-Identifier: Apache-2.0
"""`tiled-se build`, without its processes: the options of each block, and what is said of the results."""

import json
import types

import numpy as np
import onnx
import pytest

from tests.helpers.onnx_images import HEIGHT, WIDTH, model, network_and_images
from tests.helpers.onnx_networks import CHANNELS
from tiled_se.cosim.tools import BuildError
from tiled_se.gen.block_spec import prepare
from tiled_se.golden.range_method import RangeMethod
from tiled_se.hdl.config import Gate, Mid
from tiled_se.hdl.errors import ToolFailure
from tiled_se.network.commands import block_runs, build
from tiled_se.network.commands.build_tables import block_table
from tiled_se.network.commands.options import BuildOptions
from tiled_se.network.match.numbers import Numbers
from tiled_se.network.match.ranges import Ranges
from tiled_se.network.network import find_blocks
from tiled_se.network.plan import Plan


def block(name, channels):
    form = types.SimpleNamespace(mid=Mid.RELU, gate=Gate(), residual=False, prior=None)
    return types.SimpleNamespace(name=name, channels=channels, numbers=Numbers(), ranges=Ranges(), float_block=form,
                                 height=4, width=4, squeeze=1, shape={"H": 4, "W": 4, "C": channels, "CR": 1},
                                 waiting=lambda k: {"se_elements": 2, "tse_elements": 1})


BLOCKS = [block("se.1", 11), block("se_1", 12)]


@pytest.mark.parametrize(("most", "lanes"), [(None, [1, 6]), (8, [1, 6]), (16, [11, 12]), (4, [1, 4])])
def test_lanes(tmp_path, most, lanes):
    """The most that divide the block's channels; a default is one to the block, too, which warns where it is 1."""
    options = BuildOptions(lanes=most, k=2)
    tasks = build.block_tasks(options, str(tmp_path), BLOCKS, Plan.of(options).choices(BLOCKS))
    specs = [prepare(build.block_options(tasks[one.name], width=4, channels=one.channels, weights=None, input=None))
             for one in BLOCKS]
    assert [spec.config.lanes for spec in specs] == lanes
    assert [len(spec.warnings) for spec in specs] == [most is None, 0]


CALIBRATED = {"x": {"method": "mse", "held_out": [1], "methods": {
    "min-max": {"clipped": 0.0, "sqnr_db": 39.296, "held_out_sqnr_db": None},
    "mse": {"clipped": 0.000125, "sqnr_db": 40.8, "held_out_sqnr_db": 40.844}}}}

REPORT = {"bit_exact": True, "config": {"lanes": 1, "macs": 1}, "float_error_lsb": {"max": 0.5},
          "outputs": {"clipped": None, "sqnr_db": 30.0},
          "sram": {"total_without_weights_bits": 1, "over_bound": None, "over_tse7": 0.1},
          "cycles": {"steady_throughput": 1.0}, "warnings": []}


def test_warnings(tmp_path, capsys):
    """A line for each, on standard error; the result is as right as without."""
    options = BuildOptions(k=2, calibration="images", calibrate_by=RangeMethod.parse("mse"))
    chosen = Plan.of(options).choices(BLOCKS)
    tasks = build.block_tasks(options, str(tmp_path), BLOCKS, chosen)
    results = {"se.1": {"failure": None, "report": REPORT | {"warnings": ["one", "two"]}},
               "se_1": {"failure": None, "report": REPORT}}
    network = types.SimpleNamespace(path="net.onnx", dims=[1, 3, 4, 4], unsupported={}, left_out=["left out: z: one"],
                                    notes=lambda blocks: [f"note: of {len(blocks)} blocks"])
    assert build._finish(network, BLOCKS, options, chosen, str(tmp_path), 1, tasks, results, {},
                         {"se.1": CALIBRATED, "se_1": None})
    printed = capsys.readouterr()
    assert printed.err == "tiled-se: warning: se.1: one\ntiled-se: warning: se.1: two\n"
    assert "\nnote: of 2 blocks\nleft out: z: one\n" in printed.out
    assert ("\nranges  of  by                min-max                       mse\n"
            "se.1    x   mse  0.0000 % / 39.30 / -  0.0125 % / 40.80 / 40.84\n") in printed.out
    assert "\nCALIBRATE_BY=mse is ignored, as the network has the numbers: se_1\n" in printed.out
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["blocks"][0]["report"]["warnings"] == ["one", "two"]
    assert [block["calibrated"] for block in written["blocks"]] == [CALIBRATED, None]
    assert (written["bit_exact"], written["finished"]) == (True, True)


def test_a_block_beyond_its_bound(tmp_path):
    """It is bit-exact, and the build has failed."""
    options = BuildOptions(k=2, calibration="images")
    chosen = Plan.of(options).choices(BLOCKS)
    tasks = build.block_tasks(options, str(tmp_path), BLOCKS, chosen)
    results = {"se.1": {"failure": None, "report": REPORT}, "se_1": {"failure": "an output is 2 LSB", "report": REPORT}}
    network = types.SimpleNamespace(path="net.onnx", dims=[1, 3, 4, 4], unsupported={}, left_out=[],
                                    notes=lambda blocks: [])
    assert not build._finish(network, BLOCKS, options, chosen, str(tmp_path), 1, tasks, results, {},
                             {"se.1": None, "se_1": None})
    written = json.loads((tmp_path / "report.json").read_text())
    assert (written["bit_exact"], [block["failure"] for block in written["blocks"]]) == (
        True, [None, "an output is 2 LSB"])


def test_outputs_in_the_table():
    """Two columns, where the outputs of any block have a format of their own."""
    def row(**outputs):
        return {"name": "a", "H": 1, "W": 1, "C": 1, "CR": 1, "bit_exact": True, "report": {
            "config": {"lanes": 1, "macs": 1}, "float_error_lsb": {"max": 0.5}, "outputs": outputs,
            "sram": {"total_without_weights_bits": 1, "over_bound": None, "over_tse7": 0.1},
            "cycles": {"steady_throughput": 1.0}}}

    failed = row() | {"report": None, "failure": "it failed"}
    default, own = row(clipped=None, sqnr_db=30.0), row(clipped=0.01234, sqnr_db=None)
    assert "SQNR dB" not in block_table([default, failed])[0]
    assert "SQNR dB" in block_table([row(clipped=0.0, sqnr_db=30.0)])[0]
    lines = [line.split() for line in block_table([default, own, failed])]
    assert lines[0][9:14] == ["LSB", "clipped", "SQNR", "dB", "bits"]
    assert [line[8:12] for line in lines[1:3]] == [["0.500", "-", "30.00", "1"], ["0.500", "1.23", "%", "-"]]
    assert lines[3][5:] == ["FAILED:", "it", "failed"]


def test_tool_that_failed(tmp_path, monkeypatch):
    """Its first line is the block's reason; the rest is what it printed."""
    def generate(*_, **__):
        raise BuildError("CXX=false: false failed with status 1:\nwhat it printed")

    monkeypatch.setattr(block_runs, "generate", generate)
    options = build.block_options(BuildOptions(k=2), width=4, channels=8, out=str(tmp_path), weights=None, input=None)
    assert block_runs.build_block(options) == {
        "failure": "CXX=false: false failed with status 1", "report": None,
        "tool": "CXX=false: false failed with status 1:\nwhat it printed"}


EXACT, WRONG = ({"failure": failure, "report": {"bit_exact": failure is None}} for failure in (None, "y differs"))
REFUSED = {"failure": "ERROR=0: is too small", "report": None}
NO_TOOL = {"failure": "g", "report": None, "tool": "g:\nx"}


@pytest.mark.parametrize(("results", "failed"), [
    ([EXACT, EXACT], None), ([EXACT, WRONG], None), ([EXACT, REFUSED], None), ([NO_TOOL, WRONG], None),
    ([EXACT, NO_TOOL], "1 of 2"), ([REFUSED, NO_TOOL, NO_TOOL], "2 of 3")])
def test_a_mismatch_counts_more_than_a_tool(results, failed):
    results = dict(enumerate(results))
    if failed is None:
        block_runs.check_tools(results)
        return
    with pytest.raises(ToolFailure) as caught:
        block_runs.check_tools(results)
    assert str(caught.value) == f"{failed} blocks could not be built: g:\nx"


class Unbuilt:
    """A campaign that builds no block."""

    def __init__(self, tasks):
        self.failures, self.results = dict.fromkeys(tasks, "not built"), {}

    def run(self, *_, **__):
        """Nothing."""


@pytest.mark.parametrize("arguments", [
    ["--k", 3], ["--k", 1, "--context", "causal"], ["--k", 2, "--context", "cumulative", "--order", "columns"],
    ["--context", "window", "--window", "2:5"]])
def test_operator_sets_do_not_matter(tiled_se, tmp_path, monkeypatch, arguments):
    """The RTL has none: blocks of an old network of open size, run on images of one, get what those of a new one get.
    """
    monkeypatch.setattr(block_runs, "Campaign", Unbuilt)
    path, images = network_and_images(tmp_path)
    found = []
    for opset in (13, 7):
        model(tmp_path / "net.onnx", opset=opset)
        assert tiled_se("build", path, "--calibration", images, "--input-shape", f"3x{HEIGHT}x{WIDTH}", *arguments,
                        "-o", f"rtl{opset}").status == 1
        folders = sorted(path.parent for path in tmp_path.glob(f"rtl{opset}/*/{block_runs.INPUT}"))
        found.append([np.load(folder / name) for folder in folders for name in (block_runs.WEIGHTS, block_runs.INPUT)])
    assert [len(files) for files in found] == [4, 4]
    for new, old in zip(*found, strict=True):
        assert set(new) == set(old)
        for name in new:
            if new[name].dtype.kind == "U":
                assert old[name] == new[name]
            else:
                # A number halfway between two integers may be rounded either way.
                np.testing.assert_allclose(old[name], new[name], rtol=1e-5, atol=name == "x_q")


@pytest.mark.parametrize("output", [False, True], ids=["inside", "output"])
@pytest.mark.parametrize("arguments", [["--k", 4], ["--k", 1, "--context", "causal"],
                                       ["--k", 4, "--context", "window", "--window", "2:3"]])
def test_sizes_of_a_sample_do_not_matter(tiled_se, tmp_path, monkeypatch, arguments, output):
    """What is quantised are maps of the images, whatever size the file declares for a map."""
    monkeypatch.setattr(block_runs, "Campaign", Unbuilt)
    path, images = network_and_images(tmp_path)
    network = onnx.load(path)
    x = find_blocks(network)[0].x
    declared = network.graph.output if output else network.graph.value_info
    declared.append(onnx.helper.make_tensor_value_info(x, onnx.TensorProto.FLOAT, (1, CHANNELS, HEIGHT, WIDTH)))
    onnx.save(network, path)
    assert tiled_se("build", path, "--calibration", images, "--input-shape", f"3x{HEIGHT}x{WIDTH}", *arguments, "-o",
                    "rtl").status == 1
    shapes = [np.load(path)["x_q"].shape[1:] for path in tmp_path.glob(f"rtl/*/{block_runs.INPUT}")]
    assert shapes == 2 * [(HEIGHT // 2, WIDTH // 2, CHANNELS)]


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


EARLY, LATE = "", "running the tiled network on 3 images ...\n"


@pytest.mark.parametrize(("printed", "options", "line"), [
    (EARLY, ["--y-zero-point=500"], "Y_ZERO_POINT=500 (--y-zero-point): must be from -128 to 127, as the outputs of "
                                    "block node_mul_6 are int8"),
    (EARLY, ["--dtype=uint3", "--y-dtype=int5", "--y-scale=.1", "--y-zero-point=-17"],
     "Y_ZERO_POINT=-17 (--y-zero-point): must be from -16 to 15, as the outputs of block node_mul_6 are int5"),
    (EARLY, ["--dtype=uint3", "--y-zero-point=8"], "Y_ZERO_POINT=8 (--y-zero-point): must be from 0 to 7, as"),
    (EARLY, ["--dtype=int12", "--operand-bits=13"], "OPERAND_BITS=13 (--operand-bits): must be from 14 to 44"),
    (LATE, ["--operand-bits=11"], "OPERAND_BITS=11 (--operand-bits): must be at least 13 to keep ERROR=1 (block node_"),
    (LATE, ["--y-scale=1e-9"], "Y_SCALE=1e-09 (--y-scale): must be from "),
    (LATE, ["--dtype=uint8", "--y-dtype=int2", "--y-scale=.1"],
     "Y_DTYPE=int2 (--y-dtype): needs a Y_ZERO_POINT: the input's, "),
    (LATE, ["--error=0.5"], "ERROR=0.5 (--error): no operand width up to 40 bits keeps this")])
def test_options_that_no_block_takes(tiled_se, tmp_path, monkeypatch, printed, options, line):
    """One line, status 2, and what an earlier build wrote is untouched; if maps don't matter, before they are made."""
    monkeypatch.setattr(block_runs, "Campaign", Unbuilt)
    path, images = network_and_images(tmp_path)
    command = ["build", path, "--calibration", images, "--input-shape", f"3x{HEIGHT}x{WIDTH}", "-o", "rtl"]
    tiled_se(*command)
    earlier = contents(tmp_path / "rtl")
    assert len(earlier) == 5
    finished = tiled_se(*command, *options)
    assert (finished.status, finished.out, finished.err.count("\n")) == (2, printed, 1), finished
    assert finished.err.startswith(f"tiled-se: error: {line}")
    assert contents(tmp_path / "rtl") == earlier


def test_a_block_that_takes_an_option_is_built(tiled_se, tmp_path, monkeypatch):
    """The others fail in the table."""
    monkeypatch.setattr(block_runs, "Campaign", Unbuilt)
    path, images = network_and_images(tmp_path)
    first, second = (block.name for block in find_blocks(onnx.load(path)))
    for name in (first, second):
        plan = {"version": 1, "blocks": {name: {"K": 3, "Y_SCALE": 1e-9}}}
        (tmp_path / "plan.json").write_text(json.dumps(plan))
        finished = tiled_se("build", path, "--calibration", images, "--input-shape", f"3x{HEIGHT}x{WIDTH}", "-o", name,
                            "--plan", "plan.json")
        assert (finished.status, finished.err, len(contents(tmp_path / name))) == (1, "", 5)
