# SPDX-License-Identifier: Apache-2.0
"""What memory a block has, read off its elaborated netlist."""

import dataclasses
import re
from collections.abc import Iterable
from typing import Any

__all__ = ["Memory", "memories", "sram_bits"]

# Instance path, as a regular expression, to the role under which a memory is counted.
ROLES = (
    (r"tile_buffer\.", "tile_buffer"),
    (r"scale_fifo\.", "scale_fifo"),
    (r"accumulate\.", "accumulator"),
    (r"excite\.sums_ram\.", "accumulator"),
    (r"parameters\.", "weight"),
)


@dataclasses.dataclass(frozen=True)
class Memory:
    """One memory of the netlist: instance path below the top, role, bits of a word, words, and how it is made.

    ``kind`` is "ram" (an instance of the leaf, for a macro to stand in), "rom", or "registers": small FIFOs that are
    read without a clock, and sums that have no RAM.
    """

    path: str
    role: str
    width: int
    depth: int
    kind: str

    @property
    def bits(self) -> int:
        return self.width * self.depth


def _number(value: str | int) -> int:
    return int(value, 2) if isinstance(value, str) else int(value)


def memories(netlist: dict[str, Any], top: str) -> tuple[Memory, ...]:
    """Every memory below module `top`, one entry an instance.

    Memory cells, instances of the RAM leaf, and arrays of registers that hold sums (blocks with fewer than three
    groups a pixel have those instead of an accumulator RAM).
    """
    results: list[Memory] = []

    def visit(module: str, path: list[str]) -> None:
        for name, cell in netlist[module]["cells"].items():
            kind, parameters = cell["type"], cell["parameters"]
            if kind == "$mem_v2":
                kind = "registers" if _number(parameters["WR_PORTS"]) else "rom"
                add(path + [name], parameters["WIDTH"], parameters["SIZE"], kind)
            elif kind == f"{top}_ram":
                add(path + [name], parameters["WIDTH"], parameters["DEPTH"], "ram")
            elif kind in netlist:
                visit(kind, path + [name])
        registers = [n for n in netlist[module]["netnames"] if re.fullmatch(r"sums_\d+", n)]
        if path == ["accumulate"] and registers:
            width = len(netlist[module]["netnames"][registers[0]]["bits"])
            results.append(Memory("accumulate.sums", "accumulator", width, len(registers), "registers"))

    def add(parts: list[str], width: str | int, depth: str | int, kind: str) -> None:
        path = ".".join(parts)
        role = next((role for pattern, role in ROLES if re.match(pattern, path)), "other")
        results.append(Memory(path, role, _number(width), _number(depth), kind))

    visit(top, [])
    return tuple(results)


def sram_bits(memories: Iterable[Memory], bound_bits: int) -> dict[str, Any]:
    """Sum the bits of memories by role.

    Returns
    -------
    dict
        ``bound_bits``, ``tile_buffer_bits``, ``scale_fifo_bits``, ``accumulator_bits``, ``other_bits``,
        ``weight_bits``, ``total_without_weights_bits``, and ``over_bound``: that total over `bound_bits`, which is
        8 * k * W * C.
    """
    roles = ("tile_buffer", "scale_fifo", "accumulator", "other", "weight")
    bits = {f"{role}_bits": sum(m.bits for m in memories if m.role == role) for role in roles}
    total = sum(bits.values()) - bits["weight_bits"]
    return {"bound_bits": bound_bits, **bits, "total_without_weights_bits": total, "over_bound": total / bound_bits}
