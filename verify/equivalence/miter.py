# SPDX-License-Identifier: Apache-2.0
"""Block and mutant side by side, with one bit that is 1 where they differ: what a proof of equivalence is about.

Memories, and multipliers of two variables, are cut out of both. What a memory gives for an address, or a multiplier for
two operands, is any number at all, but the same for both where the same is asked of both in the same cycle. That is
more than real ones can do, so that a proof holds for these, as long as both memories are written alike: which is
compared as outputs are.

Registers start with anything, the same in both, and the first cycle is one of reset, which then is free. In that one
only registers count that have a reset: what others take of the rest is rubbish in both.

Registers that the fault can't reach are one for both; of those that it reaches only so many levels behind it get a copy
for the mutant as are asked for, and what the first ones without a copy take next must be the same. A proof with few
copies holds all the same, for a mutant and a block in which that rubbish is the same.
"""

import dataclasses

from .aig import FALSE, TRUE, Graph, Machine, write

__all__ = ["GIVEN_PORT", "KNOWN_PORT", "Faults", "Miter"]

# Data and tlast of a stream mean nothing while its valid is low: AXI4-Stream leaves them undefined.
_PAYLOADS = {"m_axis_tdata": "m_axis_tvalid", "m_axis_tlast": "m_axis_tvalid"}
_RESET = "rst"
# Outputs that are 1 where what is known of the block holds, and what its parameters promise.
KNOWN_PORT, GIVEN_PORT = "known", "given"


@dataclasses.dataclass(frozen=True)
class Cycle:
    """One cycle of the block without a fault.

    ``inputs`` and ``states`` are the literals of its leaves' node numbers, ``nodes`` all its literals, ``next`` what
    registers take, by their node numbers; ``broken`` is whether what is known of the block does not hold, ``given``
    whether what its parameters promise does.
    """

    inputs: dict
    states: dict
    nodes: list
    next: dict
    broken: int
    given: int


@dataclasses.dataclass(frozen=True)
class Compared:
    """A cycle of a mutant beside one of the block.

    ``next`` is what the copied registers take; ``reached`` are registers without a copy that the fault reaches; ``bad``
    is 1 where one of these or an output differs, ``unreset`` where one of these does that has a reset.
    """

    next: dict
    reached: frozenset
    bad: int
    unreset: int


@dataclasses.dataclass(frozen=True)
class Miter:
    """A miter: ``bad`` is FALSE if both are the same gates.

    ``registers`` is as :func:`.aig.write` takes them; ``reached`` are those of the machine that the fault reaches and
    that have no copy.
    """

    graph: Graph
    registers: dict
    bad: int
    reached: frozenset


class Faults:
    """A machine with faults in it, and ``select``, an input that chooses one: 0 is none.

    If ``assume`` is set, what is known of the machine without a fault (``KNOWN_PORT``) is taken for granted.
    """

    def __init__(self, machine: Machine, select):
        self.machine, self.select = machine, select
        self.graph, self.assume = Graph(), False
        # 0 in the first cycle only.
        self.begun = self.graph.leaf()
        self.cycle = self.run({node: self.graph.leaf() for node, _ in machine.registers}, self.begun ^ 1)
        # Whether what is known ever did not hold: what lies behind such a state counts for nothing.
        self.was_broken = self.graph.leaf()
        # What a reset makes of these does not depend on what they were.
        after = self.run({node: self.graph.leaf() for node, _ in machine.registers}, TRUE).next
        self.resets = {node for node, literal in after.items() if literal in (FALSE, TRUE)}

    def run(self, states, reset=FALSE):
        """A :class:`Cycle` from `states`, with inputs of its own; one of reset at least where `reset` is 1."""
        graph, machine = self.graph, self.machine
        inputs = {node: graph.leaf() for name, nodes in machine.inputs.items() if name != self.select for node in nodes}
        for node in machine.inputs.get(_RESET, ()):
            inputs[node] = graph.lor(inputs[node], reset)
        nodes = self._copy(0, inputs, states)
        after = {node: _at(nodes, literal) for node, literal in machine.registers}
        known, given = (_at(nodes, machine.outputs.get(port, [TRUE])[0]) for port in (KNOWN_PORT, GIVEN_PORT))
        return Cycle(inputs, states, nodes, after, known ^ 1, given)

    def unknown(self):
        """AIGER of whether what is known can be false."""
        return write(self.graph, self._registers(), self._unknown())

    def _registers(self):
        cycle = self.cycle
        return {literal >> 1: cycle.next[node] for node, literal in cycle.states.items()} | {
            self.begun >> 1: TRUE, self.was_broken >> 1: self.graph.lor(self.was_broken, self._unknown())}

    def _unknown(self):
        """Whether what is known does not hold, in any but the first cycle: before that, nothing is."""
        return self.graph.land(self.begun, self.cycle.broken)

    def _copy(self, number, inputs, states, values=()):
        selected = {node: number >> i & 1 for i, node in enumerate(self.machine.inputs[self.select])}
        return self.machine.copy(self.graph, {**inputs, **states, **selected, **dict(values)})

    def miter(self, number, copied=frozenset()):
        """The :class:`Miter` of fault `number`, with copies of the registers `copied`."""
        graph, cycle = self.graph, self.cycle
        copies = {node: graph.leaf() for node in copied}
        compared = self.compare(cycle, number, copies)
        registers = self._registers() | {copies[node] >> 1: after for node, after in compared.next.items()}
        bad = graph.lor(graph.land(self.begun, compared.bad), graph.land(self.begun ^ 1, compared.unreset))
        if self.assume:
            bad = graph.land(bad, graph.lor(self._unknown(), self.was_broken) ^ 1)
        return Miter(graph, registers, bad, compared.reached)

    def compare(self, cycle, number, copies):
        """Fault `number` beside `cycle`, as :class:`Compared`; `copies` are the literals of its own registers."""
        mutant = self._with_values(cycle, number, cycle.states | copies)
        after, reached, differences, unreset = {}, set(), [], []
        for node, literal in self.machine.registers:
            own = _at(mutant, literal)
            if node in copies:
                after[node] = own
            elif own != cycle.next[node]:
                reached.add(node)
                differences.append(self.graph.differ(own, cycle.next[node]))
                if node in self.resets:
                    unreset.append(differences[-1])
        outputs = [d for name in self.machine.outputs for d in self._output(name, cycle.nodes, mutant) if d != FALSE]
        return Compared(after, frozenset(reached), self.graph.some(differences + outputs), self.graph.some(unreset))

    def _with_values(self, cycle, number, states):
        """The mutant's literals; what is cut out gives the same to both only where the same is asked."""
        values, others = {}, {}
        while True:
            mutant = self._copy(number, cycle.inputs, states, values)
            changed = {}
            for name in self.machine.outputs:
                if name.endswith(".key"):
                    changed |= self._value(cycle, name, mutant, others)
            if changed == values:
                return mutant
            values = changed

    def _value(self, cycle, key, mutant, others):
        graph, name = self.graph, key.removesuffix("key") + "value"
        same = graph.some(graph.differ(g, m) for g, m in self._pairs(key, cycle.nodes, mutant)) ^ 1
        nodes = self.machine.inputs.get(name, [])
        if same != TRUE and name not in others:
            others[name] = [graph.leaf() for _ in nodes]
        return {node: graph.choose(same, cycle.inputs[node], others[name][i]) if name in others else
                cycle.inputs[node] for i, node in enumerate(nodes)}

    def _pairs(self, name, gold, mutant):
        return [(_at(gold, literal), _at(mutant, literal)) for literal in self.machine.outputs[name]]

    def _output(self, name, gold, mutant):
        """Literals that are 1 where output `name` differs in a way that can be seen."""
        graph = self.graph
        differ = [graph.differ(g, m) for g, m in self._pairs(name, gold, mutant)]
        stem, _, end = name.partition(".")
        if end == "key" or name in (KNOWN_PORT, GIVEN_PORT):
            return []
        if end in ("address", "data"):
            enables = [g for g, _ in self._pairs(f"{stem}.enable", gold, mutant)]
            if end == "data":
                return [graph.land(e, d) for e, d in zip(enables, differ, strict=True)]
            return [graph.land(graph.some(enables), graph.some(differ))]
        valid = self._pairs(_PAYLOADS[name], gold, mutant)[0][0] if name in _PAYLOADS else TRUE
        return [graph.land(valid, d) for d in differ]


def _at(nodes, literal):
    return nodes[literal >> 1] ^ literal & 1
