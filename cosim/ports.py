# SPDX-License-Identifier: Apache-2.0
"""Finds the ports of a module in Verilog text that a test bench needs."""

import re

from .tools import BuildError

__all__ = ["INSTANCE", "MOST_STATUS_PORTS", "input_bits", "module_ports", "signal_bits", "status_ports"]

# The block's name in cpp/bench.sv.
INSTANCE = "cosim_dut"
# As in cpp/transactor.cpp, and their bits as in cpp/bench.sv.
MOST_STATUS_PORTS, _MOST_STATUS_BITS = 8, 32
_PARAMETER_BITS = 32

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_PORT = re.compile(r"\b(?:input|output)\b(?:\s+(?:wire|reg|logic|bit|signed))*\s*(?:\[\s*(\d+)\s*:\s*0\s*\])?\s*"
                   r"((?:clk|rst|status_\w+|[smw]_axis_t\w+)\b)")
_NEEDED = ("clk", "rst", *(f"{stream}_axis_t{name}" for stream in "sm" for name in ("data", "valid", "ready", "last")))


def module_ports(verilog_text, top):
    """Bits of each port of module `top`, by name: clock, reset, streams and status only.

    Raises BuildError if there is no such module, a port is missing, or the test benches do not support its width.
    """
    ports = {name: int(high or 0) + 1 for high, name in _PORT.findall(_body(verilog_text, top))}
    for name in _NEEDED:
        if name not in ports:
            raise BuildError(f"module {top} has no port {name}")
    _check_widths(top, ports)
    return ports


def input_bits(verilog_text, top, name):
    """Bits of input `name` of module `top`, which is none of the above; raises BuildError if there is none."""
    return _bits(verilog_text, top, "input", r"\binput\b(?:\s+(?:wire|logic))*", name, r"\b")


def signal_bits(verilog_text, module, name):
    """Bits of wire or register `name` of `module`; raises BuildError if there is none."""
    return _bits(verilog_text, module, "signal", r"\b(?:wire|reg|logic)\b(?:\s+signed)?", name, r"\s*[;=,)]")


def _bits(verilog_text, module, kind, before, name, after):
    match = re.search(rf"{before}\s*(?:\[\s*(\d+)\s*:\s*0\s*\])?\s*{re.escape(name)}{after}",
                      _body(verilog_text, module))
    if match is None:
        raise BuildError(f"module {module} has no {kind} {name}")
    return int(match[1] or 0) + 1


def _body(verilog_text, top):
    module = re.search(rf"\bmodule\s+\\?{re.escape(top)}(?=[\s(;#])(.*?)\bendmodule\b",
                       _COMMENT.sub(" ", verilog_text), re.DOTALL)
    if module is None:
        raise BuildError(f"the Verilog has no module {top}")
    return module[1]


def _check_widths(top, ports):
    status = status_ports(ports)
    for name in ("s_axis_tdata", "m_axis_tdata"):
        if ports[name] % 8:
            raise BuildError(f"module {top}: {name} has {ports[name]} bits; must have a multiple of 8")
    if ports.get("w_axis_tdata", _PARAMETER_BITS) != _PARAMETER_BITS:
        raise BuildError(f"module {top}: w_axis_tdata has {ports['w_axis_tdata']} bits; must have {_PARAMETER_BITS}")
    if len(status) > MOST_STATUS_PORTS:
        raise BuildError(f"module {top} has {len(status)} status ports; must have at most {MOST_STATUS_PORTS}")
    for name in status:
        if ports[name] > _MOST_STATUS_BITS:
            raise BuildError(f"module {top}: {name} has {ports[name]} bits; must have at most {_MOST_STATUS_BITS}")


def status_ports(ports):
    """The names of the status ports among `ports`."""
    return [name for name in ports if name.startswith("status_")]
