# SPDX-License-Identifier: Apache-2.0
"""The table of registers in docs/block.md: `python -m tiled_se.gen.registers.page` writes it."""

import pathlib

from ..page import Section
from .documents import SOURCE, compiled
from .register_map import Field, registers_of

__all__ = ["PAGE", "SECTION", "table"]

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "block.md"
SECTION = Section("<!-- registers: written by `python -m tiled_se.gen.registers.page` -->", "<!-- end of registers -->")


def table() -> str:
    """A row of Markdown for each field of the map, by address."""
    rows = ["| address | register | bits | field | access | meaning |", "|---|---|---|---|---|---|"]
    for register in registers_of(compiled(SOURCE.read_text(encoding="utf-8"))):
        for number, field in enumerate(register.fields):
            first = (f"`0x{register.offset:02x}`", f"`{register.name}`") if number == 0 else ("", "")
            high = field.low + field.width - 1
            bits = f"{high}:{field.low}" if field.width > 1 else str(high)
            rows.append(f"| {' | '.join((*first, bits, f'`{field.name}`', _access(field), field.meaning))} |")
    return "\n".join(rows)


def _access(field: Field) -> str:
    """How software may access the field."""
    if field.clears:
        return "read, write 1 to clear"
    return field.access.removesuffix("-only").replace("read-write", "read, write")


if __name__ == "__main__":
    PAGE.write_text(SECTION.placed(PAGE.read_text(encoding="utf-8"), table()), encoding="utf-8")
