# SPDX-License-Identifier: Apache-2.0
"""The block for Vivado: a script that packages it. And constraints of its clock, for Vivado and for others."""

from ...hdl.axi_lite import ADDRESS_BITS
from ..registers.register_map import Field
from .core import CLOCK_MHZ, LIBRARY, REGISTER_BLOCK, VENDOR, Core, Interface, lite_parameters

__all__ = ["constraints", "packaging_script"]

SCRIPT = """\
# Usage: vivado -mode batch -source {name}_vivado.tcl
# The IP is written into the folder {name}_ip beside this file. Add that folder to the IP repositories of a project.
# The folder {name}_packaging is not needed afterwards.
set here [file dirname [file normalize [info script]]]
set ip [file join $here {name}_ip]

create_project -force {name}_packaging [file join $here {name}_packaging]
add_files -norecurse [list [file join $here {name}.v]]
add_files -norecurse -fileset constrs_1 [list [file join $here {name}.xdc]]
# The constraints are those of the block alone: a design that contains it has its own clock.
set_property used_in {{synthesis out_of_context}} [get_files {name}.xdc]
set_property top {name} [current_fileset]
update_compile_order -fileset sources_1

ipx::package_project -root_dir $ip -vendor {vendor} -library {library} -taxonomy /UserIP -import_files -force
set core [ipx::current_core]
set_property name {name} $core
set_property version {version} $core
set_property display_name {{{name}}} $core
set_property description {{{summary}}} $core

# Vivado has guessed interfaces from the names of the ports. These are said, not guessed.
ipx::remove_all_bus_interface $core
foreach map [ipx::get_memory_maps -quiet * -of_objects $core] {{
    ipx::remove_memory_map [get_property name $map] $core
}}
foreach {{interface kind ports}} {{
{interfaces}
}} {{
    ipx::infer_bus_interface $ports xilinx.com:interface:$kind:1.0 $core
    if {{[llength [ipx::get_bus_interfaces $interface -of_objects $core]] != 1}} {{
        error "Vivado has not found the interface $interface"
    }}
}}
ipx::infer_bus_interface clk xilinx.com:signal:clock_rtl:1.0 $core
ipx::infer_bus_interface rst xilinx.com:signal:reset_rtl:1.0 $core

proc set_bus_parameter {{core interface name value}} {{
    set bus [ipx::get_bus_interfaces $interface -of_objects $core]
    set parameter [ipx::get_bus_parameters -quiet $name -of_objects $bus]
    if {{[llength $parameter] == 0}} {{
        set parameter [ipx::add_bus_parameter $name $bus]
    }}
    set_property value $value $parameter
}}
set_bus_parameter $core rst POLARITY ACTIVE_HIGH
set_bus_parameter $core clk ASSOCIATED_BUSIF {busif}
set_bus_parameter $core clk ASSOCIATED_RESET rst
{registers}
ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::check_integrity $core
ipx::save_core $core
close_project
puts "wrote [file join $ip component.xml]"
"""


REGISTERS = """\
{parameters}

set map [ipx::add_memory_map {interface} $core]
set_property slave_memory_map_ref {interface} [ipx::get_bus_interfaces {interface} -of_objects $core]
set block [ipx::add_address_block {block} $map]
foreach {{property value}} {{base_address 0 range {bytes} width {bits} usage register}} {{
    set_property $property $value $block
}}
# Each register has its name, offset, title and access, and then its fields.
foreach {{name offset title access fields}} {{
{registers}
}} {{
    set register [ipx::add_register $name $block]
    set_property address_offset $offset $register
    set_property size {bits} $register
    set_property description $title $register
    set_property access $access $register
    foreach {{name low width access write meaning}} $fields {{
        set field [ipx::add_field $name $register]
        set_property bit_offset $low $field
        set_property bit_width $width $field
        set_property access $access $field
        set_property modified_write_value $write $field
        set_property description $meaning $field
    }}
}}
"""


def packaging_script(core: Core) -> str:
    """NAME_vivado.tcl: packages NAME.v as an IP with its AXI4-Stream interfaces, and its registers if it has any."""
    interfaces = "\n".join(f"    {one.name} {'axis_rtl' if one.is_stream else 'aximm_rtl'} "
                           f"{{{' '.join(port.name for port in one.ports)}}}" for one in core.interfaces)
    return core.head("_vivado.tcl", "#", "packages the block as an IP for Vivado") + SCRIPT.format(
        name=core.name, vendor=VENDOR, library=LIBRARY, version=core.short_version, summary=core.summary,
        interfaces=interfaces, busif=":".join(one.name for one in core.interfaces),
        registers="".join(_registers(core, one) for one in core.interfaces if not one.is_stream))


def _registers(core: Core, interface: Interface) -> str:
    """The commands that describe the AXI4-Lite and the registers behind it."""
    parameters = "\n".join(f"set_bus_parameter $core {interface.name} {name} {value}"
                           for name, value in lite_parameters(interface).items())
    registers = "\n".join(f"    {one.name} {one.offset:#05x} {{{one.title}}} {one.access} {{\n"
                          + "".join(map(_field, one.fields)) + "    }" for one in core.registers)
    return REGISTERS.format(parameters=parameters, interface=interface.name, block=REGISTER_BLOCK,
                            bytes=1 << ADDRESS_BITS, bits=interface.bits, registers=registers)


def _field(field: Field) -> str:
    write = "oneToClear" if field.clears else "modify"
    return f"        {field.name} {field.low} {field.width} {field.access} {write} {{{field.meaning}}}\n"


def constraints(core: Core, ending: str) -> str:
    """NAME.sdc or NAME.xdc: the clock. `ending` is one of both."""
    period = 1000 / CLOCK_MHZ
    return (core.head(ending, "#", f"the clock of the block alone, {CLOCK_MHZ} MHz; change the period to yours")
            + "# All ports belong to it. Delays of the ports depend on what is around the block.\n"
            + f"create_clock -name clk -period {period:.3f} [get_ports clk]\n")
