# SPDX-License-Identifier: Apache-2.0
"""What all files around a block's Verilog say of it, in one object: names, ports, interfaces, registers, parameters."""

import dataclasses
import importlib.metadata

from ...hdl.config import Config, Context, Order
from ..block_files import MARK
from ..block_spec import BlockSpec
from ..registers.documents import map_values
from ..registers.register_map import Register, register_map
from ..verilog import Design, Port, release

__all__ = ["CLOCK_MHZ", "LIBRARY", "REGISTER_BLOCK", "VENDOR", "Core", "Interface", "core_of", "lite_parameters"]

VENDOR, LIBRARY = "tiled-se", "blocks"
# The address block of a block's registers.
REGISTER_BLOCK = "registers"
# The clock of the constraints.
CLOCK_MHZ = 100


@dataclasses.dataclass(frozen=True)
class Interface:
    """An AXI4-Stream of a block, or the AXI4-Lite of its registers: its name and its ports."""

    name: str
    ports: tuple[Port, ...]

    @property
    def is_stream(self) -> bool:
        """Whether it is an AXI4-Stream."""
        return self.name.endswith("_axis")

    @property
    def bits(self) -> int:
        """Bits of its data, a multiple of 8."""
        return self["tdata" if self.is_stream else "wdata"].width

    @property
    def incoming(self) -> bool:
        """Whether the block receives the stream; the block answers on its AXI4-Lite, which is then incoming."""
        return self["tvalid" if self.is_stream else "awvalid"].direction == "input"

    def __getitem__(self, signal: str) -> Port:
        return next(port for port in self.ports if port.signal == signal)


@dataclasses.dataclass(frozen=True)
class Core:
    """A block as other tools see it.

    ``summary`` is a line of text, ``ports`` are the netlist's, ``parameters`` what it was made with, by variable of
    make. ``registers`` are those behind its AXI4-Lite; a block without one has none. ``bench`` tells whether there is a
    bench with vectors.
    """

    name: str
    summary: str
    ports: tuple[Port, ...]
    parameters: dict[str, int | str]
    registers: tuple[Register, ...]
    bench: bool

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        """Its streams and its AXI4-Lite, in the order of the ports."""
        names = dict.fromkeys(port.interface for port in self.ports if port.interface)
        return tuple(Interface(name, tuple(p for p in self.ports if p.interface == name)) for name in names)

    @property
    def streams(self) -> tuple[Interface, ...]:
        """Its streams alone."""
        return tuple(one for one in self.interfaces if one.is_stream)

    @property
    def status(self) -> tuple[Port, ...]:
        """Its status outputs."""
        return tuple(port for port in self.ports if port.name.startswith("status_"))

    @property
    def loadable(self) -> bool:
        """Whether its parameters are loaded, through a stream or through registers."""
        return bool(self.parameters["LOADABLE"])

    @property
    def version(self) -> str:
        """That of tiled-se."""
        return importlib.metadata.version("tiled-se")

    @property
    def short_version(self) -> str:
        """Major and minor number: Vivado takes no others."""
        return ".".join(self.version.split(".")[:2])

    def head(self, ending: str, comment: str, what: str) -> str:
        """The first lines of a file: its name, what it is, where it comes from."""
        return f"{comment} {self.name}{ending}: {what}\n{comment} {self.summary}; {MARK}. Do not edit.\n"


def lite_parameters(interface: Interface) -> dict[str, int | str]:
    """What Vivado calls the properties of the AXI4-Lite."""
    return {"PROTOCOL": "AXI4LITE", "READ_WRITE_MODE": "READ_WRITE", "DATA_WIDTH": interface.bits,
            "ADDR_WIDTH": interface["awaddr"].width, "ID_WIDTH": 0, "HAS_BURST": 0, "HAS_LOCK": 0, "HAS_CACHE": 0,
            "HAS_PROT": 1, "HAS_QOS": 0, "HAS_REGION": 0, "HAS_WSTRB": 1, "HAS_BRESP": 1, "HAS_RRESP": 1}


def core_of(spec: BlockSpec, design: Design, bench: bool) -> Core:
    """The :class:`Core` of a generated block."""
    config = spec.config
    where = f"{config.line_name}={config.width} C={config.channels}"
    k = "" if config.window is not None else f"K={config.k} "
    registers = register_map(design.top, map_values(config, release())) if spec.registers else ()
    summary = f"tiled squeeze-and-excite, {k}{where}"
    return Core(design.top, summary, design.ports, _parameters(config), registers, bench)


def _parameters(config: Config) -> dict[str, int | str]:
    """What decides the hardware, by variable of make; what does not apply is left out."""
    values: dict[str, int | str] = {} if config.window is not None else {"K": config.k}
    values |= {config.line_name: config.width, "C": config.channels, "CR": config.squeeze, "LANES": config.lanes,
               "MACS": config.macs, "DTYPE": str(config.data), "Y_DTYPE": str(config.outputs),
               "WEIGHT_BITS": config.weight_bits, "MID": config.mid.value, "GATE": str(config.gate),
               "RESIDUAL": int(config.residual), "LOADABLE": int(config.loadable), "CONTEXT": config.context.value}
    if config.context is Context.TILE:
        values["TILE_W"] = config.columns
    if config.context.running:
        values |= {"PRIOR": config.prior_rows, "MAX_ROWS": config.max_rows}
    if config.window is not None:
        values["WINDOW"] = ":".join(map(str, config.window))
    return values | {"ORDER": Order(config.order).value}
