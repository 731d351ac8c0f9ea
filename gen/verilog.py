# SPDX-License-Identifier: Apache-2.0
"""Verilog of a block, and what there is to know about it."""

import dataclasses

from ..hdl.config import Config
from ..hdl.tiled_se import TiledSE
from .inventory import Memory, memories, sram_bits
from .netlist import convert

__all__ = ["Design", "Port", "generate"]

MEANINGS = {
    "clk": "clock, rising edge",
    "rst": "synchronous reset, active high; leaves the block empty (and a loadable one unloaded)",
    "s_axis_tdata": "input beat: lane 0 in the low byte; channels, then pixels of a row, then rows",
    "s_axis_tlast": "high with a frame's last beat",
    "m_axis_tdata": "output beat, in the order of the input",
    "m_axis_tlast": "high with a frame's last beat",
    "w_axis_tdata": "parameter stream: the words of the generated .params file, as they are",
    "w_axis_tlast": "high with the parameter stream's last word",
    "status_frame_error": "sticky until reset: tlast came off a row's end",
    "status_peak_words": "most beats that the tile buffer has held since reset",
    "status_loaded": "parameters are loaded",
    "status_load_error": "sticky until reset: a parameter stream was refused",
}


@dataclasses.dataclass(frozen=True)
class Port:
    """A top-level port: name, "input" or "output", bits, what it carries."""

    name: str
    direction: str
    width: int
    meaning: str


@dataclasses.dataclass(frozen=True)
class Tap:
    """Where a stage's results show in a simulation.

    ``path`` is the instance below the top; ``valid``, ``index`` and ``data`` are signals in it; ``data`` holds
    ``count`` numbers of ``width`` bits each, for indices ``index * count`` and up. An ``index`` that can only be 0 has
    no bits and thus no signal.
    """

    stage: str
    path: str
    valid: str
    index: str
    data: str
    width: int
    signed: bool
    count: int


@dataclasses.dataclass(frozen=True)
class Design:
    """A generated block."""

    top: str
    config: Config
    verilog: str
    ports: tuple
    memories: tuple[Memory, ...]
    taps: tuple

    @property
    def sram(self):
        """Memory bits by role, and over the bound."""
        return sram_bits(self.memories, self.config.bound_bits)


def _meaning(name):
    return MEANINGS.get(name) or {"tvalid": "the beat is valid", "tready": "it is taken"}[name.rsplit("_", 1)[1]]


def _taps(config):
    for stage, width, is_signed, count in (
        ("sums", config.sum_bits, True, config.lanes),
        ("means", config.operand_bits, True, 1),
        ("hidden", config.hidden_bits, config.mid.signed, 1),
        ("logits", config.logit_bits, True, 1),
        ("gates", config.gate_bits, False, 1),
    ):
        yield Tap(stage, "excite", *(f"tap_{stage}_{part}" for part in ("valid", "index", "data")),
                  width, is_signed, count)


def generate(config, parameters=None, name="tiled_se"):
    """Generate a block's Verilog.

    Parameters
    ----------
    config : Config
    parameters : Parameters, optional
        Baked in; None for a loadable block.
    name : str
        Of the top module.

    Returns
    -------
    Design
    """
    verilog, netlist = convert(TiledSE(config, parameters), name)
    ports = [Port(port, about["direction"], len(about["bits"]), _meaning(port))
             for port, about in netlist[name]["ports"].items()]
    order = ("clk", "rst", "s_axis", "m_axis", "w_axis", "status")
    ports.sort(key=lambda p: next(i for i, prefix in enumerate(order) if p.name.startswith(prefix)))
    return Design(name, config, verilog, tuple(ports), memories(netlist, name), tuple(_taps(config)))
