# SPDX-License-Identifier: Apache-2.0
"""A block with registers, driven by cocotbext-axi through Verilator."""

import importlib.util
import json

import numpy as np
import pytest

from tests.helpers.blocks import expected, quantised, random_frame
from tiled_se.cosim.build import build_simulation
from tiled_se.cosim.job import Frame, Job, Load, Reset, Send
from tiled_se.cosim.run import simulate
from tiled_se.gen.registers.documents import compiled, map_values, rdl
from tiled_se.gen.verilog import generate, release
from tiled_se.hdl.data_type import DataType
from tiled_se.hdl.parameters import stream_words

if not importlib.util.find_spec("cocotbext.axi"):
    pytest.skip("needs cocotbext-axi: pip install 'tiled-se[simspeed]'", allow_module_level=True)

# Three channels a beat, and a row of several beats: a frame can be cut off a row's end.
LOADABLE = dict(k=2, width=3, channels=6, squeeze=2, lanes=3, loadable=True)
# Patches, whose ingress is another one, and outputs of another type.
BAKED = dict(k=2, tile_width=2, width=4, channels=4, squeeze=2, lanes=2, data=DataType(8, signed=False), zero_point=9,
             y_data=DataType(6), y_zero_point=-3, y_ratio=0.25)
BOTH = ("errors", "error_while_clearing", "busy_to_the_last_beat", "soft_reset", "soft_reset_alone", "whole_map")
SCENARIOS = ("load_and_run", "pauses", "load_in_flight", "overrun", "bad_streams", "strobes", "protocol", *BOTH)
BAKED_SCENARIOS = ("run_baked", *BOTH)


# One process makes the blocks that they share.
pytestmark = pytest.mark.xdist_group("registers")


class Block:
    """A built simulation, and the job that it runs in every scenario."""

    def __init__(self, shape):
        self.config, parameters = quantised(**shape)
        design = generate(self.config, None if self.config.loadable else parameters, registers=True)
        self.build = build_simulation(design.verilog, design.top, design.taps, per_beat=True)
        rng = np.random.default_rng(4)
        frames = tuple(Frame.of(x, expected(self.config, parameters, x), lanes=self.config.lanes, data=self.config.data,
                                outputs=self.config.outputs)
                       for x in (random_frame(self.config, height, rng) for height in (5, 1, 4)))
        # The registers take the words: the block has no port for them, which a job with steps would be checked for.
        steps = [Reset(), Send(frames)]
        if self.config.loadable:
            steps.insert(1, Load(np.array(stream_words(self.config, parameters), np.uint32)))
        self.job = Job.of(self.config, steps, seed=5)
        top = compiled(rdl("tiled_se", map_values(self.config, release())))
        self.map = {register.absolute_address: sum(
            field.get_property("reset") << field.low for field in register.fields() if field.is_sw_readable)
            for register in top.registers()}

    def run(self, scenario, monkeypatch, tmp_path):
        monkeypatch.setenv("SCENARIO", scenario)
        monkeypatch.setenv("EXPECTED_MAP", json.dumps(self.map))
        result = simulate(self.build, self.job, folder=tmp_path, timeout=100, module="tests.cosim.registers_bench")
        assert not result.failures


@pytest.fixture(scope="module")
def loadable():
    return Block(LOADABLE)


@pytest.fixture(scope="module")
def baked():
    return Block(BAKED)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_loadable(loadable, scenario, monkeypatch, tmp_path):
    loadable.run(scenario, monkeypatch, tmp_path)


@pytest.mark.parametrize("scenario", BAKED_SCENARIOS)
def test_baked(baked, scenario, monkeypatch, tmp_path):
    baked.run(scenario, monkeypatch, tmp_path)
