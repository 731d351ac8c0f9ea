# SPDX-License-Identifier: Apache-2.0
"""And-inverter graphs with registers: read and written as AIGER files, copied with changes.

A literal is an int: twice a node's number, plus 1 if it is inverted; 0 is false, 1 is true. Two ANDs of the same
operands are one node.
"""

import dataclasses
import re

__all__ = ["FALSE", "TRUE", "Graph", "Machine", "read", "write"]

FALSE, TRUE = 0, 1


class Graph:
    """A graph of leaves, which are inputs or registers, and ANDs of two literals."""

    def __init__(self):
        # A leaf has no operands; node 0 is the constant.
        self.nodes, self._ands = [None], {}

    def leaf(self):
        """A new leaf's literal."""
        self.nodes.append(None)
        return 2 * len(self.nodes) - 2

    def land(self, a, b):
        """The literal of a AND b."""
        if a > b:
            a, b = b, a
        if a == FALSE or a == b ^ 1:
            return FALSE
        if a == TRUE or a == b:
            return b
        if (a, b) not in self._ands:
            self.nodes.append((a, b))
            self._ands[a, b] = 2 * len(self.nodes) - 2
        return self._ands[a, b]

    def lor(self, a, b):
        """The literal of a OR b."""
        return self.land(a ^ 1, b ^ 1) ^ 1

    def differ(self, a, b):
        """The literal of a XOR b."""
        return self.lor(self.land(a, b ^ 1), self.land(a ^ 1, b))

    def choose(self, condition, a, b):
        """The literal of `a` where `condition`, else `b`."""
        return self.lor(self.land(condition, a), self.land(condition ^ 1, b))

    def some(self, literals):
        """The literal of the OR of `literals`, as a balanced tree."""
        level = list(literals) or [FALSE]
        while len(level) > 1:
            level = [self.lor(*level[i:i + 2]) if i + 1 < len(level) else level[i] for i in range(0, len(level), 2)]
        return level[0]


@dataclasses.dataclass(frozen=True, eq=False)
class Machine:
    """A netlist: ANDs in order, over leaves that are inputs and registers. Registers start at 0.

    ``inputs`` and ``outputs`` are node numbers of inputs and literals of outputs, by name, lowest bit first;
    ``registers`` a leaf's node number and the literal of its next value; ``ands`` a node number and its two operands.
    """

    inputs: dict[str, list[int]]
    outputs: dict[str, list[int]]
    registers: list[tuple[int, int]]
    ands: list[tuple[int, int, int]]

    def copy(self, graph, leaves):
        """Build all nodes in `graph`, with literals for the leaves' node numbers; returns the literal of each node."""
        literals = [FALSE] * (1 + max((node for node, _, _ in self.ands), default=max(leaves, default=0)))
        for node, literal in leaves.items():
            literals[node] = literal
        land = graph.land
        for node, a, b in self.ands:
            literals[node] = land(literals[a >> 1] ^ (a & 1), literals[b >> 1] ^ (b & 1))
        return literals


def read(data: bytes, names: str) -> Machine:
    """The :class:`Machine` in a binary AIGER file; `names` is yosys' map of the names of its inputs and outputs.

    The initial values of registers that may start with any value are inputs called "init" and the register's name.
    """
    header, _, rest = data.partition(b"\n")
    _, inputs, latches, outputs, ands = (int(word) for word in header.split()[1:6])
    lines = rest.split(b"\n", latches + outputs)
    registers = [(1 + inputs + i, int(line.split()[0])) for i, line in enumerate(lines[:latches])]
    results = [int(line) for line in lines[latches:latches + outputs]]
    gates, position, body = [], 0, lines[-1]
    for node in range(1 + inputs + latches, 1 + inputs + latches + ands):
        first, position = _delta(body, position)
        second, position = _delta(body, position)
        gates.append((node, 2 * node - first, 2 * node - first - second))
    named = {"input": {}, "output": {}}
    for line in names.splitlines():
        # Lines of other kinds have other words.
        if match := re.fullmatch(r"(input|output|init) (\d+) (\d+) (.+)", line):
            kind, index, bit, name = match.groups()
            if kind == "init":
                kind, name = "input", f"init {name}"
            named[kind].setdefault(name, {})[int(bit)] = int(index)

    def ordered(kind, values):
        return {name: [values[bits[bit]] for bit in sorted(bits)] for name, bits in named[kind].items()}

    return Machine(ordered("input", range(1, 1 + inputs)), ordered("output", results), registers, gates)


def _delta(data, position):
    """A number of variable length, seven bits a byte, lowest first; and the position after it."""
    value = shift = 0
    while data[position] & 0x80:
        value |= (data[position] & 0x7F) << shift
        position, shift = position + 1, shift + 7
    return value | data[position] << shift, position + 1


def write(graph: Graph, registers: dict[int, int], bad: int) -> bytes:
    """Binary AIGER of everything that `bad`, the one output, depends on. Leaves that are no `registers` are inputs.

    `registers` has the literal of a register's next value, by its leaf's node number. Registers start at 0.
    """
    needed, waiting = {0}, [bad >> 1]
    while waiting:
        node = waiting.pop()
        if node not in needed:
            needed.add(node)
            waiting += [literal >> 1 for literal in graph.nodes[node] or (registers.get(node, FALSE),)]
    # Operands have lower numbers than their AND.
    ordered = sorted(needed - {0})
    order = [node for node in ordered if graph.nodes[node]]
    latches = [node for node in ordered if node in registers]
    inputs = [node for node in ordered if not graph.nodes[node] and node not in registers]
    new = {node: number for number, node in enumerate([0, *inputs, *latches, *order])}

    def renamed(literal):
        return 2 * new[literal >> 1] | literal & 1

    lines = [f"aig {len(new) - 1} {len(inputs)} {len(latches)} 1 {len(order)}",
             *(str(renamed(registers[node])) for node in latches), str(renamed(bad))]
    body = bytearray()
    for node in order:
        low, high = sorted(renamed(a) for a in graph.nodes[node])
        for value in (2 * new[node] - high, high - low):
            while value >= 0x80:
                body.append(value & 0x7F | 0x80)
                value >>= 7
            body.append(value)
    return ("\n".join(lines) + "\n").encode() + bytes(body)
