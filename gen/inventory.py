# SPDX-License-Identifier: Apache-2.0
"""What memory a block has, read off its elaborated netlist."""

import dataclasses
import re
from typing import Any

__all__ = ["CONTENTS", "HOLDS", "ROLES", "STYLE", "Memory", "memories", "role_of"]

# The attribute of a memory cell that has the style.
STYLE = "tiled_se_style"

# The attribute of a memory's instance, or of registers, that says what they hold.
HOLDS = "tiled_se_holds"

# The roles under which memories are counted, each with a regular expression of instance paths. All others are "other".
ROLES = {"tile_buffer": r"tile_buffer\.", "scale_fifo": r"scale_fifo\.",
         "accumulator": r"accumulate\.|excite\.sums_ram\.", "weight": r"parameters\."}

# What each memory holds, by the instance path of the module that is it. `sums` are registers.
CONTENTS = {
    "tile_buffer.ram": "tile buffer: elements that wait for their gates",
    "scale_fifo.ram": "gates: those in use, and those of tiles to come",
    "accumulate.ram": "accumulator: sums of channels while their elements come in",
    "accumulate.sums": "accumulator: sums of channels while their elements come in",
    "accumulate.accumulate.ram": "accumulator: sums of channels while a row of a patch comes in",
    "accumulate.accumulate.sums": "accumulator: sums of channels while a row of a patch comes in",
    "excite.sums_ram": "sums of channels of the tile whose gates are computed",
    "excite.hidden_ram": "outputs of the first layer",
    "parameters.weights_ram": "weights of both layers",
    "parameters.records_ram": "multipliers, shifts and biases that requantise both layers' outputs",
    "parameters.prior_ram": "prior: sums of channels of imaginary rows before the frame",
    "ingress.tiles": "tiles that have ended: their places in the tile buffer",
    "ingress.bands": "bands of patches that have ended: their places in the tile buffer",
    "scale.queue": "outputs that wait until they are taken",
}


@dataclasses.dataclass(frozen=True)
class Memory:
    """One memory of the netlist: instance path below the top, role, bits of a word, words, and how it is made.

    ``kind`` is "ram" (an instance of the leaf, for a macro to stand in), "rom", or "registers": small FIFOs that are
    read without a clock, and sums that have no RAM. ``style`` is what it shall be made of, if that was asked for.
    """

    path: str
    role: str
    width: int
    depth: int
    kind: str
    style: str | None = None

    @property
    def bits(self) -> int:
        return self.width * self.depth


def role_of(path: str) -> str:
    """The role of the memory at an instance path below the top."""
    return next((role for role, pattern in ROLES.items() if re.match(pattern, path)), "other")


def _number(value: str | int) -> int:
    return int(value, 2) if isinstance(value, str) else int(value)


def memories(netlist: dict[str, Any], top: str, block: str = "") -> tuple[Memory, ...]:
    """Every memory below module `top`, one entry an instance. `block` is the block's instance in it, "" if it is `top`.

    Memory cells, instances of the RAM leaf, and arrays of registers that hold sums (blocks with fewer than three
    groups a pixel have those instead of an accumulator RAM).
    """
    results: list[Memory] = []
    inside = [block] if block else []

    def visit(module: str, path: list[str]) -> None:
        for name, cell in netlist[module]["cells"].items():
            kind, parameters = cell["type"], cell["parameters"]
            if kind == "$mem_v2":
                kind = "registers" if _number(parameters["WR_PORTS"]) else "rom"
                add(path + [name], parameters["WIDTH"], parameters["SIZE"], kind, cell["attributes"].get(STYLE))
            elif match := re.fullmatch(rf"{top}_ram(?:_(\w+))?", kind):
                add(path + [name], parameters["WIDTH"], parameters["DEPTH"], "ram", match[1])
            elif kind in netlist:
                visit(kind, path + [name])
        registers = [n for n in netlist[module]["netnames"] if re.fullmatch(r"sums_\d+", n)]
        if path == [*inside, "accumulate"] and registers:
            width = len(netlist[module]["netnames"][registers[0]]["bits"])
            results.append(Memory(".".join([*path, "sums"]), "accumulator", width, len(registers), "registers"))

    def add(parts: list[str], width: str | int, depth: str | int, kind: str, style: str | None = None) -> None:
        path = ".".join(parts)
        role = role_of(".".join(parts[len(inside):]))
        results.append(Memory(path, role, _number(width), _number(depth), kind, style))

    visit(top, [])
    return tuple(results)
