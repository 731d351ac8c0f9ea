# SPDX-License-Identifier: Apache-2.0
"""The mutation score: mutants of a small block, kills by its regression, proofs of equivalence and their limits."""

import dataclasses
import json
import types
from unittest import mock

import pytest

from tests.helpers.nightly import seldom
from tiled_se.cosim.result import ModelError, SimulationError
from tiled_se.cosim.standalone import build_model
from tiled_se.gen.fpga.tools import TOOLS, Workbench
from tiled_se.gen.options import BlockOptions
from tiled_se.gen.verilog import taps
from tiled_se.verify.equivalence.abc import solved
from tiled_se.verify.equivalence.miter import Faults
from tiled_se.verify.equivalence.prove import (
    INVARIANTS_SECONDS,
    MULTIPLIED,
    can_hold,
    machine_with,
    prove_equivalent,
    prove_over_cycles,
)
from tiled_se.verify.faults import OBSERVED, SELECT, TOP
from tiled_se.verify.mutation import Judged, command
from tiled_se.verify.mutation.blocks import blocks_of
from tiled_se.verify.mutation.mutation import parse
from tiled_se.verify.mutation.netlist import flatten, mutate_all, mutations
from tiled_se.verify.mutation.replay import Kill, Replay, further, other_seeds, replay, shortest_first
from tiled_se.verify.mutation.summary import passed, record
from tiled_se.verify.options import MutateOptions
from tiled_se.verify.regression.parameters import pinned

# A counter from 0 to 9 that counts while `s` is 1. From 8 on the count is valid data; while `s` is 1 it is written to a
# memory. A register without a reset starts with any value, and is 0 after the first `s`.
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
# Bit 1 of a square is 0, and bit 2 may be 1. The result is late by two registers, which start with any value. A count
# reaches 40 long after a reset.
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
# One of two inputs is assumed to be less than 8; a count is invariably so after a reset.
ASSUMED = r"""
module tiled_se(input clk, input rst, input [3:0] x, input [3:0] z, output reg [3:0] y);
  reg [3:0] held, count = 0;
  wire [3:0] first, second, third, fourth;
  (* keep *) wire tap_assumptions = ~x[3], tap_invariants = ~count[3];
  \$mux #(.WIDTH(4)) as_assumed (.A(x), .B(4'd5), .S(held[3]), .Y(first));
  \$mux #(.WIDTH(4)) not_assumed (.A(first), .B(4'd6), .S(held[2]), .Y(second));
  \$mux #(.WIDTH(4)) as_invariant (.A(second), .B(4'd7), .S(count[3]), .Y(third));
  \$mux #(.WIDTH(4)) not_invariant (.A(third), .B(4'd9), .S(count[2]), .Y(fourth));
  always @(posedge clk) begin
    held <= x; y <= fourth;
    if (rst) count <= 0; else count <= (count + z) & 7;
  end
endmodule
"""
# `seen` is 0 after a reset and stays 0; that `other` is 0 is an invariant. With a fault of `clear`, `seen` takes in a
# reset the value that `other` had before it.
RESET_LATER = r"""
module tiled_se(input clk, input rst, output reg seen, output reg copy);
  reg other;
  wire [1:0] next;
  (* keep *) wire tap_invariants = ~other, tap_assumptions = 1'b1;
  \$mux #(.WIDTH(2)) clear (.A({copy, seen}), .B({other, 1'b0}), .S(rst), .Y(next));
  always @(posedge clk) begin other <= other & ~rst; {copy, seen} <= next; end
endmodule
"""
# Faults of the toy, and whether they are equivalent to it.
FAULTS = {
    "-mode const0 -cell at_end -port A -portbit 1": True,     # 11 would be an end, but is never reached
    "-mode const1 -cell at_end -port A -portbit 0": False,    # 8 is one now
    "-mode cnot1 -cell at_end -port A -portbit 2 -ctrlbit 1": True,   # up to 13, no count with bit 1 is an end
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
    """12 mutants of a block of one lane: whether the command passed, its document, and its Judged block."""
    folder, judged = tmp_path_factory.mktemp("mutate"), []
    block = BlockOptions(k=2, width=2, channels=2, squeeze=2, lanes=1, macs=2, loadable=False, slack=0)
    options = MutateOptions(mutants=12, jobs=1, out=str(folder), block=block)
    original = command.judge

    def judge(*arguments, **options):
        judged.append(original(*arguments, **options))
        return judged[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "judge", judge)
        # This tests the command, which takes neither many proofs nor many beats.
        for name, value in (("QUICK", 1), ("LONG", 1), ("WINDOWS", (0,)), ("UNROLLED", (0,))):
            patch.setattr(f"tiled_se.verify.equivalence.prove.{name}", value)
        patch.setattr("tiled_se.verify.mutation.replay._BEATS", 8_000)
        good = command.mutate(options)
    return good, json.loads((folder / command.RESULT).read_text()), judged[0]


@pytest.mark.xdist_group("outcome")  # one process makes what they share
def test_a_blocks_mutants_are_killed_or_examined(outcome):
    good, summary, _ = outcome
    assert summary["mutants"] == 12 == summary["killed"] + summary["equivalent"] + len(summary["survivors"])
    assert summary["killed"] >= 6
    assert sum(summary["by_kind"].values()) == summary["killed"] == sum(summary["by_scenario"].values())
    assert sum(row["mutants"] for row in summary["by_component"].values()) == 12
    assert len(summary["by_component"]) >= 5
    assert good == (summary["killed"] + summary["equivalent"] >= 0.99 * 12)
    assert all(mutant["change"].startswith("mutate -mode") for mutant in summary["survivors"])
    assert summary["blocks"][0]["unmutated"] == "passes"


@pytest.mark.xdist_group("outcome")
def test_what_does_not_pass(outcome, monkeypatch):
    """No mutant is killed without scenarios; the block itself is wrong; or there are fewer mutants than asked for."""
    _, _, judged = outcome
    assert any(judged.kills)
    nothing = Replay("none", None, None, ((None, 1, 0),), ())
    monkeypatch.setattr("tiled_se.verify.mutation.replay.suite", lambda *_, **__: ())
    none = [replay(nothing, number) for number in range(1, 13)]
    every = [Kill("frames", "data", "", "regression")] * 12
    for kills, wrong, mutants, good in ((every, [], 12, True), (none, [], 12, False),
                                        (every, ["frames: hang"], 12, False), (every, [], 13, False)):
        summary = record([Judged(judged.block, judged.mutations, kills, {}, wrong)], MutateOptions(mutants=mutants), 0)
        assert (summary["killed"], len(summary["survivors"])) == ((12, 0) if kills is every else (0, 12))
        assert passed(summary) is good


@pytest.fixture(scope="module")
def examined(tmp_path_factory):
    """A block with two passes and faults that outputs hardly show: its Replay, all drawn faults, Verilog."""
    (block,) = blocks_of(MutateOptions(block=BlockOptions(
        k=2, width=2, channels=4, squeeze=3, lanes=1, macs=2, loadable=True, slack=0)))
    with Workbench(str(tmp_path_factory.mktemp("mutate"))) as bench:
        flatten(bench, block.config, block.baked)
        drawn = mutations(bench, 10_000, 1)
        # Some read enables that are always on, and some faults of a mean's last bits.
        enables = [one for one in drawn if "excite.hidden_r" in one.words and "stuck at 1" in one.words]
        means = [one for one in drawn if any(f"excite.means.halves[{bit}]" in one.words for bit in (1, 2, 3))]
        chosen = enables[:8] + means[:8]
        text = mutate_all(bench, chosen)
    model = build_model(text, TOP, select=SELECT, taps=taps(block.config, text, TOP))
    indices, wrong = shortest_first(model, block.config, block.parameters, 1)
    assert wrong == []
    return Replay("seen", model, block.config, ((block.parameters, 1, 0),), indices), drawn, text


@pytest.mark.xdist_group("examined")
def test_memories_and_stages_show_what_outputs_hide(examined):
    first, _, _ = examined
    kills = [replay(first, number) for number in range(1, 17)]
    assert {"memory", "stages"} <= {kill.kind for kill in kills if kill}
    again = other_seeds(first)
    assert [seed for _, seed, _ in again.variants] == [2, 3, 4, 5]
    assert replay(dataclasses.replace(again, variants=again.variants[:1]), 0) is None
    more = further(first)
    # The block without a fault passes frames with many sets of parameters.
    assert len({parameters.layer1.bias.tobytes() for parameters, _, _ in more.variants}) > 100
    assert replay(dataclasses.replace(more, variants=more.variants[::16]), 0) is None


@pytest.mark.xdist_group("examined")
def test_only_the_block_is_mutated(examined):
    """What only the bench observes is in the simulated netlist, and is not mutated."""
    _, drawn, text = examined
    for name in ("excite.operand_index_2", "excite.hidden_ram.leaf.misused"):
        assert rf"\{name} " in text
        assert not any(name in one.words for one in drawn)
    assert any("excite.hidden_re_" in one.words for one in drawn)


@pytest.mark.xdist_group("examined")
def test_parameters_beside_powers_of_two(examined):
    first, _, _ = examined
    config, parameters = first.config, first.variants[0][0]
    biases = {abs(int(bias)) for seed in range(200) for bias in pinned(config, parameters, seed).layer1.bias}
    assert {1 << n for n in range(config.requant_bits - 1)} <= biases
    assert {(1 << n) + 1 for n in range(config.requant_bits - 2)} <= biases


@pytest.mark.parametrize("name", seldom(["cumulative", "causal", "window", "patches"], "causal"))
def test_a_block_without_a_fault(name, tmp_path):
    """The regression finds nothing wrong in it, also no read beyond a memory's end; its invariants can be proved."""
    block = next(block for block in blocks_of(MutateOptions()) if block.name == name)
    with Workbench(str(tmp_path)) as bench:
        flatten(bench, block.config, block.baked)
        chosen = mutations(bench, 1, 1)
        faults = Faults(machine_with(bench, chosen))
        assert solved(bench, "invariants", faults.invariants(), INVARIANTS_SECONDS) == "UNSAT"
        text = mutate_all(bench, chosen)
    model = build_model(text, TOP, select=SELECT, taps=taps(block.config, text, TOP))
    _, wrong = shortest_first(model, block.config, block.parameters, seed=1)
    assert wrong == []


@pytest.fixture
def toy(tmp_path):
    """A function that makes a workbench's netlist of a module."""
    def make(verilog):
        (bench.folder / "toy.v").write_text(verilog)
        bench.run(TOOLS["yosys"], ["-p", "read_verilog -icells toy.v; hierarchy -top tiled_se; proc; memory_collect; "
                                         f"memory_nordff; opt_clean; write_rtlil {OBSERVED}"], "toy.log")
        return bench

    with Workbench(str(tmp_path)) as bench:
        yield make


def test_only_faults_that_nothing_shows_are_proved_equivalent(toy):
    proofs = prove_equivalent(toy(TOY), [fault(text) for text in FAULTS], 1)
    assert {text: proof.equivalent for text, proof in zip(FAULTS, proofs, strict=True)} == FAULTS


def test_invariants_need_not_hold_before_the_first_reset(toy):
    """A state in which they don't shows this fault."""
    proof, = prove_equivalent(toy(RESET_LATER), [fault("-mode cnot1 -cell clear -port B -portbit 0 -ctrlbit 1")], 1)
    assert not proof.equivalent


def over_cycles(bench, *faults):
    """The `faults` that are proved over several cycles."""
    mutations = [fault(f"-mode const0 -cell {cell} -port S -portbit 0") for cell in faults]
    machine = machine_with(bench, mutations, MULTIPLIED)
    assert can_hold(bench, machine)
    return {cell for number, cell in enumerate(faults, 1) if prove_over_cycles(bench, machine, number)}


def test_what_a_pipeline_never_holds_is_proved_over_some_cycles(toy):
    """The proof knows the multiplier's results; it excludes nothing that happens only long after a reset."""
    assert over_cycles(toy(SQUARE), "never", "sometimes", "late") == {"never"}


def test_assumptions_and_invariants_are_assumed_and_no_more(toy):
    cells = ("as_assumed", "not_assumed", "as_invariant", "not_invariant")
    assert over_cycles(toy(ASSUMED), *cells) == {"as_assumed", "as_invariant"}


def test_a_contradiction_is_no_proof(toy):
    """If a bit is assumed to be both 0 and 1, anything follows."""
    bench = toy(ASSUMED.replace("tap_invariants = ", "tap_invariants = x[3] & "))
    machine = machine_with(bench, [fault("-mode inv -cell as_invariant -port Y -portbit 0")], MULTIPLIED)
    assert prove_over_cycles(bench, machine, 1)
    assert not can_hold(bench, machine)


@pytest.fixture
def replayed(monkeypatch):
    """A function that replays one scenario on a model whose runs fail with the given error."""
    def run(error):
        scenario = types.SimpleNamespace(name="frames", job=None, failures=list, stages={})
        monkeypatch.setattr("tiled_se.verify.mutation.replay.suite", lambda *_, **__: (scenario,))
        return replay(Replay("failing", mock.Mock(run=mock.Mock(side_effect=error)), None, ((None, 1, 0),), (0,)), 3)

    return run


def test_a_model_that_fails_is_a_kill(replayed):
    text = "the model failed: it found no stable state"
    assert replayed(ModelError(text)) == Kill("frames", "crash", text, "regression")


def test_what_could_not_be_run_is_no_kill(tmp_path, monkeypatch, replayed):
    """If the model or a process is lost, that proves nothing of a mutant: it stays open."""
    block = types.SimpleNamespace(name="gone", config=None, parameters=None, baked=None)
    fakes = {"flatten": lambda *_: None, "mutations": lambda *_: ("first", "second"), "mutate_all": lambda *_: "",
             "taps": lambda *_: (), "build_model": lambda *_, **__: None, "shortest_first": lambda *_: ((0,), []),
             "other_seeds": lambda first: first, "further": lambda first: first,
             "_kills": lambda replayed, numbers, jobs: ({1: Kill("frames", "data", "", "regression")}, {2: "died"})}
    for name, fake in fakes.items():
        monkeypatch.setattr(command, name, fake)
    judged = command.judge(block, 2, 1, str(tmp_path), 1)
    assert judged.kills[1] is None
    assert (judged.proofs[1].equivalent, judged.proofs[1].how) == (False, "not judged: died")
    with pytest.raises(SimulationError, match="built again"):
        replayed(SimulationError("model.so: cannot open shared object file; it has to be built again"))
