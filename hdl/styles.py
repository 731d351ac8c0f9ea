# SPDX-License-Identifier: Apache-2.0
"""What synthesis tools are told to make a memory or a multiplier of."""

__all__ = ["DSP_STYLES", "RAM_STYLES"]

# What a memory shall be made of, as Vivado, Quartus, and Synplify want to be told. Quartus takes what it does not know
# for nothing; it and Synplify have no name for Vivado's UltraRAM.
RAM_STYLES = {
    "block": '(* ram_style = "block", rom_style = "block", ramstyle = "M20K", romstyle = "M20K", '
             'syn_ramstyle = "block_ram", syn_romstyle = "block_rom" *)',
    "distributed": '(* ram_style = "distributed", rom_style = "distributed", ramstyle = "MLAB", romstyle = "MLAB", '
                   'syn_ramstyle = "distributed", syn_romstyle = "distributed_rom" *)',
    "ultra": '(* ram_style = "ultra", rom_style = "ultra" *)',
}

# The same of a multiplier.
DSP_STYLES = {
    "dsp": '(* use_dsp = "yes", multstyle = "dsp", syn_multstyle = "block_mult" *)',
    "logic": '(* use_dsp = "no", multstyle = "logic", syn_multstyle = "logic" *)',
}
