# SPDX-License-Identifier: Apache-2.0
"""Mutation without a tool: what is drawn and judged, and the graphs that proofs of equivalence are written as."""

import pytest

from tiled_se.hdl.accumulate import uses_registers
from tiled_se.hdl.config import Gate
from tiled_se.hdl.latency import ram_latency
from tiled_se.hdl.tables import gate_format
from tiled_se.hdl.timing import Timing
from tiled_se.verify.equivalence.aig import Graph, read, write
from tiled_se.verify.equivalence.cutpoints import cut
from tiled_se.verify.mutation.blocks import BLOCKS, blocks_of
from tiled_se.verify.mutation.mutation import component_of, parse
from tiled_se.verify.mutation.replay import kind_of
from tiled_se.verify.options import MutateOptions


@pytest.mark.parametrize(("failure", "kind"), [
    ("stream: 2 of 884 elements differ, the first in frame 1", "data"),
    ("stream: output has only 2 of 3 beats", "data"),
    ("stream: m_axis: tvalid fell before the beat was taken, cycle 7", "protocol"),
    ("stream: hang: no beat moved for 2650 cycles", "hang"),
    ("status: status_frame_error is 1 at the end, not 0", "status"),
    ("cycles: total_cycles is 1214, predicted 1188", "cycles"),
    ("stages: stage sums, frame 0, tile 1, index 2: expected 1, got nothing", "stages"),
    ("memory: status_misused is 0b10", "memory"),
    ("occupancy: at most 12 beats were in flight, not 13", "occupancy"),
])
def test_kinds(failure, kind):
    assert kind_of(failure) == kind


@pytest.mark.parametrize(("cell", "component"), [
    (r"$flatten\excite.\mac.\multiply_1.\leaf.$procdff$5", "excite.mac"),
    (r"$flatten\excite.\gate.\table.$procmux$3", "excite.gate"),
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
    # Constant parameters would leave most of the data path unused.
    assert all(block.config.loadable for block in blocks)
    assert {block.config.data.signed for block in blocks} == {True, False}
    assert {block.config.lanes > 1 for block in blocks} == {True, False}
    assert len({block.config.mid for block in blocks}) == 3
    assert {block.config.gate.kind.value for block in blocks} == {"sigmoid", "hardsigmoid"}
    assert {block.config.data.bits for block in blocks} == {4, 8, 12}
    assert {block.config.rescales for block in blocks} == {True, False}
    assert {gate_format(block.config).quadratic for block in blocks if block.config.gate == Gate()} == {True, False}


def test_multipliers_by_a_constant_are_not_cut():
    """They are adders, and a cut would add results that no input gives."""
    def multiplier(b):
        return {"type": "$mul", "parameters": {}, "connections": {"A": [2, 3], "B": b, "Y": [6, 7, 8]}}

    module = {"cells": {"by two bits": multiplier([4, "0"]), "by three": multiplier(["1", "1"])}, "ports": {}}
    cut(module)
    assert list(module["cells"]) == ["by three"]
    assert module["ports"]["cut0.key"]["bits"] == [2, 3, 4]
