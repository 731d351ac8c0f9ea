# SPDX-License-Identifier: Apache-2.0
"""Any module under a cocotb test of one's own: what it writes and reads, and tests that fail or are not there."""

import pytest

from tiled_se.cosim import SimulationError, build_module, run_module

COUNTER = """
module counter (input clk, input [3:0] step, output reg [7:0] count);
    initial count = 8'd250;
    always @(posedge clk) count <= count + {4'd0, step};
endmodule
"""
TESTS = """
import pathlib
import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer

@cocotb.test()
async def wraps(dut):
    await Timer(1, unit="ns")
    assert dut.count.value.to_unsigned() == 250
    dut.step.value = 3
    Clock(dut.clk, 10, unit="ns").start()
    for _ in range(4):
        await RisingEdge(dut.clk)
    await Timer(1, unit="ns")
    pathlib.Path("count.txt").write_text(str(dut.count.value.to_unsigned()))

@cocotb.test()
async def fails(dut):
    assert dut.count.value.to_unsigned() == 1000
"""


def test_tests_of_ones_own(tmp_path, monkeypatch):
    executable = build_module(COUNTER, "counter", ("clk", "step"), ("count",))
    assert build_module(COUNTER, "counter", ("clk", "step"), ("count",)) == executable
    (tmp_path / "counter_tests.py").write_text(TESTS)
    monkeypatch.syspath_prepend(tmp_path)
    assert run_module(executable, "counter", "counter_tests", tmp_path) == (2, 1)
    assert (tmp_path / "count.txt").read_text() == str((250 + 4 * 3) % 256)
    with pytest.raises(SimulationError, match="^the simulation left no result .*simulation.log$"):
        run_module(executable, "counter", "no_such_tests", tmp_path)
