# SPDX-License-Identifier: Apache-2.0
"""One fault in a netlist, as yosys' `mutate` describes it, and its place in the block."""

import dataclasses
import itertools
import pathlib
import re
import shlex

from ..faults import TOP

__all__ = ["Mutation", "component_of", "parse"]

MODES = {
    "inv": "inverted", "const0": "stuck at 0", "const1": "stuck at 1",
    "cnot0": "inverted while bit {ctrl} of the same port is 0",
    "cnot1": "inverted while bit {ctrl} of the same port is 1",
}
# Instances that are no components: memories, tables, multipliers, and their parts.
_PARTS = re.compile(r"ram|\w+_ram|leaf|storage|table|multiply(_\d+)*|(square|line|rescale)(_\d+)?")


@dataclasses.dataclass(frozen=True)
class Mutation:
    """A fault in bit `bit` of port `port` of cell `cell`; `text` is the command of yosys, `mode` one of ``MODES``.

    ``control`` is the bit that enables the change, for the modes cnot0 and cnot1, else -1. ``wire`` is the named signal
    at that port, and its bit; empty if there is none. ``sources`` are the lines of the generator that made the cell or
    the signal.
    """

    text: str
    mode: str
    cell: str
    port: str
    bit: int
    control: int
    wire: str
    sources: tuple[str, ...]

    @property
    def component(self) -> str:
        """The block's component with the fault."""
        return component_of(self.cell)

    @property
    def words(self) -> str:
        """The change and its place as a sentence."""
        change = MODES[self.mode].format(ctrl=self.control)
        signal = f", {self.wire}," if self.wire else ""
        where = f" ({', '.join(self.sources)})" if self.sources else ""
        return f"in {self.component}: bit {self.bit} of port {self.port}{signal} of a cell is {change}{where}"


def component_of(cell: str) -> str:
    """The component of a flat netlist's cell: its instances from the top down, without those parts."""
    if cell.startswith("$flatten"):
        path = re.findall(r"\\([^.\\$]+)\.", cell)
    else:
        path = [] if cell.startswith("$") else cell.split(".")[:-1]
    return ".".join(itertools.takewhile(lambda name: not _PARTS.fullmatch(name), path)) or TOP


def parse(text: str, root: str | pathlib.PurePath = "") -> Mutation:
    """The :class:`Mutation` of one line of ``mutate -list``; its source lines are relative to folder `root`."""
    words = shlex.split(text.replace("\\", "\\\\"))
    pairs = list(zip(words[1::2], words[2::2], strict=True))
    options = dict(pairs)
    wire = f"{options['-wire']}[{options['-wirebit']}]" if "-wire" in options else ""
    sources = tuple(dict.fromkeys(_relative(value, root) for name, value in pairs if name == "-src"))
    return Mutation(text, options["-mode"], options["-cell"], options["-port"], int(options["-portbit"]),
                    int(options.get("-ctrlbit", -1)), wire, sources)


def _relative(source, root):
    """A source line relative to the package's folder, without columns."""
    name, _, line = source.partition(":")
    path = pathlib.PurePath(name)
    shown = path.relative_to(root).as_posix() if root and path.is_relative_to(root) else path.name
    return f"{shown}:{line.split('.')[0].split('-')[0]}" if line else shown
