# SPDX-License-Identifier: Apache-2.0
"""Plans: the memory that `plan` and `report` give is that of the designs which `build` makes by the plan."""

import json

import numpy as np
import pytest

from tests.helpers.measuring import InPlace
from tests.helpers.nightly import nightly, seldom
from tests.helpers.onnx_images import network_and_images
from tests.helpers.onnx_networks import CHANNELS, SQUEEZE
from tests.helpers.onnx_quantised import brevitas
from tests.helpers.onnx_quantised import images as quantised_images
from tiled_se.evaluate import measure
from tiled_se.gen.block_spec import prepare
from tiled_se.gen.options import BlockOptions
from tiled_se.gen.verilog import generate
from tiled_se.hdl.config import Context, Order
from tiled_se.network.commands import block_runs
from tiled_se.network.network import open_network


class Generated:
    """A campaign that generates each block of the tasks, and simulates none."""

    bits = ()
    outputs = ()

    def __init__(self, tasks):
        specs = {name: prepare(task) for name, task in tasks.items()}
        Generated.bits = {name: generate(spec.config, spec.baked).sram["total_without_weights_bits"]
                          for name, spec in specs.items()}
        Generated.outputs = {name: {
            "y_type": str(spec.y_format.data), "y_scale": spec.y_format.scale, "y_zero_point": spec.y_format.zero_point}
            for name, spec in specs.items() if spec.config.requantised}
        self.failures, self.results = dict.fromkeys(tasks, "not simulated"), {}

    def run(self, *_, **__):
        """Nothing."""


# Blocks are checked in other tests, and fewer heights are as good.
SHARED = ("--input-shape", "3x64x48", "--check-blocks", 0)


@pytest.mark.parametrize(("budget", "hardware", "types"), [
    ("4KiB", ("--macs", 4, "--lanes", 3, "--dtype", "uint12", "--loadable", 1), ()),
    pytest.param("0.5", (), (), marks=nightly),
    pytest.param("0.3", ("--calibrate-by", "mse"), ("--y-dtypes", "uint6,int12"), marks=nightly),
    ("0.6", ("--dtype", "int4", "--weight-bits", 3), ("--y-dtypes", "int4,int3"))], ids=str)
def test_memory_is_that_of_the_build(tiled_se, tmp_path, monkeypatch, budget, hardware, types):
    """Every block's to 1 %: the formulas know all memories, but the zero point is that of the tiled network's maps.

    The outputs' formats are exactly those of the plan.
    """
    path, images = network_and_images(tmp_path)
    tiled_se.passes("plan", path, images, *SHARED, *hardware, *types, "--budget", budget, "--ks", "1,4", "-o", "plan")
    about = json.loads((tmp_path / "plan/plan.json").read_text())["about"]
    monkeypatch.setattr(block_runs, "Campaign", Generated)
    assert tiled_se("build", path, "--calibration", images, *SHARED, *hardware, "--plan", "plan/plan.json").status == 1
    assert Generated.bits == {name: pytest.approx(one["memory_bits"], rel=0.01)
                              for name, one in about["blocks"].items()}
    assert sum(Generated.bits.values()) == pytest.approx(about["memory_bits"], rel=0.01)
    planned = {name: {key: one[key] for key in ("y_type", "y_scale", "y_zero_point")}
               for name, one in about["blocks"].items() if one["y_from"] == "images"}
    assert Generated.outputs == planned
    assert planned or not types


def test_evaluate_and_swap(tiled_se, tmp_path):
    """`evaluate` has the plan's formats in its integers, and `swap` its tilings."""
    path, images = network_and_images(tmp_path)
    (tmp_path / "mean.py").write_text("def metric(outputs, name, label):\n    return outputs['y'].mean()\n")
    tiled_se.passes("plan", path, images, *SHARED, "--budget", "0.4", "--ks", "2,4", "--y-dtypes", "int10", "-o", "p")
    planned = json.loads((tmp_path / "p/plan.json").read_text())["about"]["blocks"]
    tiled_se.passes("evaluate", path, "--data", images, *SHARED, "--metric", "mean.py", "--plan", "p/plan.json", "-o",
                    "e")
    for block in json.loads((tmp_path / "e/evaluate.json").read_text())["blocks"]:
        assert block["y_type"] == "int10"
        assert [block[name] for name in ("y_scale", "y_zero_point")] == [
            pytest.approx(planned[block["name"]][name]) for name in ("y_scale", "y_zero_point")]
        # The maps of the network with tiles differ a little.
        assert block["outputs"]["clipped"] == pytest.approx(planned[block["name"]]["clipped"], abs=1e-3)
    swapped = tiled_se.passes("swap", path, *SHARED, "--plan", "p/plan.json", "-o", "s.onnx")
    assert "2 blocks tiled" in swapped.out


def test_report(tiled_se, tmp_path, monkeypatch):
    """The tiled form of each block is the one of the plan, and the sum that of all."""
    path, _ = network_and_images(tmp_path)
    one, two = (block.name for block in open_network(path).blocks)
    entries = {one: {"K": 3, "ORDER": "columns"}, two: {"K": 2, "CONTEXT": "causal", "PRIOR": 2, "MAX_ROWS": 64}}
    (tmp_path / "p.json").write_text(json.dumps({"version": 1, "blocks": entries}))
    monkeypatch.setattr(measure, "Local", InPlace)
    finished = tiled_se("report", path, *SHARED, "--plan", "p.json", "--lanes", 3, "-o", "out")
    assert (finished.status, finished.err) == (0, "")
    contents = json.loads((tmp_path / "out/report.json").read_text())
    (network,) = contents["networks"]
    forms = [block["tse"] for block in network["blocks"]]
    assert [(form["tiling"], form["rows"], form["tiles"], form["elements"], form["added_macs"]) for form in forms] == [
        (entries[one], 3, 8, 3 * 32 * CHANNELS, 8 * 2 * CHANNELS * SQUEEZE),
        (entries[two], 2, 16, 0, 16 * 2 * CHANNELS * SQUEEZE)]
    for (name, entry), form in zip(entries.items(), forms, strict=True):
        columns = "ORDER" in entry
        more = dict(order=Order.COLUMNS) if columns else dict(context=Context.CAUSAL, prior_rows=2, max_rows=64)
        block = next(block.float_block for block in open_network(path).blocks if block.name == name)
        spec = prepare(BlockOptions(k=entry["K"], width=24, height=32 if columns else 1, channels=CHANNELS,
                                    squeeze=SQUEEZE, lanes=3, mid=block.mid, gate=block.gate, residual=block.residual,
                                    **more))
        assert form["memory_bits"] == generate(spec.config, None).sram["total_without_weights_bits"]
    assert network["sum"]["tse"]["memory_bits"] == sum(form["memory_bits"] for form in forms)
    assert (contents["k"], network["k"]) == (None, None)
    assert f"  1  {one} K=3 ORDER=columns" in finished.out.splitlines()


@pytest.mark.parametrize(("bits", "weights", "beats"), [
    (4, dict(weight_bits=4), 4), pytest.param(16, dict(weight_bits=8, weight_zero=150), 0, marks=nightly)], ids=str)
def test_report_of_a_quantised_network(tiled_se, tmp_path, monkeypatch, bits, weights, beats):
    """Memory and formats are those of the loadable block that `build` makes, with the network's own numbers.

    Integers of weights that are kept take wider multipliers, and their cycles some `beats` of six elements.
    """
    path, maps = brevitas(str(tmp_path / "net.onnx"), bits=bits, **weights), tmp_path / "maps"
    maps.mkdir()
    np.save(maps / "a.npy", quantised_images(3, seed=5, size=16))
    tiled_se.passes("plan", path, maps, "--loadable", 1, "--ks", 4, "--budget", 0.9, "-o", "plan")
    ((name, planned),) = json.loads((tmp_path / "plan/plan.json").read_text())["about"]["blocks"].items()
    monkeypatch.setattr(block_runs, "Campaign", Generated)
    assert tiled_se("build", path, "--calibration", maps, "--loadable", 1, "--plan", "plan/plan.json").status == 1
    monkeypatch.setattr(measure, "Local", InPlace)
    tiled_se.passes("report", path, "--plan", "plan/plan.json", "-o", "out")
    ((block,),) = (one["blocks"] for one in json.loads((tmp_path / "out/report.json").read_text())["networks"])
    assert {name: block["tse"]["memory_bits"] + beats * 6 * bits} == Generated.bits == {name: planned["memory_bits"]}
    for form in ("se", "tse", "cumulative", "causal"):
        config = block[form]["config"]
        assert (config["data"], config["outputs"]) == (f"uint{bits}", f"uint{bits}")
        assert config["weight_bits"] == weights["weight_bits"]
        assert (config["zero_point"], config["y_zero_point"], config["ratio"]) == (0, 0, pytest.approx(1.5))


@pytest.mark.parametrize(("formats", "types"), seldom([
    (("--dtype", "int16"), ()), (("--dtype", "uint5", "--weight-bits", 3), ("--y-dtypes", "int12"))],
    (("--dtype", "uint5", "--weight-bits", 3), ("--y-dtypes", "int12"))), ids=str)
def test_report_of_a_plan_with_formats(tiled_se, tmp_path, monkeypatch, formats, types):
    """A float network has the types that the options and the plan say; the outputs' scale is not known exactly."""
    path, images = network_and_images(tmp_path)
    tiled_se.passes("plan", path, images, *SHARED, *formats, *types, "--loadable", 1, "--calibrate-by", "min-max",
                    "--budget", 0.9, "--ks", 4, "-o", "plan")
    about = json.loads((tmp_path / "plan/plan.json").read_text())["about"]["blocks"]
    monkeypatch.setattr(measure, "Local", InPlace)
    tiled_se.passes("report", path, *SHARED, *formats, "--plan", "plan/plan.json", "-o", "out")
    (network,) = json.loads((tmp_path / "out/report.json").read_text())["networks"]
    assert {block["name"]: block["tse"]["memory_bits"] for block in network["blocks"]} == {
        name: pytest.approx(one["memory_bits"], rel=0.01) for name, one in about.items()}
    for block in network["blocks"]:
        assert block["tse"]["config"]["outputs"] == about[block["name"]]["y_type"]


def test_report_of_blocks_without_names(tiled_se):
    text = "is for the blocks of an .onnx file; those of other networks have no names, and K is one number for all"
    tiled_se.refuses(f"K=7,a=3 (--k): {text}", "report", "EfficientDet-D2", "--k", "a=3")
