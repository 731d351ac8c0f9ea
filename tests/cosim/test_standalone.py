# SPDX-License-Identifier: Apache-2.0
"""Models without cocotb: they show what the cocotb bench shows, start anew for each run, and end what has no end."""

import dataclasses
import pickle

import numpy as np
import pytest

from tests.cosim.test_bench import LOAD, TAPS, VERILOG, _facts, _frames, _job, _stages, each_behaviour, every_step
from tiled_se.cosim.build import build_simulation
from tiled_se.cosim.job import Frame, Job, Reset, ResetAfter, Send
from tiled_se.cosim.result import SimulationError
from tiled_se.cosim.run import simulate
from tiled_se.cosim.standalone import build_model
from tiled_se.cosim.tools import BuildError
from tiled_se.hdl.data_type import UINT8
from tiled_se.verify.simulators.models import cxxrtl

# Passes its input on without a register; a selected number spoils the first lane, one a bit of status, one everything.
SELECTED = """
module selected (
  input clk, input rst, input [9:0] which,
  input [15:0] s_axis_tdata, input s_axis_tvalid, output s_axis_tready, input s_axis_tlast,
  output [15:0] m_axis_tdata, output m_axis_tvalid, input m_axis_tready, output m_axis_tlast,
  output [3:0] status_taken, output [31:0] status_never_set);
  reg [3:0] taken;
  reg [31:0] never_set;
  wire odd = which == 1000 && !(clk && odd);
  always @(posedge clk) begin
    taken <= rst ? 4'd0 : taken + (s_axis_tvalid & s_axis_tready & (which != 2));
    if (which == 1023 && taken == 3) $finish;
  end
  assign status_taken = taken;
  assign status_never_set = never_set;
  assign s_axis_tready = m_axis_tready & (which != 600);
  assign m_axis_tvalid = s_axis_tvalid & (which != 600);
  assign m_axis_tlast = s_axis_tlast;
  assign m_axis_tdata = s_axis_tdata ^ {15'd0, which == 1};
endmodule
"""


@pytest.fixture(scope="module")
def faulty():
    """The block of faulty.v: under cocotb, and by itself in both engines."""
    # yosys knows $finish in `initial` only, and needs no X.
    plain = VERILOG.replace("always @(posedge clk) if (fault == 18 && in_count == 20) $finish;", "")
    return {"cocotb": build_simulation(VERILOG, "faulty", TAPS, per_beat=False),
            "verilator": build_model(VERILOG, "faulty"),
            "taps": build_model(VERILOG, "faulty", taps=TAPS),
            "cxxrtl": build_model(plain, "faulty", engine="cxxrtl", source=cxxrtl(plain, "faulty"))}


@pytest.fixture(scope="module")
def selected():
    return build_model(SELECTED, "selected", select="which")


def frame_job(beats=10, **options):
    data = np.random.default_rng(3).integers(0, 256, (beats, 2), np.uint8)
    return Job(steps=(Reset(), Send((Frame(data, data),))), lanes=2, width=1, channels=2, data=UINT8,
               hang_cycles=100, **options)


@pytest.mark.parametrize("engine", ["verilator", "cxxrtl"])
@each_behaviour
def test_agrees_with_the_cocotb_bench(faulty, engine, fault, stall_in, stall_out):
    """The same beats in the same cycles, the same findings, to the letter."""
    job = every_step(fault, stall_in, stall_out)
    assert _facts(faulty[engine].run(job)) == _facts(simulate(faulty["cocotb"], job))


@pytest.mark.parametrize(("fault", "stage"), [(0, None), (13, "sums"), (3, "outputs")])
def test_taps_name_the_first_wrong_stage(faulty, fault, stage):
    """Also over a reset, and with no output that is wrong; without golden stages nothing is recorded."""
    lost, frames = _frames(0, count=1), _frames(fault)
    job = _job(Send(lost, wait=False), ResetAfter(9), LOAD, Send(frames))
    golden = _stages((*lost, *frames))
    result = faulty["taps"].run(job, golden_stages=golden)
    assert result.difference == simulate(faulty["cocotb"], dataclasses.replace(job, taps=TAPS),
                                         golden_stages=golden).difference
    assert (result.difference.stage if result.difference else None) == stage
    assert faulty["taps"].run(job).difference is None
    if stage is None:
        golden["sums"][2][1, 3] += 1
        changed = faulty["taps"].run(job, golden_stages=golden)
        assert changed.ok
        assert (changed.difference.stage, changed.difference.frame, changed.difference.index) == ("sums", 2, 3)


@pytest.mark.parametrize("engine", ["verilator", "cxxrtl"])
def test_a_run_leaves_nothing_behind(faulty, engine):
    """A run that hangs, with beats under way, beside one that doesn't: each is what it is by itself."""
    model = faulty[engine]
    good, hanging = _job(Send(_frames(0))), _job(Send(_frames(8)))
    alone = _facts(model.run(good))
    assert alone["failures"] == []
    assert model.run(hanging).failures[0].startswith("hang: ")
    assert _facts(model.run(good)) == alone


def test_an_input_selects(selected):
    """Each number is another design, in any order; no number is the first."""
    job = frame_job()
    mismatches = {which: selected.run(job, select=which).mismatches for which in (0, 1, 2, 511, 1)}
    assert mismatches == {0: 0, 1: 10, 2: 0, 511: 0}
    assert selected.run(job).status["status_taken"] == 10
    assert selected.run(job, select=2).status["status_taken"] == 0
    assert selected.run(job, select=600).failures[0].startswith("hang: no beat moved for 100 cycles: s_axis_tready")


def test_cxxrtl_selects():
    text = SELECTED.replace("if (which == 1023 && taken == 3) $finish;", "")
    model = build_model(text, "selected", engine="cxxrtl", source=cxxrtl(text, "selected"), select="which")
    assert [model.run(frame_job(), select=which).mismatches for which in (0, 1, 0)] == [0, 10, 0]


def test_what_is_not_initialised_is_of_the_seed(selected):
    values = [selected.run(frame_job(), seed=seed).status["status_never_set"] for seed in (1, 1, 2, 3)]
    assert values[0] == values[1]
    assert len(set(values)) == 3


def test_a_design_that_ends_the_simulation(selected):
    with pytest.raises(SimulationError, match="the model failed: the design has ended the simulation"):
        selected.run(frame_job(), select=1023)
    assert selected.run(frame_job()).ok


def test_a_design_without_a_stable_state():
    """An oscillation is told, and ends neither the process nor the next run."""
    text = SELECTED.replace("(which != 600);\n  assign m_axis_tlast", "!odd;\n  assign m_axis_tlast").replace(
        "wire odd = which == 1000 && !(clk && odd);",
        "reg odd, even; always @* begin even = !odd | (which != 1000); end always @* odd = even & (which == 1000);")
    model = build_model(text, "selected", select="which")
    with pytest.raises(SimulationError, match="the model failed: .*converge"):
        model.run(frame_job(), select=1000)
    assert model.run(frame_job()).ok


def test_a_model_that_has_gone(selected, tmp_path):
    with pytest.raises(SimulationError, match=r"gone\.so: .*; it has to be built again$"):
        dataclasses.replace(selected, library=tmp_path / "gone.so").run(frame_job())


def test_bad_calls(selected):
    job = frame_job()
    tap = {"stage": "sums"}
    with pytest.raises(ValueError, match=r"^taps: 1; must be none: they are given when the model is built$"):
        selected.run(dataclasses.replace(job, taps=(tap,)))
    with pytest.raises(ValueError, match=r"^select=1024: must be from 0 to 1023$"):
        selected.run(job, select=1024)
    with pytest.raises(ValueError, match=r"^taps: 1; must be none for engine cxxrtl$"):
        build_model(SELECTED, "selected", engine="cxxrtl", source="", taps=TAPS)
    with pytest.raises(BuildError, match=r"^module faulty\.tap has no signal nothing$"):
        build_model(VERILOG, "faulty", taps=({**TAPS[0], "data": "nothing"},))
    with pytest.raises(ValueError, match=r"^lanes=1 of int8 are 8 bits: s_axis_tdata has 16$"):
        selected.run(Job(steps=(Reset(),), lanes=1, width=1, channels=1))
    with pytest.raises(ValueError, match=r"^engine='vcs': must be one of verilator, cxxrtl$"):
        build_model(SELECTED, "selected", engine="vcs")
    with pytest.raises(ValueError, match="^source: must be given for engine cxxrtl, and for no other"):
        build_model(SELECTED, "selected", engine="cxxrtl")
    with pytest.raises(BuildError, match="^module selected has no input other$"):
        build_model(SELECTED, "selected", select="other")
    with pytest.raises(ValueError, match=r"^select='which': has 40 bits; must have at most 32$"):
        build_model(SELECTED.replace("[9:0] which", "[39:0] which"), "selected", select="which")


def test_made_once(selected):
    again = pickle.loads(pickle.dumps(build_model(SELECTED, "selected", select="which")))
    assert again.cached
    assert again.library == selected.library
    assert again.run(frame_job()).ok
    assert build_model(SELECTED + "// another", "selected", select="which").library != selected.library
