# SPDX-License-Identifier: Apache-2.0
"""`tiled-se plan`: the memory that it reports is that of the designs which `build` makes by the plan."""

import json

import pytest

from tests.helpers.onnx_images import network_and_images
from tiled_se.gen.block_spec import prepare
from tiled_se.gen.verilog import generate
from tiled_se.network.commands import build


class Generated:
    """A campaign that generates each block of the tasks, and simulates none."""

    bits = ()

    def __init__(self, tasks):
        specs = {name: prepare(task) for name, task in tasks.items()}
        Generated.bits = {name: generate(spec.config, spec.baked).sram["total_without_weights_bits"]
                          for name, spec in specs.items()}
        self.failures, self.results = dict.fromkeys(tasks, "not simulated"), {}

    def run(self, *_, **__):
        """Nothing."""


# Blocks are checked in other tests, and fewer heights are as good.
SHARED = ("--input-shape", "3x64x48", "--check-blocks", 0)


@pytest.mark.parametrize(("budget", "hardware"), [
    ("0.5", ()), ("4KiB", ("--macs", 4, "--lanes", 3, "--dtype", "uint12", "--loadable", 1)),
    ("0.6", ("--dtype", "int4", "--weight-bits", 3))], ids=str)
def test_memory_is_that_of_the_build(tiled_se, tmp_path, monkeypatch, budget, hardware):
    """Every block's to 1 %: the formulas know all memories, but the zero point is that of the tiled network's maps."""
    path, images = network_and_images(tmp_path)
    tiled_se.passes("plan", path, images, *SHARED, *hardware, "--budget", budget, "--ks", "1,4", "-o", "plan")
    about = json.loads((tmp_path / "plan/plan.json").read_text())["about"]
    monkeypatch.setattr(build, "Campaign", Generated)
    assert tiled_se("build", path, "--calibration", images, *SHARED, *hardware, "--plan", "plan/plan.json").status == 1
    assert Generated.bits == {name: pytest.approx(one["memory_bits"], rel=0.01)
                              for name, one in about["blocks"].items()}
    assert sum(Generated.bits.values()) == pytest.approx(about["memory_bits"], rel=0.01)
