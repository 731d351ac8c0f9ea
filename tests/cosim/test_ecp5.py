# SPDX-License-Identifier: Apache-2.0
"""The ECP5 form of memories and multipliers: the whole block with the primitives' models."""

import dataclasses
import json

import numpy as np
import pytest
from amaranth.back import verilog

from tests.cosim.test_cosim import Block
from tests.helpers.blocks import quantised, random_frame
from tests.helpers.nightly import seldom
from tiled_se.cosim.build import build_simulation
from tiled_se.cosim.job import Send
from tiled_se.cosim.run import simulate
from tiled_se.gen.fpga.tools import Workbench
from tiled_se.gen.fpga.yosys import map_to_cells
from tiled_se.gen.verilog import generate
from tiled_se.hdl.config import DataType, Mid
from tiled_se.hdl.ecp5 import SHAPES, Ecp5
from tiled_se.hdl.rom import Rom
from tiled_se.verify.simulators.models import OURS

CELLS = OURS.read_text()
BLOCKS = {
    # Banks of three shapes, a single bank of 36 bits, LUT memories.
    "headline": dict(k=7, width=56, channels=64, squeeze=16, lanes=8, loadable=True),
    # One bit wide block RAMs, block RAMs for sums and gates, three registers behind the weights.
    "one lane": dict(k=3, width=131, channels=72, squeeze=18, macs=2, loadable=True),
    # Operands and multipliers of more than 18 bits, tabulated mid, parameters baked in.
    "wide operands": dict(k=3, width=40, channels=24, squeeze=6, lanes=2, mid=Mid.SILU, gain=6.0, multiplier_bits=32),
    # Tables in block RAMs.
    "16 bits": dict(k=2, width=30, channels=16, squeeze=4, lanes=2, mid=Mid.SILU, data=DataType(16)),
}


@pytest.mark.parametrize("title", seldom(BLOCKS, "headline", "one lane", "16 bits"))
def test_same_as_the_generic_block(title):
    """Every output is the golden model's, and every cycle the generic block's, with stalls and without."""
    shape = BLOCKS[title]
    config, parameters = quantised(**shape)
    assert config.operand_bits > 18 or shape.get("gain", 1) == 1
    baked = None if config.loadable else parameters
    block = Block(config, parameters, None)
    frames = block.frames((2 * config.k + 1, 1, config.k), np.random.default_rng(4))
    results = {}
    for name in ("generic", "ecp5"):
        design = generate(config, baked) if name == "generic" else generate(config, baked, technology=Ecp5)
        # The generic text has neither cell, the other one both.
        assert [cell in design.verilog for cell in ("DP16KD", "MULT18X18D")] == [name == "ecp5"] * 2
        assert ("INITVAL" in design.verilog) == (name == "ecp5" and config.data.bits > 8)
        text = design.verilog + (CELLS if name == "ecp5" else "")
        simulation = build_simulation(text, design.top, design.taps, False)
        for stall in (0.0, 0.4):
            result = simulate(simulation, block.job(Send(frames), stall_in=stall, stall_out=stall, hang_cycles=20_000))
            assert result.ok, result.failures
            results[name, stall] = (result.total_cycles, result.first_output_latency, result.cycles)
    for stall in (0.0, 0.4):
        assert results["ecp5", stall] == results["generic", stall]


def test_a_wrong_bank_is_seen(monkeypatch):
    """The comparison above would see a memory that reads from the wrong bank."""
    from tiled_se.hdl.ecp5 import Bank

    config, parameters = quantised(k=2, width=40, channels=16, squeeze=2, lanes=1, macs=1)
    config = dataclasses.replace(config, slack=0)
    monkeypatch.setattr(Bank, "selects", lambda self, address: address[-1] == (self.start > 0))
    design = generate(config, parameters, technology=Ecp5)
    block = Block(config, parameters, build_simulation(design.verilog + CELLS, design.top, design.taps, False))
    frame = block.frame(random_frame(config, 4, np.random.default_rng(1)))
    assert simulate(block.simulation, block.job(Send((frame,)))).mismatches


@pytest.mark.parametrize("words", sorted(SHAPES))
def test_initial_contents(tmp_path, words):
    """A table's block RAM holds what yosys gives a block RAM that it infers for the same table."""
    bits = SHAPES[words]
    table = [int(word) for word in np.random.default_rng(bits).integers(0, 1 << bits, words)]
    plain = f"""
module plain(input clk, input [{words.bit_length() - 2}:0] a, output reg [{bits - 1}:0] q);
    (* ram_style = "block" *) reg [{bits - 1}:0] mem [0:{words - 1}];
    initial $readmemh("table.hex", mem);
    always @(posedge clk) q <= mem[a];
endmodule"""
    rom = Rom(width=bits, words=table)
    texts = {"plain": plain, "rom": verilog.convert(rom, platform=Ecp5("rom"), name="rom")}
    contents = []
    for name, text in texts.items():
        with Workbench(tmp_path) as bench:
            (bench.folder / "table.hex").write_text("\n".join(f"{word:x}" for word in table))
            map_to_cells(bench, "synth_ecp5", text, name)
            cells = json.loads((bench.folder / f"{name}.json").read_text())["modules"][name]["cells"]
        block, = (cell["parameters"] for cell in cells.values() if cell["type"] == "DP16KD")
        contents.append({key: int(value, 2) for key, value in block.items() if key.startswith("INITVAL")})
    assert contents[0] == contents[1]
    assert len(contents[0]) == 64
