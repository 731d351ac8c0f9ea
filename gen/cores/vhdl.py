# SPDX-License-Identifier: Apache-2.0
"""The block in VHDL: a package with its component, and how that is instantiated."""

import re

from ..verilog import Port
from .core import Core
from .templates import listed

__all__ = ["component_package", "vhdl_name"]

# Reserved words of VHDL, up to VHDL-2019.
RESERVED = frozenset("""
    abs access after alias all and architecture array assert assume assume_guarantee attribute begin block body buffer
    bus case component configuration constant context cover default disconnect downto else elsif end entity exit
    fairness file for force function generate generic group guarded if impure in inertial inout is label library
    linkage literal loop map mod nand new next nor not null of on open or others out package parameter port postponed
    private procedure process property protected pure range record register reject release rem report restrict
    restrict_guarantee return rol ror select sequence severity shared signal sla sll sra srl strong subtype then to
    transport type unaffected units until use variable view vmode vprop vunit wait when while with xnor xor
""".split())
COMMENT = "-- "


def vhdl_name(name: str) -> str:
    """A Verilog identifier in VHDL: as an extended identifier where it would be no other one, or a reserved word."""
    plain = re.fullmatch(r"[A-Za-z](_?[A-Za-z0-9])*", name) and name.lower() not in RESERVED
    return name if plain else f"\\{name}\\"


def component_package(core: Core) -> str:
    """NAME_pkg.vhd: a package with the component; an example of its use is a comment."""
    name, package = vhdl_name(core.name), vhdl_name(f"{core.name}_pkg")
    ports = listed([(_declared(port), port.meaning) for port in core.ports], "      ", "--", ";")
    return (core.head("_pkg.vhd", "--", "the block as a component of VHDL, and an example of its use at the end")
            + f"library ieee;\nuse ieee.std_logic_1164.all;\n\npackage {package} is\n  component {name} is\n"
            + f"    port (\n{ports}\n    );\n  end component;\nend package;\n\n{_example(core, name, package)}")


def _declared(port: Port) -> str:
    return f"{port.name} : {port.direction.removesuffix('put')} {_kind(port)}"


def _kind(port: Port) -> str:
    return "std_logic" if port.width == 1 else f"std_logic_vector({port.width - 1} downto 0)"


def _example(core: Core, name: str, package: str) -> str:
    """An architecture with one instance, as comment lines."""
    entity = vhdl_name(f"{core.name}_example")
    signals = "\n".join(f"  signal {port.name} : {_kind(port)};" for port in core.ports)
    mapped = listed([(f"{port.name} => {port.name}", "") for port in core.ports], "    ")
    lines = (f"library ieee;\nuse ieee.std_logic_1164.all;\nuse work.{package}.all;\n\n"
             f"entity {entity} is\nend entity;\n\narchitecture rtl of {entity} is\n{signals}\nbegin\n"
             f"  tse : {name} port map (\n{mapped}\n  );\nend architecture;")
    return "".join(f"{COMMENT}{line}".rstrip() + "\n" for line in lines.splitlines())
