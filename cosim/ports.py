# SPDX-License-Identifier: Apache-2.0
"""The ports of a module in Verilog text, of those that a bench has to know."""

import re

from .tools import BuildError

__all__ = ["module_ports", "status_ports"]

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_PORT = re.compile(r"\b(?:input|output)\b(?:\s+(?:wire|reg|logic|bit|signed))*\s*(?:\[\s*(\d+)\s*:\s*0\s*\])?\s*"
                   r"((?:clk|rst|status_\w+|[smw]_axis_t\w+)\b)")
_NEEDED = ("clk", "rst", *(f"{stream}_axis_t{name}" for stream in "sm" for name in ("data", "valid", "ready", "last")))


def module_ports(verilog_text, top):
    """Bits of each port of module `top`, by name; only those named as DESIGN names them.

    Raises
    ------
    BuildError
        There is no such module, or it lacks a port.
    """
    module = re.search(rf"\bmodule\s+\\?{re.escape(top)}(?=[\s(;#])(.*?)\bendmodule\b",
                       _COMMENT.sub(" ", verilog_text), re.DOTALL)
    if module is None:
        raise BuildError(f"the Verilog has no module {top}")
    ports = {name: int(high or 0) + 1 for high, name in _PORT.findall(module[1])}
    for name in _NEEDED:
        if name not in ports:
            raise BuildError(f"module {top} has no port {name}")
    return ports


def status_ports(ports):
    """The names of the status ports among `ports`."""
    return [name for name in ports if name.startswith("status_")]
