# SPDX-License-Identifier: Apache-2.0
"""What is done to Amaranth's RTLIL so that its Verilog is read more easily: names, order and modules.

- :func:`order_ports`: the top's ports stand in the order of its interfaces.
- :func:`plain_names`: names need no escape in Verilog.
- :func:`merge_modules`: a module that several instances share is there once.
- :func:`tell_contents`: memories say what they hold.

Each changes modules of :func:`split`; :func:`join` makes the text again. An item of a module is a list of lines:
attributes, then a wire, a memory, a connection, a cell or a process.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence

from .formats import KEYWORDS
from .inventory import CONTENTS, HOLDS, STYLE, role_of

__all__ = ["CELL", "RtlilModule", "WIRE", "choose_styles", "join", "merge_modules", "order_ports", "plain_names",
           "split", "tell_contents"]

WIRE = re.compile(r"  wire width (\d+)( (?:input|output) \d+)?(?: +signed)? +(\S+)$")
CELL = re.compile(r"  cell (\S+) (\S+)$")


@dataclasses.dataclass
class RtlilModule:
    """A module: its attributes' lines, name and items."""

    attributes: list[str]
    name: str
    items: list[list[str]]

    @property
    def text(self) -> str:
        items = "".join("\n" + "\n".join(item) + "\n" for item in self.items)
        return "\n".join([*self.attributes, f"module {self.name}"]) + "\n" + items + "\nend\n"


def split(text: str) -> list[RtlilModule]:
    """The modules of RTLIL as Amaranth writes it: items are separated by empty lines."""
    modules: list[RtlilModule] = []
    for block in re.split(r"\n\n+", text.strip()):
        lines = block.split("\n")
        if lines[-1].startswith("module "):
            modules.append(RtlilModule(lines[:-1], lines[-1].split(" ")[1], []))
        elif lines != ["end"]:
            modules[-1].items.append(lines)
    return modules


def join(modules: Iterable[RtlilModule]) -> str:
    return "\n".join(module.text for module in modules)


def order_ports(modules: Sequence[RtlilModule], top: str, order: Sequence[str]) -> None:
    """Number the ports of module `top` as `order` has them; those that it lacks come last."""
    module, = (module for module in modules if module.name == f"\\{top}")
    ports = [item for item in module.items if (match := WIRE.match(item[-1])) and match[2]]
    names = {name: place for place, name in enumerate(order)}
    ports.sort(key=lambda item: names.get(item[-1].rpartition("\\")[2], len(names)))
    for place, item in enumerate(ports, 1):
        item[-1] = re.sub(r"(input|output) \d+", rf"\1 {place}", item[-1])
    module.items = ports + [item for item in module.items if not any(item is port for port in ports)]


def plain_names(modules: Sequence[RtlilModule]) -> None:
    """Rename signals, memories and instances so that Verilog needs no escape: `gates[0]` becomes `gates_0`.

    Amaranth's numbers of equal names (`o$13`) are global; here they count from 2 in each module, so that modules that
    do the same have the same text. The same number is added to what would be there twice, or is a reserved word.
    """
    renamed = {module.name: _new_names(module) for module in modules}
    for module in modules:
        own = renamed[module.name]
        for item in module.items:
            ports: dict[str, str] = {}
            for place, line in enumerate(item):
                if match := CELL.match(line):
                    # Of yosys' own cells and the leaves the ports stay as they are.
                    ports = renamed.get(match[1], {})
                    item[place] = f"  cell {match[1]} {own.get(match[2], match[2])}"
                elif match := re.match(r"    connect (\\\S+) (.*)", line):
                    item[place] = f"    connect {ports.get(match[1], match[1])} {_renamed(match[2], own)}"
                elif match := re.match(r'(    parameter \\MEMID ")\\(\\.*)"', line):
                    item[place] = f'{match[1]}\\{own[match[2]]}"'
                elif not line.lstrip().startswith(("attribute ", "parameter ")):
                    item[place] = _renamed(line, own)


def _renamed(line: str, names: dict[str, str]) -> str:
    return re.sub(r"\\\S+", lambda match: names.get(match[0], match[0]), line)


def _new_names(module: RtlilModule) -> dict[str, str]:
    """The new names of a module by the old ones."""
    names = []
    for item in module.items:
        match = WIRE.match(item[-1]) or re.match(r"  (memory) .* (\\\S+)$", item[-1]) or next(
            filter(None, map(CELL.match, item)), None)
        if match and (name := match.groups()[-1]).startswith("\\"):
            names.append(name)
    taken: set[str] = set()
    renamed = {}
    # What is plain already stays as it is.
    for name in sorted(names, key=lambda name: "\\" + _plain(name) != name):
        base = plain = _plain(name)
        number = 1
        while plain in taken or plain in KEYWORDS:
            number += 1
            plain = f"{base}_{number}"
        taken.add(plain)
        renamed[name] = "\\" + plain
    return renamed


def _plain(name: str) -> str:
    """`name` without its backslash and number, in letters, digits and underscores."""
    text = re.sub(r"(?<=[^$\\])\$\d+", "", name[1:])
    return re.sub(r"\W+", "_", text).strip("_") or "signal"


def choose_styles(modules: Sequence[RtlilModule], top: str, styles: Mapping[str, str]) -> None:
    """Give RAMs and ROMs the style that `styles` has for their role, by the leaf `top`_ram_STYLE or an attribute STYLE.

    Each module has one instance yet, as Amaranth elaborates it.
    """
    for module in modules:
        path = module.name.removeprefix(f"\\{top}").removeprefix(".")
        # A block with registers is an instance of that name.
        style = styles.get(role_of(f"{path}.".removeprefix("block.")))
        # A memory that is written here is a queue, which is read without a clock: no block RAM can be that.
        is_rom = not any("$memwr" in line for item in module.items for line in item)
        for item in module.items if style else ():
            if item[-1].startswith("  memory ") and is_rom:
                item.insert(0, f'  attribute \\{STYLE} "{style}"')
            for place, line in enumerate(item):
                if line == f"  cell \\{top}_ram \\leaf":
                    item[place] = f"  cell \\{top}_ram_{style} \\leaf"


def merge_modules(modules: Sequence[RtlilModule]) -> list[RtlilModule]:
    """Leave one of the modules that differ in nothing but their name, which becomes a module of all their instances.

    `mac.multiply_0` to `mac.multiply_15` become `mac.multiply`.
    """
    left = list(modules)
    while True:
        same: dict[str, list[RtlilModule]] = {}
        for module in left:
            same.setdefault("\n".join(line for item in module.items for line in item), []).append(module)
        names = {module.name for module in left}
        merged: dict[str, str] = {}
        for group in same.values():
            if len(group) > 1:
                common = re.sub(r"_\d+$", "", group[0].name)
                name = group[0].name if common in names else common
                names.add(name)
                merged |= {module.name: name for module in group}
                group[0].name = name
        if not merged:
            return left
        left = [group[0] for group in same.values()]
        for module in left:
            for item in module.items:
                for place, line in enumerate(item):
                    if (match := CELL.match(line)) and match[1] in merged:
                        item[place] = f"  cell {merged[match[1]]} {match[2]}"


def tell_contents(modules: Sequence[RtlilModule], top: str) -> None:
    """Say what memories and registers of sums hold, by the attribute HOLDS of them and of the memories' instances.

    It comes after `merge_modules`, which would not merge what has different words. What several instances share has the
    words of all.
    """
    by_name = {module.name: module for module in modules}
    told: dict[int, tuple[list[str], dict[str, None]]] = {}

    def visit(module: RtlilModule, path: str, inside: str) -> None:
        for item in module.items:
            line = next(line for line in item if not line.startswith("  attribute "))
            if match := CELL.match(line):
                name = match[2].removeprefix("\\")
                words = inside if name == "leaf" else CONTENTS.get(path + name, "")
                if match[1] in by_name:
                    visit(by_name[match[1]], f"{path}{name}.".removeprefix("block."), words)
            elif line.startswith("  memory "):
                words = inside
            else:
                words = CONTENTS.get(f"{path}sums", "") if re.match(r"  wire .* \\sums_\d+$", line) else ""
            if words:
                told.setdefault(id(item), (item, {}))[1][words] = None

    visit(by_name[f"\\{top}"], "", "")
    for item, all_words in told.values():
        item.insert(0, f'  attribute \\{HOLDS} "{"; or ".join(all_words)}"')
