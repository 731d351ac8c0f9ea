# SPDX-License-Identifier: Apache-2.0
"""The files around a block's Verilog, with which other tools take it: all from one description of its ports."""

from ..block_files import BENDER
from ..block_spec import BlockSpec
from ..verilog import Design
from .core import core_of

__all__ = ["core_files"]


def core_files(spec: BlockSpec, design: Design, bench: bool) -> dict[str, tuple[bytes, str]]:
    """The files by name, each as (content, purpose); with `bench` also the bench and its vectors, which need torch."""
    from . import constants, fusesoc, ipxact, templates, vhdl, vivado
    from .bench import bench_files

    core = core_of(spec, design, bench)
    texts = {
        ".core": (fusesoc.fusesoc_core(core), "FuseSoC core: lint, sim and synth" if bench else
                  "FuseSoC core: lint and synth"),
        ".2009.xml": (ipxact.ipxact(core, "2009"), "IP-XACT, IEEE 1685-2009, with Xilinx's bus definitions"),
        ".2014.xml": (ipxact.ipxact(core, "2014"), "IP-XACT, IEEE 1685-2014, with Arm's bus definitions"),
        "_vivado.tcl": (vivado.packaging_script(core), "packages the block as an IP for Vivado"),
        ".sdc": (vivado.constraints(core, ".sdc"), "constraint of the clock"),
        ".xdc": (vivado.constraints(core, ".xdc"), "the same for Vivado"),
        "_inst.v": (templates.verilog_instance(core), "instantiation in Verilog"),
        "_if.sv": (templates.interface_wrapper(core), "wrapper with SystemVerilog interfaces"),
        "_pkg.vhd": (vhdl.component_package(core), "VHDL package with the component"),
        ".h": (constants.c_header(spec, core), "constants for C"),
        ".py": (constants.python_module(spec, core), "constants for Python")}
    files = {design.top + ending: (text.encode(), purpose) for ending, (text, purpose) in texts.items()}
    files[BENDER] = (fusesoc.bender_manifest(core).encode(), "Bender package")
    return (bench_files(spec, core) if bench else {}) | files
