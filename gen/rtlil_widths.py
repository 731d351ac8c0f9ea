# SPDX-License-Identifier: Apache-2.0
"""Widths of the cells in Amaranth's RTLIL, so that no linter warns of the Verilog.

Operands become as wide as what is computed from them, in plain bits, and results lose the bits that nothing reads. What
is computed does not change: the low bits of a sum depend on low bits alone.
"""

import re
from collections.abc import Sequence

from .rtlil import CELL, WIRE, RtlilModule

__all__ = ["match_widths"]

_TOKEN = re.compile(r'"[^"]*"|(\\\S+|\$\d+)(?: \[(\d+)(?::(\d+))?\])?')
_CONSTANT = re.compile(r"(\d+)'([01xz-]+)$")
# Both operands are as wide as the result; its low bits depend on theirs alone.
_LIKE_RESULT = ("$add", "$sub", "$and", "$or", "$xor", "$xnor")
_UNARY = ("$not", "$neg")
_SHIFTS = ("$shift", "$shr", "$sshr")
_COMPARISONS = ("$eq", "$ne", "$lt", "$le", "$gt", "$ge")


def match_widths(module: RtlilModule) -> None:
    """Make the operands of the module's cells as wide as their results or as one another, in plain bits.

    Results that have only unread bits at their top are cut first. Amaranth computes each sum with all its bits.
    """
    _narrow(module)
    for item in list(module.items):
        cell = _Cell.of(item)
        if cell is None:
            continue
        if cell.kind == "$mul" and (zeros := cell.factor_of_two):
            _multiply_rest(module, cell, zeros)
        if cell.kind in _LIKE_RESULT or cell.kind == "$mul" and cell.by_constant:
            cell.resize(("A", "B"), cell.width("Y"))
        elif cell.kind in _UNARY:
            cell.resize(("A",), cell.width("Y"))
        elif cell.kind in _COMPARISONS:
            cell.resize(("A", "B"), max(cell.width("A"), cell.width("B")), keep_sign=cell.kind in _COMPARISONS[2:])
        elif cell.kind in _SHIFTS and cell.width("A") > cell.width("Y"):
            _shift_whole(module, cell)


def _multiply_rest(module: RtlilModule, cell: "_Cell", zeros: int) -> None:
    """Take a power of two out of the cell's constant factor, as yosys would without a look at widths."""
    product, width = cell.connections["Y"], cell.width("Y") - zeros
    rest = f"\\product_{cell.name.strip('$')}"
    module.items.insert(0, [f"  wire width {width} {rest}"])
    module.items.append([f"  connect {product} {{ {rest} {zeros}'{'0' * zeros} }}"])
    constant = cell.connections["B"].partition("'")[2]
    cell.connect("B", f"{len(constant) - zeros}'{constant[:-zeros]}")
    cell.set("B_WIDTH", len(constant) - zeros)
    cell.set("Y_WIDTH", width)
    cell.connect("Y", rest)


def _shift_whole(module: RtlilModule, cell: "_Cell") -> None:
    """Let the cell shift all bits of its operand, of which the result takes the low ones."""
    low, width = cell.connections["Y"], cell.width("Y")
    whole = f"\\shifted_{cell.name.strip('$')}"
    module.items.insert(0, [f"  wire width {cell.width('A')} {whole}"])
    module.items.append([f"  connect {low} {whole} [{width - 1}:0]"])
    cell.set("Y_WIDTH", cell.width("A"))
    cell.connect("Y", whole)


def _narrow(module: RtlilModule) -> None:
    """Cut results at the highest bit that anything reads."""
    kinds = (*_LIKE_RESULT, *_UNARY, "$mux", "$mul")
    cells = {cell.connections["Y"]: cell for item in module.items if (cell := _Cell.of(item)) and cell.kind in kinds
             and re.fullmatch(r"\$\d+", cell.connections["Y"])}
    wires = {match[3]: item for item in module.items if (match := WIRE.match(item[-1]))}
    while True:
        read = _read_bits(module, cells)
        wide = {name: max(read.get(name, 0), 1) for name, cell in cells.items()
                if max(read.get(name, 0), 1) < cell.width("Y")}
        if not wide:
            return
        for name, width in wide.items():
            cell = cells[name]
            wires[name][-1] = f"  wire width {width} {name}"
            if cell.kind == "$mux":
                cell.cut("A", width)
                cell.cut("B", width)
                cell.set("WIDTH", width)
            else:
                cell.set("Y_WIDTH", width)
                for port in ("A", "B")[:1 if cell.kind in _UNARY else 2]:
                    if cell.width(port) > width:
                        cell.cut(port, width)
                        cell.set(f"{port}_WIDTH", width)


def _read_bits(module: RtlilModule, cells: dict[str, "_Cell"]) -> dict[str, int]:
    """How many low bits of each result something reads."""
    read: dict[str, int] = {}
    for item in module.items:
        if WIRE.match(item[-1]):
            continue
        for line in item:
            if line.startswith("    connect \\Y "):
                continue
            for name, high, _ in _TOKEN.findall(line):
                if name in cells:
                    bits = int(high) + 1 if high else cells[name].width("Y")
                    read[name] = max(read.get(name, 0), bits)
    return read


class _Cell:
    """A cell of yosys' own kinds, whose item it changes."""

    def __init__(self, item: list[str], kind: str, name: str) -> None:
        self.item, self.kind, self.name = item, kind, name
        self._lines = {line.split()[1][1:]: place for place, line in enumerate(item)
                       if line.startswith(("    parameter ", "    connect "))}

    @classmethod
    def of(cls, item: list[str]) -> "_Cell | None":
        for line in item:
            if match := CELL.match(line):
                return cls(item, match[1], match[2]) if match[1].startswith("$") else None
        return None

    @property
    def connections(self) -> dict[str, str]:
        return {name: self.item[place].split(" ", 6)[6] for name, place in self._lines.items() if len(name) == 1}

    def width(self, port: str) -> int:
        parameter = "WIDTH" if self.kind == "$mux" else f"{port}_WIDTH"
        return int(self.item[self._lines[parameter]].rpartition(" ")[2])

    def set(self, parameter: str, value: int) -> None:
        self.item[self._lines[parameter]] = f"    parameter \\{parameter} {value}"

    def signed(self, port: str) -> bool:
        return self.item[self._lines[f"{port}_SIGNED"]].endswith(" 1")

    @property
    def by_constant(self) -> bool:
        """Whether an operand is a constant, so that no multiplier depends on its width."""
        return any(_CONSTANT.match(self.connections[port]) for port in "AB")

    @property
    def factor_of_two(self) -> int:
        """How many zeros a constant B ends with; 0 if it is 0, or no constant."""
        match = _CONSTANT.match(self.connections["B"])
        return len(match[2]) - len(match[2].rstrip("0")) if match and "1" in match[2] else 0

    def cut(self, port: str, width: int) -> None:
        """Connect the low `width` bits of what `port` has."""
        self.connect(port, _cut(self.connections[port], width))

    def resize(self, ports: Sequence[str], width: int, keep_sign: bool = False) -> None:
        for port in ports:
            value, own, signed = self.connections[port], self.width(port), self.signed(port)
            if width != own:
                self.connect(port, _cut(value, width) if width < own else _extend(value, own, width, signed))
            self.set(f"{port}_WIDTH", width)
            if not keep_sign:
                self.set(f"{port}_SIGNED", 0)

    def connect(self, port: str, value: str) -> None:
        self.item[self._lines[port]] = f"    connect \\{port} {value}"


def _cut(value: str, width: int) -> str:
    if match := _CONSTANT.match(value):
        return f"{width}'{match[2][-width:]}"
    if match := re.fullmatch(r"(\S+)(?: \[(\d+):0\])?", value):
        return f"{match[1]} [{width - 1}:0]"
    return f"{value} [{width - 1}:0]"


def _extend(value: str, own: int, width: int, signed: bool) -> str:
    """`value` of `own` bits with zeros or its sign above them."""
    if not own:
        return f"{width}'{'0' * width}"
    if match := _CONSTANT.match(value):
        return f"{width}'{(match[2][0] if signed else '0') * (width - own)}{match[2]}"
    if not signed:
        return f"{{ {width - own}'{'0' * (width - own)} {value} }}"
    if value.startswith("{ 1'0 "):
        return f"{{ {width - own}'{'0' * (width - own)} {value} }}"
    sign = value.removesuffix(f" [{own - 1}:0]") if re.fullmatch(rf"\S+ \[{own - 1}:0\]", value) else value
    return f"{{ {f'{sign} [{own - 1}] ' * (width - own)}{value} }}"
