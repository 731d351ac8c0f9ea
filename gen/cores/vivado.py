# SPDX-License-Identifier: Apache-2.0
"""The block for Vivado: a script that packages it. And constraints of its clock, for Vivado and for others."""

from .core import CLOCK_MHZ, LIBRARY, VENDOR, Core

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
foreach {{stream ports}} {{
{streams}
}} {{
    ipx::infer_bus_interface $ports xilinx.com:interface:axis_rtl:1.0 $core
    if {{[llength [ipx::get_bus_interfaces $stream -of_objects $core]] != 1}} {{
        error "Vivado has not found the stream $stream"
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

ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::check_integrity $core
ipx::save_core $core
close_project
puts "wrote [file join $ip component.xml]"
"""


def packaging_script(core: Core) -> str:
    """NAME_vivado.tcl: packages NAME.v as an IP with AXI4-Stream interfaces."""
    streams = "\n".join(f"    {one.name} {{{' '.join(port.name for port in one.ports)}}}" for one in core.interfaces)
    return core.head("_vivado.tcl", "#", "packages the block as an IP for Vivado") + SCRIPT.format(
        name=core.name, vendor=VENDOR, library=LIBRARY, version=core.short_version, summary=core.summary,
        streams=streams, busif=":".join(one.name for one in core.interfaces))


def constraints(core: Core, ending: str) -> str:
    """NAME.sdc or NAME.xdc: the clock. `ending` is one of both."""
    period = 1000 / CLOCK_MHZ
    return (core.head(ending, "#", f"the clock of the block alone, {CLOCK_MHZ} MHz; change the period to yours")
            + "# All ports belong to it. Delays of the ports depend on what is around the block.\n"
            + f"create_clock -name clk -period {period:.3f} [get_ports clk]\n")
