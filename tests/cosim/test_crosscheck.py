# SPDX-License-Identifier: Apache-2.0
"""Other simulators and the netlist of FPGA cells agree with Verilator: a part of `tiled-se crosscheck`."""

import dataclasses
import functools
import re
import types

import pytest

from tests.helpers.nightly import seldom
from tiled_se.cosim.standalone import build_model
from tiled_se.verify.configurations import CONFIGS, NAMED, NamedBlock, quantised
from tiled_se.verify.regression import suite
from tiled_se.verify.simulators import REFERENCE, SIMULATORS, compare, models
from tiled_se.verify.simulators.compare import SEED, differences, facts, observe

# A scenario with all that the bench can do to a block without loading it, of more than a thousand cycles.
BUSY = "resets, stalls (0.3, 0.9)"
SMALLEST = "C/LANES=1 with a tile of one beat"
# The configurations with most forms of every component; `tiled-se crosscheck` runs all.
SOME = (SMALLEST, "three groups a pixel, CR more than C, hardswish",
        "cumulative, K=3, sums in registers, PRIOR=2, MAX_ROWS=8, loadable", "window after two rows, SLACK=0, loadable",
        "patches at full rate", "requantised, loadable")
IN_CXXRTL = (SMALLEST, "cumulative, K=3, sums in registers, PRIOR=2, MAX_ROWS=8, loadable",
             "window after two rows, SLACK=0, loadable")
OTHERS = [name for name in CONFIGS if name not in SOME]
# Each form of them is in another one, too.
NIGHTLY = ("W=1, one lane, MACS=1", "LANES=C, relu6", "int4", "int12", "causal, K=2, SLACK=0, PRIOR=3",
           "residual, sigmoid, uint8 about 100", "patches of one row, SLACK=0", "requantised")
# The values of an input of the netlist, each of which inverts an output pin of cells of one type.
SPOILT = {1: ("LUT4", "Z"), 2: ("CCU2C", "S0"), 3: ("TRELLIS_FF", "Q"), 4: ("MULT18X18D", "P14"), 5: ("DP16KD", "DOA3"),
          6: ("TRELLIS_DPR16X4", "DO[0]")}


@functools.cache
def block_of(name):
    return NamedBlock(name, *quantised(**NAMED[name]))


@functools.lru_cache(1)
def all_scenarios(block):
    return suite(block.config, block.parameters, seed=SEED)


def scenarios_of(block, *names):
    return [scenario for scenario in all_scenarios(block) if not names or scenario.name in names]


@pytest.mark.parametrize("name", seldom(SOME, *IN_CXXRTL))
def test_cxxrtl(name):
    """The whole regression in CXXRTL: right, in the predicted cycles, and in those of Verilator."""
    block = block_of(name)
    scenarios = scenarios_of(block)
    shown = observe(block, SIMULATORS["cxxrtl"], scenarios=scenarios)
    assert (list(shown["scenarios"]), shown["left_out"]) == ([scenario.name for scenario in scenarios], [])
    expected = observe(block, SIMULATORS[REFERENCE], scenarios=scenarios_of(block, BUSY))
    busy = {"scenarios": {BUSY: shown["scenarios"].pop(BUSY)}}
    assert differences(expected, busy) == []
    assert [text for about in shown["scenarios"].values() for text in about["failures"]] == []


@pytest.mark.parametrize("name", seldom(OTHERS, *(name for name in OTHERS if name not in NIGHTLY)))
def test_the_whole_regression(name):
    """The other configurations, in Verilator alone: right, and in the predicted cycles."""
    block = block_of(name)
    model = build_model(block.design.verilog, "tiled_se")
    assert [text for scenario in scenarios_of(block) for text in scenario.failures(model.run(scenario.job))] == []


@pytest.mark.parametrize("simulator", ["icarus", "amaranth"])
@pytest.mark.parametrize("name", [SMALLEST, "uint8 about 255, loadable", "uint3 on 5 lanes", "requantised, loadable"])
def test_shortest_run(simulator, name):
    """The same beats in the same cycles if Python moves them: in a simulator with X, and in one without Verilog."""
    if SIMULATORS[simulator].lacks:
        pytest.skip(SIMULATORS[simulator].lacks)
    block = block_of(name)
    shown = observe(block, dataclasses.replace(SIMULATORS[simulator], most=0))
    scenario, = shown["scenarios"]
    assert shown["beats"] > 10
    assert differences(observe(block, SIMULATORS[REFERENCE], scenarios=scenarios_of(block, scenario)), shown) == []


@pytest.fixture(scope="module")
def netlist():
    """The smallest block, and a model of its ECP5 netlist in which one type of cells can be spoilt at a time."""
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
    """The whole regression in the netlist that is synthesised for ECP5, with models of its cells."""
    block, model = netlist
    scenarios = scenarios_of(block)
    shown = {"scenarios": {
        scenario.name: facts(scenario, model.run(dataclasses.replace(scenario.job, occupancy=True)))
        for scenario in scenarios}}
    expected = observe(block, SIMULATORS["cxxrtl"], scenarios=scenarios)
    assert differences(expected, shown) == []


@pytest.mark.xdist_group("netlist")
@pytest.mark.parametrize("number", SPOILT, ids=[" ".join(pin) for pin in SPOILT.values()])
def test_a_spoilt_cell_is_seen(netlist, number):
    """A wrong pin of any kind of cell shows, so that the agreement above needs right cells."""
    block, model = netlist
    assert any(scenario.failures(model.run(scenario.job, select=number)) for scenario in scenarios_of(block))


@pytest.mark.parametrize(("most", "made"), [(15_000, {"crowd", "reload after beats", "padded stream"}),
                                            (0, {"padded stream"})])
def test_a_sink_that_takes_nothing_makes_no_run_long(monkeypatch, most, made):
    """A scenario that ends in a reset doesn't wait for its output; but it is never all that a slow simulator runs."""
    block = block_of("uint8 about 255, loadable")
    nothing = types.SimpleNamespace(sections=[], cycles=0, run_seconds=0)
    monkeypatch.setattr(compare, "facts", lambda scenario, result: {})
    simulator = types.SimpleNamespace(most=most, prepare=lambda block: lambda job: nothing)
    scenarios = [scenario for scenario in all_scenarios(block) if scenario.name in {*made, "crowd", "blocked sink"}]
    assert set(observe(block, simulator, scenarios=scenarios)["scenarios"]) == made


def test_every_element_is_in_the_facts():
    block = block_of(SMALLEST)
    scenario, = scenarios_of(block, BUSY)
    result = SIMULATORS[REFERENCE].prepare(block)(scenario.job)
    changed = dataclasses.replace(result, outputs=[output.copy() for output in result.outputs])
    changed.outputs[-1][-1, -1] ^= 1
    assert facts(scenario, changed)["outputs"] != facts(scenario, result)["outputs"]
    moved = dataclasses.replace(result, outputs=[*result.outputs[:-2], result.outputs[-1], result.outputs[-2]])
    assert facts(scenario, moved)["outputs"] != facts(scenario, result)["outputs"]


