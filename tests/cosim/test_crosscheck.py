# SPDX-License-Identifier: Apache-2.0
"""Other simulators, and the netlist of an FPGA's cells, show what Verilator shows: a part of `tiled-se crosscheck`."""

import dataclasses
import functools
import json
import re
import types

import pytest

from tiled_se.cosim.standalone import build_model
from tiled_se.gen.verilog import generate
from tiled_se.hdl.config import ConfigError
from tiled_se.verify.configurations import CONFIGS, NAMED, quantised
from tiled_se.verify.options import CrosscheckOptions
from tiled_se.verify.regression import suite
from tiled_se.verify.simulators import command, compare, models
from tiled_se.verify.simulators.command import crosscheck, select
from tiled_se.verify.simulators.compare import SEED, ask, differences, facts
from tiled_se.verify.simulators.simulators import REFERENCE, SIMULATORS, Block

# A run with all that the bench can do to a block that can't be loaded, of a thousand cycles and more.
BUSY = "resets, stalls (0.3, 0.9)"
SMALLEST = "C/LANES=1 with a tile of one beat"
# Of the named ones, all of which `tiled-se crosscheck` runs, those that take most forms of every component.
SOME = (SMALLEST, "three groups a pixel, CR more than C, hardswish", "silu, loud, hard sigmoid x/6 + 1/2",
        "int8 about -128, SLACK=0", "uint8 about 255, loadable")
# Of an input of the netlist: each number but 0 spoils an output pin of cells of a type.
SPOILT = {1: ("LUT4", "Z"), 2: ("CCU2C", "S0"), 3: ("TRELLIS_FF", "Q"), 4: ("MULT18X18D", "P14"), 5: ("DP16KD", "DOA3"),
          6: ("TRELLIS_DPR16X4", "DO[0]")}


@functools.cache
def block_of(name):
    return Block(*quantised(**NAMED[name]))


@functools.lru_cache(1)
def all_runs(block):
    return suite(block.config, block.parameters, seed=SEED)


def runs_of(block, *names):
    return [run for run in all_runs(block) if not names or run.name in names]


@pytest.mark.parametrize("name", SOME)
def test_cxxrtl(name):
    """The whole regression in CXXRTL: right, in the cycles that were predicted, and in those of Verilator."""
    block = block_of(name)
    runs = runs_of(block)
    shown = ask(block, SIMULATORS["cxxrtl"], runs=runs)
    assert (list(shown["runs"]), shown["left_out"]) == ([run.name for run in runs], [])
    wanted = ask(block, SIMULATORS[REFERENCE], runs=runs_of(block, BUSY))
    busy = {"runs": {BUSY: shown["runs"].pop(BUSY)}}
    assert differences(wanted, busy) == []
    assert [text for about in shown["runs"].values() for text in about["failures"]] == []


@pytest.mark.parametrize("name", [name for name in CONFIGS if name not in SOME])
def test_the_whole_regression(name):
    """The others, in Verilator alone: right, and in the cycles that were predicted."""
    block = block_of(name)
    model = build_model(generate(block.config, block.baked).verilog, "tiled_se")
    assert [text for run in runs_of(block) for text in run.failures(model.run(run.job))] == []


@pytest.mark.parametrize("simulator", ["icarus", "amaranth"])
@pytest.mark.parametrize("name", [SMALLEST, "uint8 about 255, loadable"])
def test_shortest_run(simulator, name):
    """The same beats in the same cycles where Python moves them, in a simulator with X, and without any Verilog."""
    if SIMULATORS[simulator].lacks:
        pytest.skip(SIMULATORS[simulator].lacks)
    block = block_of(name)
    shown = ask(block, SIMULATORS[simulator], most=0)
    run, = shown["runs"]
    assert shown["beats"] > 10
    assert differences(ask(block, SIMULATORS[REFERENCE], runs=runs_of(block, run)), shown) == []


@pytest.fixture(scope="module")
def netlist():
    """The smallest block with a model of its ECP5 netlist, of whose cells one type can be spoilt at a time."""
    block = block_of(SMALLEST)
    text = models.ecp5(block.config, block.baked)
    for number, (cell, pin) in SPOILT.items():
        text = spoilt(text, number, cell, pin)
    for old, new in (("module tiled_se(", "module tiled_se(which, "), ("input clk;", "input clk; input [3:0] which;")):
        text = text.replace(old, new)
    return block, build_model(text + models.cell_models(), "tiled_se", select="which")


def spoilt(text, number, cell, pin):
    """The netlist with a pin inverted where ``which`` is `number`, of about sixteen of the cells of a type."""
    pin, part = re.fullmatch(r"(\w+)(.*)", pin).groups()
    instances = re.findall(rf"^  {cell} .*?^  \);\n", text, re.M | re.S)
    for place, instance in enumerate(instances[::max(1, len(instances) // 16)]):
        net = re.search(rf"\.{pin}\((.*?)\),?$", instance, re.M)
        if net is None:
            continue
        name = f"right_{number}_{place}"
        text = text.replace(instance, instance.replace(net[0], net[0].replace(net[1], name)) + (
            f"  wire {'[3:0] ' if part else ''}{name};\n  assign {net[1]} = {name} ^ (which == {number});\n"))
    return text


@pytest.mark.xdist_group("netlist")  # one process makes what they share
def test_netlist(netlist):
    """The whole regression, in the netlist as it is synthesised for ECP5, with its cells' models."""
    block, model = netlist
    runs = runs_of(block)
    shown = {"runs": {run.name: facts(run, model.run(dataclasses.replace(run.job, occupancy=True))) for run in runs}}
    wanted = ask(block, SIMULATORS["cxxrtl"], runs=runs)
    assert differences(wanted, shown) == []


@pytest.mark.xdist_group("netlist")
@pytest.mark.parametrize("number", SPOILT, ids=[" ".join(pin) for pin in SPOILT.values()])
def test_a_spoilt_cell_is_seen(netlist, number):
    """Of each kind of cell a wrong pin shows: what agrees above does so because the cells are right."""
    block, model = netlist
    assert any(run.failures(model.run(run.job, select=number)) for run in runs_of(block))


@pytest.mark.parametrize(("most", "made"), [(15_000, {"crowd", "reload behind beats", "padded stream"}),
                                            (0, {"padded stream"})])
def test_a_sink_that_takes_nothing_makes_no_run_long(monkeypatch, most, made):
    """Not where what is inside is lost in the end; but such a run is never all that a slow simulator makes."""
    block = block_of("uint8 about 255, loadable")
    nothing = types.SimpleNamespace(sections=[], cycles=0, run_seconds=0)
    monkeypatch.setattr(compare, "facts", lambda run, result: {})
    simulator = types.SimpleNamespace(most=most, prepare=lambda block: lambda job: nothing)
    runs = [run for run in all_runs(block) if run.name in {*made, "crowd", "blocked sink"}]
    assert set(ask(block, simulator, runs=runs)["runs"]) == made


def test_what_differs_is_named():
    """Each fact by itself, in a few words."""
    fine = {"failures": [], "outputs": "ab", "sections": [{"total": 3}, {"total": 8}], "status": {"status_loaded": 1},
            "snapshots": {"before": {"cycle": 4, "loaded": 0}}, "cycles": 12}
    reference = {"runs": {"cuts": fine}}
    assert differences(reference, reference) == []
    for change, text in (
            ({"outputs": "cd"}, "cuts: outputs: cd instead of ab"),
            ({"sections": [{"total": 3}, {"total": 9}]}, "cuts: sections: number 1: total: 9 instead of 8"),
            ({"sections": [{"total": 3}]}, "cuts: sections: [{'total': 3}] instead of [{'total': 3}, {'total': 8}]"),
            ({"status": {"status_loaded": None}}, "cuts: status: status_loaded: None instead of 1"),
            ({"snapshots": {"before": {"cycle": 4, "loaded": 2}}}, "cuts: snapshots: before: loaded: 2 instead of 0"),
            ({"cycles": 13}, "cuts: cycles: 13 instead of 12"),
            ({"failures": ["stream: hang"]}, "cuts: stream: hang")):
        assert differences(reference, {"runs": {"cuts": fine | change}}) == [text]


def test_every_element_is_in_the_facts():
    block = block_of(SMALLEST)
    run, = runs_of(block, BUSY)
    result = SIMULATORS[REFERENCE].prepare(block)(run.job)
    changed = dataclasses.replace(result, outputs=[output.copy() for output in result.outputs])
    changed.outputs[-1][-1, -1] ^= 1
    assert facts(run, changed)["outputs"] != facts(run, result)["outputs"]
    moved = dataclasses.replace(result, outputs=[*result.outputs[:-2], result.outputs[-1], result.outputs[-2]])
    assert facts(run, moved)["outputs"] != facts(run, result)["outputs"]


def test_select():
    assert select(None) == list(NAMED)
    assert select(("LOADABLE",)) == ["uint8 about 255, loadable"]
    assert select(("headline", "k=1")) == ["K=1, CR=1", "headline"]
    with pytest.raises(ConfigError, match="only=nothing: must be in one of the names: original SE") as caught:
        select(("headline", "nothing"))
    assert caught.value.option == "only"


def fake_run_all(records, failures=()):
    """Instead of asking."""
    def run_all(tasks, job, engine, progress, finish):
        for task in tasks:
            if task.simulator not in failures:
                finish(task, records(task))
        return {task: "BuildError: no memory" for task in tasks if task.simulator in failures}

    return run_all


@pytest.mark.parametrize(("cycles", "failing", "right"), [
    ({}, (), True), ({"cxxrtl": 13}, (), False), ({}, ("ecp5",), False), ({}, (REFERENCE,), False)])
def test_command(monkeypatch, tmp_path, capsys, cycles, failing, right):
    """One that differs or fails, and all is not right; one that isn't there is left out, and said so."""
    def record(task):
        return {"beats": 5, "cycles": 12, "build_seconds": 1.0, "run_seconds": 0.5, "left_out": [],
                "runs": {"cuts": {"failures": [], "cycles": cycles.get(task.simulator, 12)}}}

    monkeypatch.setattr(command, "run_all", fake_run_all(record, failing))
    monkeypatch.setenv("PATH", str(tmp_path))
    options = CrosscheckOptions(only=("headline",), jobs=1, out=str(tmp_path / "out"))
    assert crosscheck(options) is right
    found = json.loads((tmp_path / "out" / "crosscheck.json").read_text())["configurations"]["headline"]
    said = capsys.readouterr().out
    assert list(found) == list(SIMULATORS)
    assert found["icarus"] == {"verdict": "not asked", "reason": "iverilog is not on PATH"}
    assert "left out: icarus: iverilog is not on PATH" in said
    if cycles:
        assert (found["cxxrtl"]["verdict"], found["amaranth"]["verdict"]) == ("differs", "agrees")
        assert "headline: cxxrtl: cuts: cycles: 13 instead of 12" in said
    for name in failing:
        assert found[name] == {"verdict": "error", "reason": "BuildError: no memory"}
    if right:
        assert re.search(r"^headline +12 +12 +n\.a\. +12 +12 +n\.a\.$", said, re.M)
