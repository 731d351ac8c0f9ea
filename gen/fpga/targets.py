# SPDX-License-Identifier: Apache-2.0
"""The FPGA families that a block is synthesised for: their parts, yosys commands, and how their cells are counted."""

import dataclasses
import enum
import re
from collections.abc import Sequence

from ...hdl.errors import ConfigError

__all__ = ["FAMILIES", "Part", "Target", "Family"]

# Above what any of the parts reaches. nextpnr weighs paths by how they compare with the slowest, so that a target which
# every block misses gives each the same effort.
GOAL_MHZ = 250


class Target(enum.Enum):
    """A family of FPGAs, by the name that yosys has for it."""

    ECP5 = "ecp5"
    ICE40 = "ice40"
    XILINX = "xilinx"

    def __str__(self) -> str:
        return self.value


@dataclasses.dataclass(frozen=True)
class Part:
    """One FPGA: its name, the yosys command that maps to it, nextpnr's arguments, and pins for a user's signals."""

    name: str
    synthesis: str
    arguments: tuple[str, ...] = ()
    pins: int = 0


@dataclasses.dataclass(frozen=True)
class Family:
    """A target: its parts, of which the first that has room is taken, and what its cells are called.

    ``placer`` is the key of the tool that places and routes, None where pip brings none. ``luts``, ``ffs`` and ``dsps``
    are regular expressions of cell types; ``block_rams`` maps those of block RAMs to the bits of one. Of RAM_STYLE,
    memories can have ``ram_styles`` and those with constant contents ``rom_styles``. Of DSP_STYLE yosys obeys nothing:
    it always takes a DSP block.
    """

    parts: tuple[Part, ...]
    placer: str | None
    luts: str
    ffs: str
    dsps: str
    block_rams: dict[str, int]
    ram_styles: tuple[str, ...] = ("block",)
    rom_styles: tuple[str, ...] = ("block",)
    dsp_styles: tuple[str, ...] = ("dsp",)

    def check_styles(self, ram_style: Sequence[tuple[str, str]], dsp_style: str | None, baked: bool) -> None:
        """Raise ConfigError for a style that synthesis would refuse or ignore; weights are constant if `baked`."""
        for role, style in ram_style:
            is_rom = baked and role == "weight"
            allowed = self.rom_styles if is_rom else self.ram_styles
            if style not in allowed:
                raise ConfigError("ram_style", f"{role}={style}", f"must be {' or '.join(allowed)} for "
                                  f"{'baked weights' if is_rom else role} on {self.parts[0].name}")
        if dsp_style not in (None, *self.dsp_styles):
            raise ConfigError("dsp_style", dsp_style, f"must be {' or '.join(self.dsp_styles)} on {self.parts[0].name}")

    def block_ram_bits(self, kind: str) -> int:
        """Bits of a cell of type `kind`; 0 for one that is no block RAM."""
        return next((bits for pattern, bits in self.block_rams.items() if re.fullmatch(pattern, kind)), 0)


def _ecp5(size: int, pins: int) -> Part:
    arguments = (f"--{size}k", "--speed", "6", "--package", "CABGA381", "--lpf-allow-unconstrained")
    return Part(f"LFE5U-{size}F-6BG381", "synth_ecp5", arguments, pins)


FAMILIES = {
    Target.ECP5: Family(
        parts=(_ecp5(45, pins=203), _ecp5(85, pins=205)), placer="nextpnr-ecp5",
        luts="LUT4|CCU2C", ffs="TRELLIS_FF", dsps="MULT18X18D", block_rams={"DP16KD|PDPW16KD": 18432},
        ram_styles=("block", "distributed")),
    # The one has multipliers, the other more of everything else.
    Target.ICE40: Family(
        parts=(Part("iCE40UP5K-SG48", "synth_ice40 -dsp", ("--up5k", "--package", "sg48"), 39),
               Part("iCE40HX8K-CT256", "synth_ice40", ("--hx8k", "--package", "ct256"), 206)),
        placer="nextpnr-ice40",
        luts="SB_LUT4", ffs="SB_DFF.*", dsps="SB_MAC16", block_rams={"SB_RAM40_4K.*": 4096}),
    Target.XILINX: Family(
        parts=(Part("xc7", "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf"),), placer=None,
        luts="LUT[1-6]", ffs="FD[CPRS]E.*", dsps="DSP48E1", block_rams={"RAMB18E1": 18432, "RAMB36E1": 36864},
        ram_styles=("block", "distributed")),
}
