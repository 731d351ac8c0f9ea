# SPDX-License-Identifier: Apache-2.0
"""Translates a proof's model to the solver's input."""

import dataclasses
import pathlib
import re

from amaranth.back import rtlil
from amaranth.hdl import Module

from .tools import yosys

__all__ = ["Model", "Property", "write_model"]

# Registers and memories have no initial value: they start with any value, and the first cycle is a reset.
SCRIPT = """
read_rtlil model.il
hierarchy -check -top top
proc
flatten
opt_clean
memory_nordff
memory_map -formal
async2sync
chformal -lower
setattr -unset init w:*
opt -fast
dffunmap
opt_clean
write_smt2 -wires model.smt2
delete t:$assert
opt_clean
write_smt2 cover.smt2
"""

# A statement's cell as Amaranth's RTLIL writer prints it.
CHECK = re.compile(r'  attribute \\src "(?P<src>[^"]*)"\n  cell \$check \$\d+\n(?P<body>(?:    .*\n)*)  end\n')


@dataclasses.dataclass(frozen=True)
class Property:
    """An Assert, Assume or Cover statement: its kind (``assert`` ...), name and source (``file.py:line``)."""

    kind: str
    name: str
    source: str


@dataclasses.dataclass(frozen=True)
class Model:
    """The contents of a folder's ``model.smt2``, and of ``cover.smt2``, which lacks the Assert statements.

    ``cells`` has the statements by the names of their cells. ``constant`` has the cells of those that yosys found to be
    constant, as some properties are at the smallest sizes.
    """

    cells: dict[str, Property]
    constant: frozenset[str] = frozenset()

    def of_kind(self, kind: str) -> dict[str, Property]:
        """The statements of one kind, by cell."""
        return {cell: statement for cell, statement in self.cells.items() if statement.kind == kind}


def write_model(module: Module, folder: pathlib.Path, only: str | None = None) -> Model:
    """Write ``model.smt2`` and ``cover.smt2`` of `module` into `folder`.

    The module has the statements; its clock and its reset are inputs. With `only`, its only Assert statement that is
    kept is the one of this name. Raises ValueError where an Assert or a Cover has no name of its own, or no Assert has
    the name `only`; ToolError where yosys fails.
    """
    text, cells = _named(rtlil.convert(module, name="top", ports=()), only)
    model = Model(cells)
    names = [statement.name for statement in cells.values() if statement.kind != "assume"]
    for name in names:
        if not name or names.count(name) > 1:
            raise ValueError(f"a property's name must be its own, which {name!r} is not")
    if only is not None and not model.of_kind("assert"):
        raise ValueError(f"there is no property {only!r}")
    (folder / "model.il").write_text(text)
    (folder / "model.ys").write_text(SCRIPT)
    yosys(folder, "model.ys")
    kept = re.findall(r"^; yosys-smt2-\w+ \d+ (check_\d+)$", (folder / "model.smt2").read_text(), re.M)
    return Model(cells, frozenset(cells) - frozenset(kept))


def _named(text, only):
    """RTLIL in which the statements' cells have names that yosys keeps, and the statements by these names."""
    cells = {}

    def rename(match):
        body = match["body"]
        kind = re.search(r'parameter \\FLAVOR "(\w+)"', body)[1]
        name = re.search(r'parameter \\FORMAT "(.*)"', body)[1].replace("{{", "{").replace("}}", "}")
        if kind == "assert" and only not in (None, name):
            return ""
        path, line = match["src"].rsplit(":", 1)
        cell = f"check_{len(cells)}"
        cells[cell] = Property(kind, name, f"{pathlib.Path(path).name}:{line}")
        return f'  attribute \\src "{match["src"]}"\n  cell $check \\{cell}\n{body}  end\n'

    named, count = CHECK.subn(rename, text)
    if count != text.count("cell $check "):
        raise ValueError("Amaranth writes statements in another form of RTLIL than expected")
    return named, cells
