# SPDX-License-Identifier: Apache-2.0
"""The table of registers in docs/block.md: `python -m tiled_se.gen.registers.page` writes it."""

import pathlib
from typing import Any

from ..page import Section
from .documents import SOURCE, compiled

__all__ = ["PAGE", "SECTION", "table"]

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "block.md"
SECTION = Section("<!-- registers: written by `python -m tiled_se.gen.registers.page` -->", "<!-- end of registers -->")


def table() -> str:
    """A row of Markdown for each field of the map, by address."""
    rows = ["| address | register | bits | field | access | meaning |", "|---|---|---|---|---|---|"]
    for register in compiled(SOURCE.read_text(encoding="utf-8")).registers():
        for number, field in enumerate(register.fields()):
            first = (f"`0x{register.absolute_address:02x}`", f"`{register.inst_name}`") if number == 0 else ("", "")
            bits = f"{field.high}:{field.low}" if field.width > 1 else str(field.low)
            meaning = " ".join(field.get_property("desc").split())
            rows.append(f"| {' | '.join((*first, bits, f'`{field.inst_name}`', _access(field), meaning))} |")
    return "\n".join(rows)


def _access(field: Any) -> str:
    """How software may access the field."""
    if field.get_property("onwrite") is not None:
        return "read, write 1 to clear"
    words = [word for word, may in (("read", field.is_sw_readable), ("write", field.is_sw_writable)) if may]
    return ", ".join(words)


if __name__ == "__main__":
    PAGE.write_text(SECTION.placed(PAGE.read_text(encoding="utf-8"), table()), encoding="utf-8")
