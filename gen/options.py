# SPDX-License-Identifier: Apache-2.0
"""The options of a block, and the groups of options that several commands share.

A command's options are a dataclass that inherits the groups it shares with other commands and adds fields of its own.
Modules with options import neither numpy nor Amaranth, so that help and errors come at once.
"""

import dataclasses
import os
from typing import Any

from ..hdl.config import ConfigError, Context, Gate, Mid, Order, Tiling
from ..hdl.styles import DSP_STYLES, RAM_STYLES
from ..hdl.tiling import DEFAULT_MAX_ROWS
from . import formats
from .fields import flag, option, options_of, shortened, stem, text_of
from .fpga.targets import Target
from .inventory import ROLES

__all__ = [
    "BatchOptions", "BlockOptions", "DataOptions", "FormatOptions", "FunctionOptions", "HardwareOptions",
    "OutputOptions", "ShapeOptions", "SimOptions", "StallOptions", "StyleOptions", "SynthOptions", "TileOptions",
    "TilingOptions", "VerilogOptions", "block_options", "describe"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TileOptions:
    """Height of a tile."""

    k: int = option("shape", "K", formats.integer(1, 1 << 16), 7, "ROWS",
        "rows of a tile; strips of K >= H rows are the original squeeze-and-excite")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TilingOptions(TileOptions):
    """Which elements share a descriptor, and which elements it averages."""

    context: Context = option("shape", "CONTEXT", formats.member(Context), Context.TILE, "NAME",
        "rows whose mean gives a tile's gates: tile (its own), cumulative (all up to its last one), causal (all before "
        "it: nothing waits) or window (those of WINDOW, for the whole frame)")
    tile_width: int | None = option("shape", "TILE_W", formats.integer(1, 1 << 16), None, "PIXELS",
        "columns of a tile of CONTEXT=tile (default: W)")
    prior_rows: int | None = option("shape", "PRIOR", formats.integer(0, 1 << 16), None, "ROWS",
        "imaginary rows, equal to the prior, in the means of cumulative and causal; at least 1 for causal (default: 1 "
        "for causal, and for cumulative if WEIGHTS has a prior, else 0)")
    max_rows: int = option("shape", "MAX_ROWS", formats.integer(1, 1 << 16), DEFAULT_MAX_ROWS, "ROWS",
        "rows of a frame that count in the means of cumulative and causal")
    window: tuple[int, int] | None = option("shape", "WINDOW", formats.window, None, "FIRST:COUNT",
        "first row and number of rows of CONTEXT=window (default: none)", separator=":")
    order: Order = option("shape", "ORDER", formats.member(Order), Order.ROWS, "NAME",
        "order of the stream's pixels: row by row, or column by column; K, PRIOR, MAX_ROWS and WINDOW then count "
        "columns, TILE_W counts rows, and H is the hardware's, W free")

    def tiling(self, line: int | None = None, prior: bool = False) -> Tiling:
        """The :class:`Tiling`. ConfigError names an option that the context needs or excludes.

        `line` is the length of the stream's lines, W or with ``Order.COLUMNS`` H: tiles as wide as that are strips.
        `prior` tells whether the weights have a prior, one row of which then counts unless ``prior_rows`` is given.
        """
        width = self.tile_width
        if self.context is Context.TILE and width is not None and line is not None and width >= line:
            width = None
        rows = int(prior or self.context is Context.CAUSAL) if self.prior_rows is None else self.prior_rows
        return Tiling(k=self.k, context=self.context, tile_width=width, prior_rows=rows, max_rows=self.max_rows,
                      window=self.window, order=self.order)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShapeOptions(TileOptions):
    """Shape of tiles and feature map."""

    width: int | None = option("shape", "W", formats.integer(1, 1 << 16), None, "PIXELS",
        "width of the feature map (default: INPUT's)")
    channels: int | None = option("shape", "C", formats.integer(1, 1 << 16), None, "N",
        "channels (default: those of INPUT or WEIGHTS)")
    height: int | None = option("shape", "H", formats.integer(1, 1 << 20), None, "PIXELS",
        "height of the simulated frames; the hardware takes any height (default: INPUT's, else W)")
    squeeze: int | None = option("shape", "CR", formats.integer(1, 1 << 16), None, "N",
        "squeezed channels, between the two layers (default: those of WEIGHTS, else C / 4, at least 1)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class HardwareOptions:
    """What sizes the hardware."""

    lanes: int | None = option("hardware", "LANES", formats.integer(1, 64), None, "N",
        "channels that a beat carries; must divide C (default: the largest divisor up to 8)")
    macs: int | None = option("hardware", "MACS", formats.auto(formats.integer(1, 4096)), None, "N|auto",
        "multipliers that both layers share; auto: the fewest that sustain a beat a cycle within SRAM_OVERHEAD; "
        "more than the larger of C and CR would be idle and are not built (default: auto)")
    sram_overhead: float | None = option("hardware", "SRAM_OVERHEAD", formats.number(0, 10), None, "FRACTION",
        "memory beyond what must wait that MACS=auto may spend: a fraction of what must wait, or, in other contexts "
        "than tile, of seven rows; with SLACK given, cycles that a tile may take beyond its beats (default: 0.05; 0.1 "
        "for tiles narrower than the map)")
    slack: int | None = option("hardware", "SLACK", formats.auto(formats.integer(0, 1 << 20)), None, "BEATS|auto",
        "tile buffer beyond what must wait; auto: what full rate takes; 0: none, the input pauses once a tile "
        "(default: auto)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FormatOptions(HardwareOptions):
    """The hardware's size, and how its parameters are stored."""

    loadable: bool | None = option("hardware", "LOADABLE", formats.boolean, None, "0|1",
        "1: parameters come through w_axis; 0: they are baked in (default: 0 with WEIGHTS, else 1)")
    weight_bits: int = option("hardware", "WEIGHT_BITS", formats.integer(2, 8), 8, "BITS", "bits of a weight")
    operand_bits: int | None = option("hardware", "OPERAND_BITS", formats.auto(formats.integer(4, 44)), None,
        "BITS|auto",
        "width of tile means and hidden vector; auto: what ERROR takes, but if loadable at least 10 more than the data "
        "have (default: auto)")
    error: float = option("hardware", "ERROR", formats.number(0.5, 256), 1.0, "LSB",
        "largest error against float64 that the widths may bring, in LSB of the output")


@dataclasses.dataclass(frozen=True, kw_only=True)
class StyleOptions:
    """What synthesis makes memories and multipliers of."""

    ram_style: tuple[tuple[str, str], ...] = option("hardware", "RAM_STYLE",
        formats.pairs([*ROLES, "other"], [*RAM_STYLES]), (), "ROLE=STYLE,...",
        f"what synthesis shall make memories of: {', '.join(RAM_STYLES)} for each of {', '.join(ROLES)}, other; an "
        "attribute for Vivado, Quartus and Synplify; without it they choose")
    dsp_style: str | None = option("hardware", "DSP_STYLE", formats.choice(*DSP_STYLES), None, "NAME",
        f"what synthesis shall make multipliers of: {' or '.join(DSP_STYLES)} (default: its choice)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FunctionOptions:
    """Activations, and the parameters of the two layers."""

    mid: Mid | None = option("functions", "MID", formats.middle, None, "NAME",
        f"activation between the layers: {formats.MIDS} (default: that of WEIGHTS, else relu)")
    gate: Gate | None = option("functions", "GATE", formats.gate, None, "NAME",
        f"activation after them: {formats.GATES}; by default SLOPE is 1/6 and OFFSET 1/2 (default: that of WEIGHTS, "
        "else sigmoid)")
    residual: bool | None = option("functions", "RESIDUAL", formats.boolean, None, "0|1",
        "1: y = x + x * gate (default: what WEIGHTS says, else 0)")
    weights: str | None = option("functions", "WEIGHTS", formats.file_name, None, "FILE",
        ".npz with float w1 (CR, C), b1 (CR), w2 (C, CR), b2 (C) and perhaps w1_step (CR), w2_step (C), prior (C), "
        "mid, gate, residual, y_scale, y_zero_point (default: random)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Frames that are simulated, and the integers of both streams."""

    input: str | None = option("data", "INPUT", formats.file_name, None, "FILE",
        ".npz with float x, or integer x_q with x_scale and x_zero_point, and perhaps x_bits; (H, W, C) or (N, H, W, "
        "C) (default: random)")
    dtype: str | None = option("data", "DTYPE", formats.data_type, None, "TYPE",
        "integers of the input: int2 to int16 or uint2 to uint16 (default: that of INPUT's x_q or "
        "x_bits, else int8)")
    zero_point: int | None = option("data", "ZERO_POINT", formats.integer(-1 << 15, (1 << 16) - 1), None, "Q",
        "integer of the input that stands for 0.0 (default: from INPUT, else 0, or for unsigned ones the middle)")
    y_dtype: str | None = option("data", "Y_DTYPE", formats.data_type, None, "TYPE",
        "integers of the output (default: DTYPE)")
    y_scale: float | str | None = option("data", "Y_SCALE", formats.scale, None, "STEP|auto",
        "real value of an output's step; auto: the least that holds what the float block gives on INPUT, or without it "
        "on any frames (default: that of WEIGHTS, else the input's, twice that for RESIDUAL=1)")
    y_zero_point: int | None = option("data", "Y_ZERO_POINT", formats.integer(-1 << 15, (1 << 16) - 1), None, "Q",
        "integer of the output that stands for 0.0 (default: that of WEIGHTS, else what fits with Y_SCALE=auto, else "
        "the input's)")
    frames: int | None = option("data", "FRAMES", formats.integer(1, 1 << 20), None, "N",
        "frames, back to back (default: INPUT's, else 2)")
    seed: int = option("data", "SEED", formats.integer(0, (1 << 32) - 1), 1, "N",
        "of random weights, data and pauses")


@dataclasses.dataclass(frozen=True, kw_only=True)
class StallOptions:
    """Pauses of a simulation."""

    stall: float = option("run", "STALL", formats.number(0, 1, exclusive=True), 0.0, "P",
        "probability that either side pauses in a cycle, from 0 to under 1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """Many tasks at a time."""

    jobs: int | None = option("batch", "JOBS", formats.integer(1, 1024), None, "N",
        "tasks at a time (default: one for each core)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """The folder of results."""

    out: str | None = option("output", "OUT", formats.file_name, None, "FOLDER",
        "where results go (default: build/ and a name that tells the command and what it is given)")

    @property
    def folder(self) -> str:
        """``out``, or the folder that the command takes without it."""
        return self.out or os.path.join("build", self._default_name())

    def _default_name(self) -> str:
        """The command's name, which the class has, too: SimOptions are those of `sim`."""
        return type(self).__name__.removesuffix("Options").lower()


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockOptions(TilingOptions, ShapeOptions, FormatOptions, StyleOptions, FunctionOptions, DataOptions,
                   StallOptions, OutputOptions):
    """All that makes and runs one block: what :func:`tiled_se.gen.block_spec.prepare` takes.

    `sim`, `verilog` and `synth` take the same options, so that the same options always make the same hardware.
    """

    hardware: str | None = option("hardware", "HARDWARE", formats.file_name, None, "FILE",
        "manifest.json of a loadable block, for which another parameter stream is made: its number formats are kept")
    registers: str = option("hardware", "REGISTERS", formats.choice("none", "axi-lite"), "none", "NAME",
        "registers for status, errors, reset and parameters: none, or axi-lite, which adds an AXI4-Lite port in the "
        "place of w_axis and writes their map", extra="registers")
    sim: str = option("run", "SIM", formats.choice("verilator", "icarus"), "verilator", "NAME",
        "simulator: verilator or icarus")
    waves: bool = option("run", "WAVES", formats.boolean, False, "0|1", "1: write waveforms")
    target: Target = option("synthesis", "TARGET", formats.member(Target), Target.ECP5, "NAME",
        "FPGA family: ecp5, ice40 or xilinx")
    seeds: tuple[int, ...] = option("synthesis", "SEEDS", formats.integers(1, (1 << 31) - 1, 100), (1, 2, 3),
        "N,N,...", "of place and route, one run each")
    name: str = option("output", "NAME", formats.identifier, "tiled_se", "NAME", "top module and file")

    def _default_name(self) -> str:
        """The command and what was given of the shape, so that different blocks don't land in one folder."""
        files = [stem(path, ".npz") for path in (self.weights, self.input) if path]
        shape = {"k": self.k, "h": self.height, "w": self.width, "c": self.channels, "cr": self.squeeze}
        sizes = [f"{letter}{size}" for letter, size in shape.items() if size is not None]
        tiling = {"context": "", "tile_width": "tw", "prior_rows": "p", "max_rows": "max", "window": "", "order": ""}
        sizes += [letter + text_of(getattr(self, name), "-") for name, letter in tiling.items()
                  if getattr(self, name) != options_of(BlockOptions)[name].default]
        return "_".join([super()._default_name(), *files, *sizes])


class SimOptions(BlockOptions):
    """Options of ``tiled-se sim``."""


class VerilogOptions(BlockOptions):
    """Options of ``tiled-se verilog``."""


class SynthOptions(BlockOptions):
    """Options of ``tiled-se synth``."""

    def _default_name(self) -> str:
        return super()._default_name().replace("synth", f"synth_{self.target}", 1)


def block_options(options: Any, **more: Any) -> BlockOptions:
    """The options of a block among those of another command that are not None, and `more`."""
    return BlockOptions(**{name: getattr(options, name) for name in options_of(BlockOptions)
                           if getattr(options, name, None) is not None} | more)


def describe(error: ConfigError, group: type = BlockOptions) -> str:
    """A ConfigError as one line: Make variable, value, the option's name and what is allowed.

    `group` is the dataclass of the command's options. Names that are not in it are looked up among a block's options.
    """
    value = shortened(int(error.value) if isinstance(error.value, bool) else error.value)
    about = options_of(group).get(error.option) or options_of(BlockOptions).get(error.option)
    if about is None:
        return f"{error.option}={value}: {error.allowed}"
    return f"{about.variable}={value} ({flag(error.option)}): {error.allowed}"
