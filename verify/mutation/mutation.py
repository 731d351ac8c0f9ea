# SPDX-License-Identifier: Apache-2.0
"""One fault in a netlist, as yosys' `mutate` names it, and where in the block that is."""

import dataclasses
import pathlib
import re
import shlex

__all__ = ["Mutation", "component_of", "parse"]

MODES = {
    "inv": "inverted", "const0": "stuck at 0", "const1": "stuck at 1",
    "cnot0": "inverted while bit {ctrl} of the same port is 0",
    "cnot1": "inverted while bit {ctrl} of the same port is 1",
}
# Instances that are part of a component rather than one: memories, multipliers, and what is inside of these.
_PARTS = re.compile(r"ram|\w+_ram|leaf|storage|multiply|multiply_\d+|square|line")
_TOP = "tiled_se"


@dataclasses.dataclass(frozen=True)
class Mutation:
    """A fault: bit `bit` of port `port` of cell `cell` is changed.

    Attributes
    ----------
    text : str
        yosys' command, as it was listed.
    mode : str
        One of ``MODES``.
    cell, port : str
    bit, control : int
        The bit that is changed; the one that decides when, for the modes cnot0 and cnot1, else -1.
    wire : str
        The named signal at that port and its bit; empty where there is none.
    sources : tuple of str
        Lines of the generator that the cell or the signal are from.
    """

    text: str
    mode: str
    cell: str
    port: str
    bit: int
    control: int
    wire: str
    sources: tuple

    @property
    def component(self):
        """The block's component that it is in."""
        return component_of(self.cell)

    @property
    def words(self):
        """What is changed, and where, in a sentence."""
        change = MODES[self.mode].format(ctrl=self.control)
        signal = f", {self.wire}," if self.wire else ""
        where = f" ({', '.join(self.sources)})" if self.sources else ""
        return f"in {self.component}: bit {self.bit} of port {self.port}{signal} of a cell is {change}{where}"


def component_of(cell):
    """The component, of a flat netlist's cell: instances from the top down, without memories and multipliers."""
    if cell.startswith("$flatten"):
        path = re.findall(r"\\([^.\\$]+)\.", cell)
    else:
        path = [] if cell.startswith("$") else cell.split(".")[:-1]
    kept = []
    for name in path:
        if _PARTS.fullmatch(name):
            break
        kept.append(name)
    return ".".join(kept) or _TOP


def parse(text, root=""):
    """The :class:`Mutation` of one line of ``mutate -list``; source lines are given relative to folder `root`."""
    words = shlex.split(text.replace("\\", "\\\\"))
    found = {"src": []}
    for name, value in zip(words[1::2], words[2::2], strict=True):
        if name == "-src":
            found["src"].append(value)
        else:
            found[name[1:]] = value
    wire = f"{found['wire']}[{found['wirebit']}]" if "wire" in found else ""
    sources = tuple(dict.fromkeys(_relative(source, root) for source in found["src"]))
    return Mutation(text, found["mode"], found["cell"], found["port"], int(found["portbit"]),
                    int(found.get("ctrlbit", -1)), wire, sources)


def _relative(source, root):
    """A source line without the folder that the package is in, and without columns."""
    name, _, line = source.partition(":")
    path = pathlib.PurePath(name)
    shown = path.relative_to(root).as_posix() if root and path.is_relative_to(root) else path.name
    return f"{shown}:{line.split('.')[0].split('-')[0]}" if line else shown
