# SPDX-License-Identifier: Apache-2.0
"""Verilog to a technology's cells, through yosys."""

import collections
import dataclasses
import re

from .tools import TOOLS

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
    cells: dict
    scopes: frozenset
    ports: dict

    @property
    def pins(self):
        """Bits of all ports."""
        return sum(bits for _, bits in self.ports.values())

    @property
    def counts(self):
        """Cells by type, in alphabetic order."""
        return dict(sorted(collections.Counter(self.cells.values()).items()))

    def count(self, pattern):
        """Cells whose type is one of a regular expression's."""
        return sum(bool(re.fullmatch(pattern, kind)) for kind in self.cells.values())


def parse(written, top):
    """The Netlist of module `top` in what ``write_json`` has written."""
    module = written["modules"][top]
    # Marks of where an instance was; they are no hardware.
    scopes = {name for name, cell in module["cells"].items() if cell["type"] == "$scopeinfo"}
    return Netlist(
        top, {name: cell["type"] for name, cell in module["cells"].items() if name not in scopes}, frozenset(scopes),
        {name: (port["direction"], len(port["bits"])) for name, port in module["ports"].items()})


def map_to_cells(bench, command, verilog, top, log="yosys.log"):
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
