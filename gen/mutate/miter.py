# SPDX-License-Identifier: Apache-2.0
"""Block and mutant side by side, with one bit that is 1 where they differ: what a proof of equivalence is about.

Memories, and multipliers of two variables, are cut out of both. What a memory gives for an address, or a multiplier for
two operands, is any number at all, but the same for both where the same is asked of both in the same cycle. That is
more than real ones can do, so that a proof holds for these, as long as both memories are written alike: which is
compared as outputs are.

Registers start with anything, the same in both, and the first cycle is one of reset, which then is free. Nothing counts
before that is over.

Registers that the fault can't reach are one for both; of those that it reaches only so many levels behind it get a copy
for the mutant as are asked for, and what the first ones without a copy take next must be the same. A proof with few
copies holds all the same.
"""

import dataclasses

from .aig import FALSE, TRUE, Graph, Machine, write

__all__ = ["KNOWN_PORT", "Faults", "Miter", "cut"]

# Data and tlast of a stream mean nothing while its valid is low: AXI4-Stream leaves them undefined.
_PAYLOADS = {"m_axis_tdata": "m_axis_tvalid", "m_axis_tlast": "m_axis_tvalid"}
_MEMORY, _MULTIPLIER = "$mem_v2", "$mul"
_RESET = "rst"
# An output that is 1 where what is known of the block holds.
KNOWN_PORT = "known"


def cut(module):
    """Take memories, and multipliers of two variables, out of `module` (as yosys' write_json has it), in place.

    The n-th of them leaves ports ``cutN.key``, an output, and ``cutN.value``, an input; a memory that is written also
    ``cutN.enable`` (a bit for each of data), ``cutN.address`` and ``cutN.data``.
    """
    names = sorted(name for name, cell in module["cells"].items() if _is_cut(cell))
    for number, name in enumerate(names):
        cell = module["cells"].pop(name)
        wires = cell["connections"]
        if cell["type"] == _MULTIPLIER:
            ends = {"key": wires["A"] + wires["B"], "value": wires["Y"]}
        else:
            ends = {"key": wires["RD_ADDR"], "value": wires["RD_DATA"]}
            if int(cell["parameters"]["WR_PORTS"], 2):
                written = [(enable, data) for enable, data in zip(wires["WR_EN"], wires["WR_DATA"], strict=True)
                           if isinstance(data, int)]
                ends |= {"enable": [enable for enable, _ in written], "address": wires["WR_ADDR"],
                         "data": [data for _, data in written]}
        for end, bits in ends.items():
            # Constants are the same in both.
            bits = bits if end == "enable" else [bit for bit in bits if isinstance(bit, int)]
            module["ports"][f"cut{number}.{end}"] = {
                "direction": "input" if end == "value" else "output", "bits": bits}


def _is_cut(cell):
    """Whether `cell` is a memory, or a multiplier of two variables: a constant factor makes it some adders."""
    return cell["type"] == _MEMORY or (cell["type"] == _MULTIPLIER and all(
        any(isinstance(bit, int) for bit in cell["connections"][port]) for port in "AB"))


@dataclasses.dataclass(frozen=True)
class Miter:
    """A miter: ``bad`` is FALSE if both are the same gates.

    ``registers`` is as :func:`.aig.write` takes them; ``copied`` are those of the machine that have a copy, and
    ``reached`` those that the fault reaches and that have none; ``seen`` tells whether it reaches an output.
    """

    graph: Graph
    registers: dict
    bad: int
    copied: frozenset
    reached: frozenset
    seen: bool


class Faults:
    """A machine with faults in it, and ``select``, an input that chooses one: 0 is none.

    If ``assume`` is set, what is known of the machine without a fault (``KNOWN_PORT``) is taken for granted.
    """

    def __init__(self, machine: Machine, select):
        self.machine, self.select = machine, select
        self.graph = Graph()
        self.shared = {node: self.graph.leaf() for name, nodes in machine.inputs.items() if name != select
                       for node in nodes}
        self.states = {node: self.graph.leaf() for node, _ in machine.registers}
        # 0 in the first cycle only.
        self.begun = self.graph.leaf()
        self.shared |= {node: self.graph.lor(self.shared[node], self.begun ^ 1)
                        for node in machine.inputs.get(_RESET, ())}
        self.gold = self._copy(0, self.states, {})
        self.next = {node: self._at(self.gold, literal) for node, literal in machine.registers}
        self.assume = False
        known = [self._at(self.gold, literal) for literal in machine.outputs.get(KNOWN_PORT, [TRUE])]
        self.broken = self.graph.land(self.begun, self.graph.some(literal ^ 1 for literal in known))
        # Whether it ever was: what lies behind such a state counts for nothing.
        self.was_broken = self.graph.leaf()

    def unknown(self):
        """AIGER of whether what is known can be false."""
        return write(self.graph, self._registers(), self.broken)

    def _registers(self):
        return {literal >> 1: self.next[node] for node, literal in self.states.items()} | {
            self.begun >> 1: TRUE, self.was_broken >> 1: self.graph.lor(self.was_broken, self.broken)}

    def _copy(self, number, states, values):
        selected = {node: number >> i & 1 for i, node in enumerate(self.machine.inputs[self.select])}
        return self.machine.copy(self.graph, {**self.shared, **states, **selected, **values})

    @staticmethod
    def _at(literals, literal):
        return literals[literal >> 1] ^ literal & 1

    def miter(self, number, copied=frozenset()):
        """The :class:`Miter` of fault `number`, with copies of the registers `copied`."""
        graph = self.graph
        states = {node: graph.leaf() if node in copied else literal for node, literal in self.states.items()}
        mutant = self._with_values(number, states)
        registers = self._registers()
        reached, differences = set(), []
        for node, literal in self.machine.registers:
            after = self._at(mutant, literal)
            if node in copied:
                registers[states[node] >> 1] = after
            elif after != self.next[node]:
                reached.add(node)
                differences.append(graph.differ(after, self.next[node]))
        outputs = [d for name in self.machine.outputs for d in self._output(name, mutant) if d != FALSE]
        bad = graph.land(self.begun, graph.some(differences + outputs))
        if self.assume:
            bad = graph.land(bad, graph.lor(self.broken, self.was_broken) ^ 1)
        return Miter(graph, registers, bad, copied, frozenset(reached), bool(outputs))

    def _with_values(self, number, states):
        """The mutant's literals; what is cut out gives the same to both only where the same is asked."""
        values, others = {}, {}
        while True:
            mutant = self._copy(number, states, values)
            changed = {}
            for name in self.machine.outputs:
                if name.endswith(".key"):
                    changed |= self._value(name.removesuffix("key") + "value", self._pairs(name, mutant), others)
            if changed == values:
                return mutant
            values = changed

    def _value(self, name, keys, others):
        same = self.graph.some(self.graph.differ(g, m) for g, m in keys) ^ 1
        nodes = self.machine.inputs.get(name, [])
        if same != FALSE ^ 1 and name not in others:
            others[name] = [self.graph.leaf() for _ in nodes]
        return {node: self.graph.choose(same, self.shared[node], others[name][i]) if name in others else
                self.shared[node] for i, node in enumerate(nodes)}

    def _pairs(self, name, mutant):
        return [(self._at(self.gold, literal), self._at(mutant, literal)) for literal in self.machine.outputs[name]]

    def _output(self, name, mutant):
        """Literals that are 1 where output `name` differs in a way that can be seen."""
        graph, pairs = self.graph, self._pairs(name, mutant)
        differ = [graph.differ(g, m) for g, m in pairs]
        stem, _, end = name.partition(".")
        if end == "key" or name == KNOWN_PORT:
            return []
        if end in ("address", "data"):
            enables = [g for g, _ in self._pairs(f"{stem}.enable", mutant)]
            if end == "data":
                return [graph.land(e, d) for e, d in zip(enables, differ, strict=True)]
            return [graph.land(graph.some(enables), graph.some(differ))]
        valid = self._pairs(_PAYLOADS[name], mutant)[0][0] if name in _PAYLOADS else FALSE ^ 1
        return [graph.land(valid, d) for d in differ]
