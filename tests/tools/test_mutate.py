# SPDX-License-Identifier: Apache-2.0
"""The mutation score: mutants of a small block, kills by its regression, proofs of equivalence and their limits."""

import dataclasses
import json
import types

import pytest

from tiled_se.cosim.result import ModelError, SimulationError
from tiled_se.cosim.standalone import build_model
from tiled_se.gen.fpga.tools import TOOLS, Workbench
from tiled_se.gen.options import BlockOptions
from tiled_se.gen.verilog import taps
from tiled_se.hdl.accumulate import uses_registers
from tiled_se.hdl.latency import ram_latency
from tiled_se.hdl.timing import Timing
from tiled_se.verify.equivalence.aig import Graph, read, write
from tiled_se.verify.equivalence.cut import cut
from tiled_se.verify.equivalence.prove import MULTIPLIED, can_hold, machine_with, prove, prove_over_cycles
from tiled_se.verify.mutation import command
from tiled_se.verify.mutation.blocks import BLOCKS, blocks_of, shares
from tiled_se.verify.mutation.mutation import component_of, parse
from tiled_se.verify.mutation.netlist import SEEN, SELECT, TOP, flatten, mutate_all, mutations
from tiled_se.verify.mutation.replay import Kill, Replay, further, kind_of, order, replay
from tiled_se.verify.mutation.summary import passed, record
from tiled_se.verify.options import MutateOptions
from tiled_se.verify.regression.parameters import pinned

# A count of 0 to 9 that goes on with `s`; from 8 on it is shown, and with `s` it is written to a memory. A register
# without a reset starts with anything, and is 0 behind the first `s`.
TOY = r"""
module tiled_se(input clk, input rst, input s, input [1:0] at, output m_axis_tvalid, output [3:0] m_axis_tdata,
                output [3:0] held, output fresh);
  reg [3:0] count = 0;
  reg [3:0] mem [0:3];
  reg stale;
  wire last;
  \$not #(.A_WIDTH(1), .A_SIGNED(0), .Y_WIDTH(1)) flip (.A(stale), .Y(fresh));
  wire [3:0] more, shown, kept;
  \$eq #(.A_WIDTH(4), .B_WIDTH(4), .A_SIGNED(0), .B_SIGNED(0), .Y_WIDTH(1)) at_end (.A(count), .B(4'd9), .Y(last));
  \$mux #(.WIDTH(4)) show (.A(4'd5), .B(count), .S(m_axis_tvalid), .Y(shown));
  \$mux #(.WIDTH(4)) keep_data (.A(4'd5), .B(count), .S(s), .Y(kept));
  assign m_axis_tvalid = count[3], m_axis_tdata = shown, held = mem[at], more = last ? 4'd0 : count + 4'd1;
  always @(posedge clk) begin
    if (rst) count <= 0; else if (s) count <= more;
    if (s) mem[count[1:0]] <= kept;
    if (s) stale <= 0;
  end
endmodule
"""
# Bit 1 of a square is 0, and bit 2 is not; a result is late by two registers, which start with anything. A count gets
# to 40 long behind a reset.
SQUARE = r"""
module tiled_se(input clk, input rst, input [3:0] x, output reg [3:0] y);
  reg [3:0] held;
  reg [7:0] square;
  reg [5:0] count = 0;
  wire [7:0] product;
  wire [3:0] first, second, third;
  \$mul #(.A_WIDTH(4), .B_WIDTH(4), .Y_WIDTH(8), .A_SIGNED(0), .B_SIGNED(0))
    multiply (.A(held), .B(held), .Y(product));
  \$mux #(.WIDTH(4)) never (.A(x), .B(4'd5), .S(square[1]), .Y(first));
  \$mux #(.WIDTH(4)) sometimes (.A(first), .B(4'd5), .S(square[2]), .Y(second));
  \$mux #(.WIDTH(4)) late (.A(second), .B(4'd6), .S(count == 40), .Y(third));
  always @(posedge clk) begin
    held <= x; square <= product; y <= third;
    if (rst) count <= 0; else if (count < 40) count <= count + 1;
  end
endmodule
"""
# One of two inputs is said to be less than 8; a count is, behind a reset.
GIVEN = r"""
module tiled_se(input clk, input rst, input [3:0] x, input [3:0] z, output reg [3:0] y);
  reg [3:0] held, count = 0;
  wire [3:0] first, second, third, fourth;
  (* keep *) wire tap_given = ~x[3], tap_known = ~count[3];
  \$mux #(.WIDTH(4)) as_given (.A(x), .B(4'd5), .S(held[3]), .Y(first));
  \$mux #(.WIDTH(4)) not_given (.A(first), .B(4'd6), .S(held[2]), .Y(second));
  \$mux #(.WIDTH(4)) as_known (.A(second), .B(4'd7), .S(count[3]), .Y(third));
  \$mux #(.WIDTH(4)) not_known (.A(third), .B(4'd9), .S(count[2]), .Y(fourth));
  always @(posedge clk) begin
    held <= x; y <= fourth;
    if (rst) count <= 0; else count <= (count + z) & 7;
  end
endmodule
"""
# `seen` is 0 behind a reset, and stays so; `other` is known to be. With a fault of `clear`, `seen` has behind a reset
# what `other` was before it.
KNOWN_LATER = r"""
module tiled_se(input clk, input rst, output reg seen, output reg copy);
  reg other;
  wire [1:0] next;
  (* keep *) wire tap_known = ~other, tap_given = 1'b1;
  \$mux #(.WIDTH(2)) clear (.A({copy, seen}), .B({other, 1'b0}), .S(rst), .Y(next));
  always @(posedge clk) begin other <= other & ~rst; {copy, seen} <= next; end
endmodule
"""
# What is done to it, whether that can be seen, and why.
FAULTS = {
    "-mode const0 -cell at_end -port A -portbit 1": True,     # 11 would be an end, but comes never
    "-mode const1 -cell at_end -port A -portbit 0": False,    # 8 is one now
    "-mode cnot1 -cell at_end -port A -portbit 2 -ctrlbit 1": True,   # where bit 1 is set it is none anyway, up to 13
    "-mode inv -cell show -port A -portbit 0": True,          # data while not valid
    "-mode const1 -cell show -port S -portbit 0": True,       # the same
    "-mode const0 -cell show -port S -portbit 0": False,
    "-mode inv -cell show -port B -portbit 3": False,
    "-mode inv -cell keep_data -port A -portbit 2": True,     # data of a memory while not written
    "-mode inv -cell keep_data -port B -portbit 2": False,
    "-mode const0 -cell flip -port A -portbit 0": False,      # it may have started as 1
}


def fault(text, **more):
    """A Mutation from options of yosys' command."""
    return parse(f"mutate -module tiled_se {text}" + "".join(f" -{key} {value}" for key, value in more.items()))


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """A block of one lane, 24 mutants: what the command has written, and what it has judged."""
    folder, seen = tmp_path_factory.mktemp("mutate"), []
    block = BlockOptions(k=2, width=2, channels=2, squeeze=2, lanes=1, macs=2, loadable=False, slack=0)
    options = MutateOptions(mutants=24, jobs=1, out=str(folder), block=block)
    original = command.judge

    def judge(*arguments, **options):
        seen.append(original(*arguments, **options))
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "judge", judge)
        # Proofs here are about the command, not about how many of them there are; nor are beats.
        for name, value in (("QUICK", 1), ("LONG", 1), ("WINDOWS", (0,)), ("UNROLLED", (0,))):
            patch.setattr(f"tiled_se.verify.equivalence.prove.{name}", value)
        patch.setattr("tiled_se.verify.mutation.replay._BEATS", 8_000)
        good = command.mutate(options)
    return good, json.loads((folder / command.RESULT).read_text()), seen[0]


@pytest.mark.xdist_group("outcome")  # one process makes what they share
def test_a_blocks_mutants_are_killed_or_looked_at(outcome):
    good, summary, _ = outcome
    assert summary["mutants"] == 24 == summary["killed"] + summary["equivalent"] + len(summary["survivors"])
    assert summary["killed"] >= 12
    assert sum(summary["by_kind"].values()) == summary["killed"] == sum(summary["by_run"].values())
    assert sum(row["mutants"] for row in summary["by_component"].values()) == 24
    assert len(summary["by_component"]) >= 5
    assert good == (summary["killed"] + summary["equivalent"] >= 0.99 * 24)
    assert all(mutant["change"].startswith("mutate -mode") for mutant in summary["survivors"])
    assert summary["blocks"][0]["unmutated"] == "passes"


@pytest.mark.xdist_group("outcome")
def test_without_vectors_nothing_is_killed_and_the_score_is_bad(outcome):
    _, _, judged = outcome
    assert any(judged.kills)
    nothing = Replay("none", None, None, ((None, 1, 0),), ())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tiled_se.verify.mutation.replay.suite", lambda *_, **__: ())
        kills = [replay(nothing, number) for number in range(1, 25)]
    bad = command.Judged(judged.block, judged.mutations, kills, {}, [])
    summary = record([bad], MutateOptions(), 0)
    assert summary["killed"] == 0
    assert len(summary["survivors"]) == 24
    assert not passed(summary)


@pytest.mark.xdist_group("outcome")
def test_a_block_that_is_wrong_itself_does_not_pass(outcome):
    _, _, judged = outcome
    kills = [Kill("frames", "data", "", "regression")] * 24
    right = command.Judged(judged.block, judged.mutations, kills, {}, [])
    wrong = command.Judged(judged.block, judged.mutations, kills, {}, ["frames: hang"])
    assert passed(record([right], MutateOptions(mutants=24), 0))
    assert not passed(record([wrong], MutateOptions(mutants=24), 0))
    # Fewer than were asked for are no score.
    assert not passed(record([right], MutateOptions(mutants=25), 0))


@pytest.fixture(scope="module")
def looked_into(tmp_path_factory):
    """A block with two passes, some faults that its outputs nearly hide: its Replay, all faults, Verilog."""
    (block,) = blocks_of(MutateOptions(block=BlockOptions(
        k=2, width=2, channels=4, squeeze=3, lanes=1, macs=2, loadable=True, slack=0)))
    with Workbench(str(tmp_path_factory.mktemp("mutate"))) as bench:
        flatten(bench, block.config, block.baked)
        drawn = mutations(bench, 10_000, 1)
        # Read enables that are always on, and a mean's last bits: some of each.
        enables = [one for one in drawn if "excite.hidden_r" in one.words and "stuck at 1" in one.words]
        means = [one for one in drawn if any(f"excite.means.halves[{bit}]" in one.words for bit in (1, 2, 3))]
        chosen = enables[:8] + means[:8]
        text = mutate_all(bench, chosen)
    model = build_model(text, TOP, select=SELECT, taps=[tap.signals(text, TOP) for tap in taps(block.config)])
    places, wrong = order(model, block.config, block.parameters, 1)
    assert wrong == []
    return Replay("seen", model, block.config, ((block.parameters, 1, 0),), places), drawn, text


@pytest.mark.xdist_group("looked_into")
def test_memories_and_stages_tell_what_outputs_hide(looked_into):
    vectors, _, _ = looked_into
    kills = [replay(vectors, number) for number in range(1, 17)]
    assert {"memory", "stages"} <= {kill.kind for kill in kills if kill}
    more = further(vectors)
    # Frames of many parameters, and none that the block as it is would fail.
    assert len({parameters.layer1.bias.tobytes() for parameters, _, _ in more.vectors}) > 100
    assert replay(dataclasses.replace(more, vectors=more.vectors[::16]), 0) is None


@pytest.mark.xdist_group("looked_into")
def test_only_the_block_is_mutated(looked_into):
    """What only the bench sees is in the simulated netlist, and nothing of it is mutated."""
    _, drawn, text = looked_into
    for name in ("excite.operand_index_2", "excite.hidden_ram.leaf.misused"):
        assert rf"\{name} " in text
        assert not any(name in one.words for one in drawn)
    assert any("excite.hidden_re_" in one.words for one in drawn)


@pytest.mark.xdist_group("looked_into")
def test_parameters_beside_powers_of_two(looked_into):
    vectors, _, _ = looked_into
    config, parameters = vectors.config, vectors.vectors[0][0]
    biases = {abs(int(bias)) for seed in range(200) for bias in pinned(config, parameters, seed).layer1.bias}
    assert {1 << n for n in range(config.requant_bits - 1)} <= biases
    assert {(1 << n) + 1 for n in range(config.requant_bits - 2)} <= biases


@pytest.fixture
def toy(tmp_path):
    """A function that makes a workbench's netlist of a module."""
    def make(verilog):
        (bench.folder / "toy.v").write_text(verilog)
        bench.run(TOOLS["yosys"], ["-p", "read_verilog -icells toy.v; hierarchy -top tiled_se; proc; memory_collect; "
                                         f"memory_nordff; opt_clean; write_rtlil {SEEN}"], "toy.log")
        return bench

    with Workbench(str(tmp_path)) as bench:
        yield make


def test_only_faults_that_nothing_shows_are_proved_equivalent(toy):
    proofs = prove(toy(TOY), [fault(text) for text in FAULTS], 1)
    assert {text: proof.equivalent for text, proof in zip(FAULTS, proofs, strict=True)} == FAULTS


def test_nothing_is_known_in_the_state_that_a_block_is_switched_on_in(toy):
    """Of such a state comes what shows this fault."""
    proof, = prove(toy(KNOWN_LATER), [fault("-mode cnot1 -cell clear -port B -portbit 0 -ctrlbit 1")], 1)
    assert not proof.equivalent


def over_cycles(bench, *faults):
    """Which of `faults` are proved over some cycles."""
    mutations = [fault(f"-mode const0 -cell {cell} -port S -portbit 0") for cell in faults]
    machine = machine_with(bench, mutations, MULTIPLIED)
    assert can_hold(bench, machine)
    return {cell for number, cell in enumerate(faults, 1) if prove_over_cycles(bench, machine, number)}


def test_what_a_pipeline_never_holds_is_proved_over_some_cycles(toy):
    """By what the multiplier gives; what comes only long after a reset does come."""
    assert over_cycles(toy(SQUARE), "never", "sometimes", "late") == {"never"}


def test_what_is_given_and_known_is_taken_for_granted_and_no_more(toy):
    assert over_cycles(toy(GIVEN), "as_given", "not_given", "as_known", "not_known") == {"as_given", "as_known"}


def test_what_cannot_be_is_no_proof(toy):
    """If it is given that a bit is both 0 and 1, anything follows."""
    bench = toy(GIVEN.replace("tap_known = ", "tap_known = x[3] & "))
    machine = machine_with(bench, [fault("-mode inv -cell as_known -port Y -portbit 0")], MULTIPLIED)
    assert prove_over_cycles(bench, machine, 1)
    assert not can_hold(bench, machine)


def test_multipliers_by_a_constant_are_not_cut_out():
    """They are adders, and anything that is not theirs would be a result that no input gives."""
    def multiplier(b):
        return {"type": "$mul", "parameters": {}, "connections": {"A": [2, 3], "B": b, "Y": [6, 7, 8]}}

    module = {"cells": {"by two bits": multiplier([4, "0"]), "by three": multiplier(["1", "1"])}, "ports": {}}
    cut(module)
    assert list(module["cells"]) == ["by three"]
    assert module["ports"]["cut0.key"]["bits"] == [2, 3, 4]


def test_a_model_that_fails_is_a_kill():
    class Model:
        def run(self, job, *, seed, select, golden_stages):
            raise ModelError("the model failed: it found no stable state")

    run = types.SimpleNamespace(name="frames", job=None, failures=list, stages={})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tiled_se.verify.mutation.replay.suite", lambda *_, **__: (run,))
        kill = replay(Replay("failing", Model(), None, ((None, 1, 0),), (0,)), 3)
    assert kill == Kill("frames", "crash", "the model failed: it found no stable state", "regression")


def test_what_could_not_be_run_is_no_kill(tmp_path, monkeypatch):
    """A model that has gone, or a process that died, says nothing of a mutant: it stays open, and is not proved."""
    def gone(*_, **__):
        raise SimulationError("model.so: cannot open shared object file; it has to be built again")

    block = types.SimpleNamespace(name="gone", config=None, parameters=None, baked=None)
    fakes = {"flatten": lambda *_: None, "mutations": lambda *_: ("first", "second"), "mutate_all": lambda *_: "",
             "taps": lambda *_: (), "build_model": lambda *_, **__: None, "order": lambda *_: ((0,), []),
             "_kills": lambda vectors, numbers, jobs: ({1: Kill("frames", "data", "", "regression")}, {2: "died"})}
    for name, fake in fakes.items():
        monkeypatch.setattr(command, name, fake)
    judged = command.judge(block, 2, 1, str(tmp_path), 1, runs=(0,))
    assert judged.kills[1] is None
    assert (judged.proofs[1].equivalent, judged.proofs[1].how) == (False, "not judged: died")
    run = types.SimpleNamespace(name="frames", job=None, failures=list, stages={})
    monkeypatch.setattr("tiled_se.verify.mutation.replay.suite", lambda *_, **__: (run,))
    with pytest.raises(SimulationError, match="built again"):
        replay(Replay("gone", types.SimpleNamespace(run=gone), None, ((None, 1, 0),), (0,)), 3)


@pytest.mark.parametrize(("failure", "kind"), [
    ("stream: 2 of 884 elements differ, the first in frame 1", "data"),
    ("stream: output has only 2 of 3 beats", "data"),
    ("stream: m_axis: tvalid fell before the beat was taken, cycle 7", "protocol"),
    ("stream: hang: no beat moved for 2650 cycles", "hang"),
    ("status: status_frame_error is 1 at the end, not 0", "status"),
    ("cycles: total_cycles is 1214, predicted 1188", "cycles"),
    ("stages: stage sums, frame 0, tile 1, index 2: wanted 1, got nothing", "stages"),
    ("memory: status_misused is 0b10", "memory"),
    ("occupancy: at most 12 beats were in flight, not 13", "occupancy"),
])
def test_kinds(failure, kind):
    assert kind_of(failure) == kind


@pytest.mark.parametrize(("cell", "component"), [
    (r"$flatten\excite.\mac.\multiply_1.\leaf.$procdff$5", "excite.mac"),
    (r"$flatten\accumulate.\ram.\leaf.$procmux$9", "accumulate"),
    (r"$flatten\ingress.\position.$31", "ingress.position"),
    ("$19", "tiled_se"),
])
def test_components(cell, component):
    assert component_of(cell) == component


def test_a_line_of_yosys_is_read():
    mutation = parse(r"mutate -mode cnot1 -module tiled_se -cell $flatten\scale.$96 -port Y -portbit 9 -ctrlbit 18 "
                     r"-wire scale.o_data -wirebit 9 -src /some/where/hdl/scale.py:112", "/some/where")
    assert (mutation.mode, mutation.cell, mutation.port) == ("cnot1", r"$flatten\scale.$96", "Y")
    assert (mutation.bit, mutation.control) == (9, 18)
    assert mutation.words == ("in scale: bit 9 of port Y, scale.o_data[9], of a cell is inverted while bit 18 of the "
                              "same port is 1 (hdl/scale.py:112)")


def test_graphs_are_written_as_they_are_read():
    graph = Graph()
    a, b, state = (graph.leaf() for _ in range(3))
    bad = graph.differ(graph.land(a, state), b)
    data = write(graph, {state >> 1: graph.lor(a, state)}, bad)
    machine = read(data, "input 0 0 a\ninput 1 0 b\noutput 0 0 bad\n")
    assert machine.inputs == {"a": [1], "b": [2]}
    assert len(machine.registers) == 1
    other = Graph()
    leaves = {node: other.leaf() for node in (1, 2, 3)}
    literals = machine.copy(other, leaves)
    result = literals[machine.outputs["bad"][0] >> 1] ^ machine.outputs["bad"][0] & 1
    # Structural hashing makes it the same literal as the same expression.
    assert result == other.differ(other.land(leaves[1], leaves[3]), leaves[2])


def test_the_default_blocks_have_every_component():
    blocks = blocks_of(MutateOptions())
    assert [block.name for block in blocks] == list(BLOCKS)
    assert {block.config.residual for block in blocks} == {True, False}
    assert {uses_registers(block.config) for block in blocks} == {True, False}
    assert {ram_latency(Timing(block.config).buffer_words) for block in blocks} == {1, 2}
    # Constant parameters would leave most of the data path one thing to do.
    assert all(block.config.loadable for block in blocks)
    assert {block.config.signed for block in blocks} == {True, False}
    assert {block.config.lanes > 1 for block in blocks} == {True, False}
    assert len({block.config.mid for block in blocks}) == 3
    assert {block.config.gate.kind.value for block in blocks} == {"sigmoid", "hardsigmoid"}


def test_mutants_are_shared_out():
    assert shares(1000, 3) == (334, 333, 333)
    assert shares(2, 3) == (1, 1, 0)
