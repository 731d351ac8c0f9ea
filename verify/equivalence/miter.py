# SPDX-License-Identifier: Apache-2.0
"""Block and mutant side by side, with one bit that is 1 where they differ: the input of a proof of equivalence.

Memories, and multipliers of two variables, are cut out of both. What a memory returns for an address, or a multiplier
for two operands, is any number, but the same for both if both get the same address or operands in the same cycle. Real
memories and multipliers can do no more than that, so that a proof also holds for them, as long as both memories are
written alike: writes are compared as outputs are.

Registers start with any value, the same in both. The first cycle is a reset; after it the reset is free. In the first
cycle only registers with a reset are compared, since the others take undefined values in both.

Registers that the fault can't reach are shared by both. Of those that it reaches, registers up to a given number of
levels after the fault get a copy for the mutant, and the next values of the first ones without a copy must be the same.
A proof with few copies is as valid; it assumes that block and mutant start with the same undefined values.
"""

import dataclasses

from ..faults import SELECT
from .aig import FALSE, TRUE, Graph, Machine, write

__all__ = ["ASSUMPTIONS_PORT", "INVARIANTS_PORT", "Faults"]

# AXI4-Stream leaves data and tlast of a stream undefined while its valid is low.
_PAYLOADS = {"m_axis_tdata": "m_axis_tvalid", "m_axis_tlast": "m_axis_tvalid"}
_RESET = "rst"
# Outputs that are 1 while the block's invariants hold, and while its parameters are as assumed.
INVARIANTS_PORT, ASSUMPTIONS_PORT = "invariants", "assumptions"


@dataclasses.dataclass(frozen=True)
class Cycle:
    """One cycle of the block without a fault.

    ``inputs`` and ``states`` are the literals of its leaves, and ``next`` those of the registers' next values, by node
    number; ``nodes`` are all its literals. ``broken`` is 1 if an invariant does not hold, ``assumed`` if the
    assumptions on parameters do.
    """

    inputs: dict
    states: dict
    nodes: list
    next: dict
    broken: int
    assumed: int


@dataclasses.dataclass(frozen=True)
class Compared:
    """A cycle of a mutant beside one of the block.

    ``next`` are the next values of the copied registers; ``reached`` are registers without a copy that the fault
    reaches; ``bad`` is 1 if one of these or an output differs, ``unreset`` if one of these with a reset does.
    """

    next: dict
    reached: frozenset
    bad: int
    unreset: int


class Faults:
    """A machine with faults, of which the input ``SELECT`` chooses one; 0 is none.

    If ``assume`` is set, the invariants of the machine without a fault (``INVARIANTS_PORT``) are assumed.
    """

    def __init__(self, machine: Machine):
        self.machine, self.graph, self.assume = machine, Graph(), False
        # This is 0 in the first cycle only.
        self.begun = self.graph.leaf()
        self.cycle = self.run(self.any_states(), self.begun ^ 1)
        # This is 1 once an invariant did not hold: states after that prove nothing.
        self.was_broken = self.graph.leaf()
        # Registers with a reset: their value after a reset does not depend on the one before.
        after = self.run(self.any_states(), TRUE).next
        self.resets = {node for node, literal in after.items() if literal in (FALSE, TRUE)}

    def any_states(self):
        """A new leaf for each register, by node number."""
        return {node: self.graph.leaf() for node, _ in self.machine.registers}

    def run(self, states, reset=FALSE):
        """A :class:`Cycle` from `states`, with inputs of its own; the reset is 1 at least where `reset` is."""
        graph, machine = self.graph, self.machine
        inputs = {node: graph.leaf() for name, nodes in machine.inputs.items() if name != SELECT for node in nodes}
        for node in machine.inputs.get(_RESET, ()):
            inputs[node] = graph.lor(inputs[node], reset)
        nodes = self._copy(0, inputs, states)
        after = {node: _at(nodes, literal) for node, literal in machine.registers}
        hold, assumed = (_at(nodes, machine.outputs.get(port, [TRUE])[0])
                         for port in (INVARIANTS_PORT, ASSUMPTIONS_PORT))
        return Cycle(inputs, states, nodes, after, hold ^ 1, assumed)

    def invariants(self):
        """AIGER whose output can be 1 if an invariant can be false."""
        return write(self.graph, self._registers(), self._broken())

    def _registers(self):
        cycle = self.cycle
        return {literal >> 1: cycle.next[node] for node, literal in cycle.states.items()} | {
            self.begun >> 1: TRUE, self.was_broken >> 1: self.graph.lor(self.was_broken, self._broken())}

    def _broken(self):
        """Whether an invariant does not hold in any but the first cycle, in which the block is not reset yet."""
        return self.graph.land(self.begun, self.cycle.broken)

    def _copy(self, number, inputs, states, values=()):
        selected = {node: number >> i & 1 for i, node in enumerate(self.machine.inputs[SELECT])}
        return self.machine.copy(self.graph, {**inputs, **states, **selected, **dict(values)})

    def miter(self, number, copied=frozenset()):
        """The miter of fault `number`, with copies of the registers `copied`: (registers, bad, reached).

        The first two are for :func:`.aig.write`; ``bad`` is FALSE if block and mutant are the same gates. The last are
        the machine's registers without a copy that the fault reaches.
        """
        graph, cycle = self.graph, self.cycle
        copies = {node: graph.leaf() for node in copied}
        compared = self.compare(cycle, number, copies)
        registers = self._registers() | {copies[node] >> 1: after for node, after in compared.next.items()}
        bad = graph.lor(graph.land(self.begun, compared.bad), graph.land(self.begun ^ 1, compared.unreset))
        if self.assume:
            bad = graph.land(bad, graph.lor(self._broken(), self.was_broken) ^ 1)
        return registers, bad, compared.reached

    def compare(self, cycle, number, copies):
        """Fault `number` beside `cycle`, as :class:`Compared`; `copies` are literals of the mutant's own registers."""
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
        """The mutant's literals; a cut gives the same value to both only where both have the same key."""
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
        """Literals that are 1 where output `name` differs visibly."""
        graph = self.graph
        differ = [graph.differ(g, m) for g, m in self._pairs(name, gold, mutant)]
        stem, _, end = name.partition(".")
        if end == "key" or name in (INVARIANTS_PORT, ASSUMPTIONS_PORT):
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
