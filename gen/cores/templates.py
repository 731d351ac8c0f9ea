# SPDX-License-Identifier: Apache-2.0
"""How a block is instantiated: in Verilog, and in SystemVerilog with its interfaces."""

import dataclasses

from ..verilog import Port
from .core import Core, Interface

__all__ = ["LITE", "STREAM", "declared", "instance", "interface_wrapper", "verilog_instance"]

# The interfaces of a stream and of AXI4-Lite; blocks share them.
STREAM, LITE = "tiled_se_stream", "tiled_se_axi_lite"
STREAM_TEXT = """\
`ifndef TILED_SE_STREAM
`define TILED_SE_STREAM
// An AXI4-Stream without its optional signals. Beats move in cycles in which tvalid and tready are high.
interface tiled_se_stream #(parameter int BYTES = 1);
  logic [8*BYTES-1:0] tdata;
  logic tvalid;
  logic tready;
  logic tlast;
  modport source(output tdata, output tvalid, input tready, output tlast);
  modport sink(input tdata, input tvalid, output tready, input tlast);
endinterface
`endif
"""
LITE_TEXT = """\
`ifndef TILED_SE_AXI_LITE
`define TILED_SE_AXI_LITE
// An AXI4-Lite. A transfer of a channel takes place in cycles in which its valid and ready are high.
interface tiled_se_axi_lite;
{signals}
  modport manager(
    {manager});
  modport subordinate(
    {subordinate});
endinterface
`endif
"""


def declared(port: Port, kind: str = "") -> str:
    """The port or a signal of its name and width in Verilog, without a comma or semicolon."""
    bits = "" if port.width == 1 else f"[{port.width - 1}:0]"
    return " ".join(filter(None, (kind or port.direction, bits, port.name)))


def listed(items: list[tuple[str, str]], indent: str = "  ", comment: str = "//", comma: str = ",") -> str:
    """Lines of texts, with commas between them and a comment each."""
    texts = [text + (comma if index < len(items) - 1 else "") for index, (text, _) in enumerate(items)]
    width = max(map(len, texts))
    return "\n".join(f"{indent}{text.ljust(width)}  {comment} {meaning}" if meaning else indent + text
                     for text, (_, meaning) in zip(texts, items, strict=True))


def instance(core: Core, name: str, connections: dict[str, str] | None = None) -> str:
    """The block as the instance `name`, its ports connected to signals of the same names, or to `connections`."""
    connected = [(f".{port.name}({(connections or {}).get(port.name, port.name)})", "") for port in core.ports]
    return f"  {core.name} {name} (\n{listed(connected, '    ')}\n  );\n"


def verilog_instance(core: Core) -> str:
    """NAME_inst.v: a module that contains the block and nothing else, to copy the instance from."""
    ports = listed([(declared(port, f"{port.direction} wire"), port.meaning) for port in core.ports])
    return (core.head("_inst.v", "//", "how the block is instantiated; copy the instance from here")
            + f"module {core.name}_inst (\n{ports}\n);\n{instance(core, 'block')}endmodule\n")


def interface_wrapper(core: Core) -> str:
    """NAME_if.sv: the interfaces, and the block with its streams and its AXI4-Lite as such interfaces."""
    others = [port for port in core.ports if port.interface is None]
    ports = [(declared(port, f"{port.direction} logic"), port.meaning) for port in others if port not in core.status]
    ports += [(f"{STREAM}.{'sink' if one.incoming else 'source'} {one.name}", one["tdata"].meaning)
              if one.is_stream else (f"{LITE}.subordinate {one.name}", "the registers") for one in core.interfaces]
    ports += [(declared(port, "output logic"), port.meaning) for port in core.status]
    connections = {port.name: f"{one.name}.{port.signal}" for one in core.interfaces for port in one.ports}
    lite = "".join(_lite_interface(one) for one in core.interfaces if not one.is_stream)
    return (core.head("_if.sv", "//", "the block with SystemVerilog interfaces") + STREAM_TEXT + lite
            + f"\nmodule {core.name}_if (\n{listed(ports)}\n);\n"
            + "".join(map(_width_check, core.streams)) + instance(core, "block", connections) + "endmodule\n")


def _lite_interface(lite: Interface) -> str:
    """The interface with the signals of a block's AXI4-Lite, which is a subordinate."""
    other = {"input": "output", "output": "input"}
    signals = [(port.direction, port.signal, dataclasses.replace(port, name=port.signal)) for port in lite.ports]
    return LITE_TEXT.format(
        signals="\n".join(f"  {declared(port, 'logic')};" for _, _, port in signals),
        manager=",\n    ".join(f"{other[direction]} {signal}" for direction, signal, _ in signals),
        subordinate=",\n    ".join(f"{direction} {signal}" for direction, signal, _ in signals))


def _width_check(interface: Interface) -> str:
    """An interface of another width is an error when the design is elaborated."""
    return (f"  if ($bits({interface.name}.tdata) != {interface.bits}) begin : check_{interface.name}\n"
            f"    $error(\"{interface.name}: BYTES must be {interface.bits // 8}\");\n  end\n")
