# SPDX-License-Identifier: Apache-2.0
"""A block's registers and their fields, as the compiled SystemRDL has them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from .documents import compiled, rdl

__all__ = ["Field", "Register", "register_map", "registers_of"]


@dataclasses.dataclass(frozen=True)
class Field:
    """Bits of a register.

    ``access`` is "read-only", "write-only" or "read-write". ``clears`` tells whether writing 1 clears a bit,
    ``volatile`` whether the block changes it. ``reset`` is the field's value, not shifted to its place.
    """

    name: str
    meaning: str
    low: int
    width: int
    access: str
    clears: bool
    volatile: bool
    reset: int

    @property
    def mask(self) -> int:
        """Its bits in the register."""
        return ((1 << self.width) - 1) << self.low


@dataclasses.dataclass(frozen=True)
class Register:
    """A register of 32 bits: its name, what it is in a few words, its first byte's offset, its fields from bit 0 up."""

    name: str
    title: str
    offset: int
    fields: tuple[Field, ...]

    @property
    def access(self) -> str:
        """That of its fields together."""
        kinds = {field.access for field in self.fields}
        return kinds.pop() if len(kinds) == 1 else "read-write"

    @property
    def mask(self) -> int:
        """The bits that are in a field; the others read as 0."""
        return sum(field.mask for field in self.fields)

    @property
    def reset(self) -> int:
        """Its value after a reset."""
        return sum(field.reset << field.low for field in self.fields)

    @property
    def constant(self) -> bool:
        """Whether it always reads as ``reset``."""
        return not any(field.volatile or field.access != "read-only" for field in self.fields)

    def __getitem__(self, name: str) -> Field:
        return next(field for field in self.fields if field.name == name)


def register_map(name: str, values: Mapping[str, int | bool]) -> tuple[Register, ...]:
    """The registers of block `name` by address; `values` are its :func:`~.documents.map_values`."""
    return registers_of(compiled(rdl(name, values)))


def registers_of(top: Any) -> tuple[Register, ...]:
    """The registers by address of an address map, a systemrdl.node.AddrmapNode."""
    return tuple(Register(one.inst_name, one.get_property("name"), one.absolute_address,
                          tuple(map(_field, one.fields()))) for one in top.registers())


def _field(field: Any) -> Field:
    access = {(True, False): "read-only", (False, True): "write-only", (True, True): "read-write"}[
        field.is_sw_readable, field.is_sw_writable]
    clears = getattr(field.get_property("onwrite"), "name", None) == "woclr"
    return Field(field.inst_name, " ".join(field.get_property("desc").split()), field.low, field.width, access, clears,
                 field.is_volatile, field.get_property("reset"))
