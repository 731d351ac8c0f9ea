# SPDX-License-Identifier: Apache-2.0
"""Verilog of a block, with its ports, memories and taps."""

import dataclasses
import importlib.metadata
import re
from collections.abc import Sequence
from typing import Any

from ..hdl.axi_lite import axi_lite_members
from ..hdl.config import Config, DataType, Order
from ..hdl.parameters import Parameters
from ..hdl.registered import PREFIX, RegisteredTiledSE
from ..hdl.technology import Technology
from ..hdl.tiled_se import TiledSE
from .block_files import OURS
from .inventory import ROLES, Memory, memories
from .netlist import convert
from .wording import sizes, tiling, types

__all__ = ["Design", "Port", "generate", "packing", "release", "taps"]

MEANINGS = {
    "clk": "clock, rising edge",
    "rst": "synchronous reset, active high, one cycle or more; leaves the block empty, a loadable one unloaded",
    "s_axis_tdata": "input beat: {lanes}; channels, then pixels of a row, then rows",
    "s_axis_tlast": "high with a frame's last beat",
    "m_axis_tdata": "output beat: {lanes}; in the order of the input",
    "m_axis_tlast": "high with a frame's last beat",
    "w_axis_tdata": "parameter stream: the words of the generated .params file, as they are",
    "w_axis_tlast": "high with the parameter stream's last word",
    "status_frame_error": "sticky until reset: tlast came off a row's end",
    "status_peak_words": "most beats that the tile buffer has held since reset",
    "status_loaded": "parameters are loaded",
    "status_load_error": "sticky until reset: a parameter stream was refused",
    "busy": "a frame is in the block, or a parameter stream waits or is being loaded",
    "clear_frame_error": "clears status_frame_error; an error in the same cycle stays",
    "clear_load_error": "clears status_load_error; an error in the same cycle stays",
    f"{PREFIX}awaddr": "address of a write: the byte's in the registers' 4 KiB",
    f"{PREFIX}awprot": "ignored",
    f"{PREFIX}wdata": "the register's new value",
    f"{PREFIX}wstrb": "which bytes of it are meant",
    f"{PREFIX}bresp": "OKAY, or SLVERR: there is no such register, or LOAD lacks a byte",
    f"{PREFIX}araddr": "address of a read",
    f"{PREFIX}arprot": "ignored",
    f"{PREFIX}rdata": "the register's value",
    f"{PREFIX}rresp": "OKAY, or SLVERR: there is no such register",
}
BY_COLUMNS = {
    "s_axis_tdata": "input beat: {lanes}; channels, then pixels of a column, then columns",
    "status_frame_error": "sticky until reset: tlast came off a column's end",
}
# Of the other ports, by how their names end.
HANDSHAKE = {"tvalid": "the beat is valid", "tready": "it is taken"} | {
    f"{channel}{name}": meaning for channel in ("aw", "w", "b", "ar", "r")
    for name, meaning in (("valid", "the channel's signals are valid"), ("ready", "they are taken"))}
STREAM = ("tdata", "tvalid", "tready", "tlast")
# Signals of an interface, by how its name ends: AXI4-Stream and AXI4-Lite.
SIGNALS = {"axis": STREAM, "axil": tuple(axi_lite_members())}
PORT_ORDER = ("clk", "rst", "s_axis", "m_axis", "w_axis", PREFIX, "status", "busy", "clear")


@dataclasses.dataclass(frozen=True)
class Port:
    """A top-level port: name, "input" or "output", bits, what it carries."""

    name: str
    direction: str
    width: int
    meaning: str

    @property
    def interface(self) -> str | None:
        """The AXI4-Stream or AXI4-Lite that the port belongs to, such as "s_axis"; None if it belongs to none."""
        name, _, signal = self.name.rpartition("_")
        role, _, kind = name.rpartition("_")
        return name if role and signal in SIGNALS.get(kind, ()) else None

    @property
    def signal(self) -> str:
        """What the port is in its interface, such as "tdata"; the whole name of a port outside of interfaces."""
        return self.name.rpartition("_")[2] if self.interface else self.name


@dataclasses.dataclass(frozen=True)
class Design:
    """A generated block. ``taps`` are in the form of :mod:`tiled_se.cosim.taps`."""

    top: str
    config: Config
    verilog: str
    ports: tuple[Port, ...]
    memories: tuple[Memory, ...]
    taps: tuple[dict[str, Any], ...]

    @property
    def sram(self) -> dict[str, Any]:
        """``ROLE_bits`` of the memories of each role, ``total_without_weights_bits``, and that total over two others.

        ``over_bound`` is it over ``bound_bits``, the data that must wait (X_BITS * k * W * C for strips), or None if
        that is 0; ``over_tse7`` is it over ``tse7_bits``, seven rows of data.
        """
        bound, seven = self.config.bound_bits, self.config.tse7_bits
        bits = {f"{role}_bits": sum(m.bits for m in self.memories if m.role == role) for role in (*ROLES, "other")}
        total = sum(bits.values()) - bits["weight_bits"]
        return {"bound_bits": bound, "tse7_bits": seven, **bits, "total_without_weights_bits": total,
                "over_bound": total / bound if bound else None, "over_tse7": total / seven}


def taps(config: Config, verilog: str, module: str) -> tuple[dict[str, Any], ...]:
    """The stages' taps in `module` of the text `verilog`, in the form of :mod:`tiled_se.cosim.taps`."""
    # The prior is added after the sums, which are then not those of the golden model.
    sums = () if config.prior_rows else (("sums", True, config.lanes, 1),)
    stages = (
        *sums,
        # Means are computed again for each pass.
        ("means", True, 1, config.passes[0]),
        ("hidden", config.mid.signed, 1, 1),
        ("logits", True, 1, 1),
        ("gates", False, 1, 1),
    )
    # An index that can only be 0 has no bits and thus no signal.
    return tuple({"stage": stage, "module_path": module, "valid": f"tap_{stage}_valid",
                  "index": f"tap_{stage}_index" if f"tap_{stage}_index" in verilog else None,
                  "data": f"tap_{stage}_data", "signed": signed, "lanes": lanes, "repeats": repeats}
                 for stage, signed, lanes, repeats in stages)


def packing(data: DataType, lanes: int) -> str:
    """How the integers of a beat lie in its tdata."""
    used, bits = data.bits * lanes, 8 * data.beat_bytes(lanes)
    others = ", the others above it without gaps" if lanes > 1 else ""
    padding = f", padding in bits {bits - 1}:{used}" if bits > used else ""
    return f"{data}, lane 0 in bits {data.bits - 1}:0{others}{padding}"


def _place(port: str) -> tuple[int, int]:
    """The place of a port: clock, reset, then interface by interface."""
    signal = port.rpartition("_")[2]
    return (next(i for i, prefix in enumerate(PORT_ORDER) if port.startswith(prefix)),
            STREAM.index(signal) if signal in STREAM else 0)


def _header(config: Config, name: str, stored: Sequence[Memory], registers: bool = False) -> str:
    """A comment that describes the block and its memories; the same options always give the same text."""
    zero = "" if config.loadable else f", zero point {config.zero_point}"
    if config.requantised and not config.loadable:
        zero += f", that of the outputs {config.outputs_zero_point}"
    kind = f"loadable through {'registers' if registers else 'w_axis'}" if config.loadable else "parameters baked in"
    kind += f", registers at {PREFIX}*" if registers else ""
    form = f"{config.mid.value}, {config.gate}{', residual' if config.residual else ''}"
    about = [f"{' '.join(filter(None, (sizes(config), tiling(config))))}, {form}, {types(config)}{zero}, {kind}", "",
             "Memories, by instance (those of kind ram are instances of the leaf at the end of this file):"]
    about += [f"  {memory.path}: {memory.role}, {memory.depth} words of {memory.width} bits, "
              f"{' '.join(filter(None, (memory.style, memory.kind)))}" for memory in stored]
    about += ["", "FILE:LINE at the end of a line is where it comes from, in tiled-se's folder hdl."]
    return f"{OURS.format(name=name)}\n" + "".join(f"// {line}".rstrip() + "\n" for line in about) + "\n"


def release() -> tuple[int, int, int]:
    """Major, minor and patch number of tiled-se, as the registers have them."""
    major, minor, patch, *_ = [*map(int, re.findall(r"\d+", importlib.metadata.version("tiled-se"))), 0, 0]
    return major, minor, patch


def generate(config: Config, parameters: Parameters | None = None, name: str = "tiled_se",
             technology: type[Technology] = Technology, registers: bool = False,
             ram_style: Sequence[tuple[str, str]] = (), dsp_style: str | None = None, clears: bool = False) -> Design:
    """Generate a block's Verilog, with top module `name`.

    `parameters` are baked in; None for a loadable block. `technology` may be a subclass that builds memories and
    multipliers of a technology's primitives: those memories are then no longer among the design's ``memories``. With
    `registers` the top is a :class:`~tiled_se.hdl.registered.RegisteredTiledSE`, in which the block is ``block``.
    `ram_style` has pairs of a role of memories (``inventory.ROLES`` and "other") and of what synthesis shall make them,
    one of RAM_STYLES. `dsp_style`, one of DSP_STYLES, is the same for multipliers. With `clears` the block has the
    ports ``busy`` and ``clear_*``, for registers outside of it.
    """
    block = RegisteredTiledSE(config, parameters, release()) if registers else TiledSE(config, parameters, clears)
    inside = "block" if registers else ""
    meanings = MEANINGS | (BY_COLUMNS if config.order is Order.COLUMNS else {})
    meanings = meanings | {f"{name}_tdata": meanings[f"{name}_tdata"].format(lanes=packing(data, config.lanes))
                           for name, data in (("s_axis", config.data), ("m_axis", config.outputs))}
    if registers or clears:
        until = "sticky until cleared" + (" by STATUS" if registers else "")
        meanings = {port: meaning.replace("sticky until reset", until)
                    for port, meaning in meanings.items()}
    about = {port: meanings.get(port) or HANDSHAKE[port.rpartition("_")[2]]
             for port in sorted(("clk", "rst", *block.signature.members), key=_place)}
    verilog, netlist = convert(block, technology(name), about, dict(ram_style), dsp_style)
    stored = memories(netlist, name, inside)
    ports = [Port(port, entry["direction"], len(entry["bits"]), about[port])
             for port, entry in netlist[name]["ports"].items()]
    verilog = _header(config, name, stored, registers) + verilog
    return Design(name, config, verilog, tuple(ports), stored,
                  taps(config, verilog, ".".join(filter(None, (name, inside, "excite")))))
