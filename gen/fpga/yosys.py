# SPDX-License-Identifier: Apache-2.0
"""Verilog to a technology's cells, through yosys."""

import collections
import dataclasses
import re
from typing import Any

from .tools import TOOLS, Workbench

__all__ = ["Netlist", "map_to_cells", "parse"]

SCRIPT = """
read_verilog {name}.v
{command} -top {name}
cd {name}
write_json -selected {name}.json
"""


@dataclasses.dataclass(frozen=True)
class Netlist:
    """A flat netlist.

    Attributes
    ----------
    top : str
    cells : dict of str to str
        Hierarchical name to type.
    scopes : frozenset of str
        Hierarchical names of the instances that were flattened.
    ports : dict of str to (str, int)
        Name to direction, which is "input" or "output", and bits.
    """

    top: str
    cells: dict[str, str]
    scopes: frozenset[str]
    ports: dict[str, tuple[str, int]]

    @property
    def pins(self) -> int:
        """Bits of all ports."""
        return sum(bits for _, bits in self.ports.values())

    @property
    def counts(self) -> dict[str, int]:
        """Cells by type, in alphabetic order."""
        return dict(sorted(collections.Counter(self.cells.values()).items()))

    def count(self, pattern: str) -> int:
        """Cells whose type is one of a regular expression's."""
        return sum(bool(re.fullmatch(pattern, kind)) for kind in self.cells.values())


def parse(written: dict[str, Any], top: str) -> Netlist:
    """The Netlist of module `top` in the output of ``write_json``."""
    module = written["modules"][top]
    # These mark places where an instance was; they are no hardware.
    scopes = {name for name, cell in module["cells"].items() if cell["type"] == "$scopeinfo"}
    return Netlist(
        top, {name: cell["type"] for name, cell in module["cells"].items() if name not in scopes}, frozenset(scopes),
        {name: (port["direction"], len(port["bits"])) for name, port in module["ports"].items()})


def map_to_cells(bench: Workbench, command: str, verilog: str, top: str, log: str = "yosys.log") -> Netlist:
    """Map `verilog` with one of yosys' ``synth_*`` commands.

    Leaves ``TOP.json`` in the workbench's folder.

    Returns
    -------
    Netlist

    Raises
    ------
    ToolError
    """
    (bench.folder / f"{top}.v").write_text(verilog)
    (bench.folder / f"{top}.json").unlink(missing_ok=True)
    script = SCRIPT.format(name=top, command=command)
    _, written = bench.run(TOOLS["yosys"], ["-p", script], log, f"{top}.json")
    return parse(written, top)
