# SPDX-License-Identifier: Apache-2.0
"""One block: from options and files to Verilog, manifest, simulation, synthesis and reports.

    from tiled_se.gen import SimOptions, simulate

    bit_exact = simulate(SimOptions(k=7, width=56, channels=64))
"""

from ..hdl.lazy import lazy

__all__, __getattr__ = lazy(__name__, {
    "block_spec": "BlockSpec prepare",
    "fields": "UsageError",
    "fpga.synth": "synthesise",
    "inventory": "memories",
    "manifest": "write_verilog",
    "netlist": "convert",
    "options": "BlockOptions SimOptions SynthOptions VerilogOptions",
    "simulation": "simulate",
    "verilog": "Design generate",
})
