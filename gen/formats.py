# SPDX-License-Identifier: Apache-2.0
"""Formats of option values: functions from a text to a value; a ValueError's text says what is allowed."""

import enum
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..hdl.config import ConfigError, DataType, Gate, GateKind, Mid

__all__ = ["AUTO", "INPUT", "address", "auto", "boolean", "choice", "data_type", "data_types", "file_name", "gate",
           "identifier", "integer", "integers", "member", "middle", "names", "number", "numbers",
           "pairs", "scale", "window"]

Value = TypeVar("Value")

# Names that other frameworks use for the same functions.
MID_ALIASES = {"swish": "silu", "none": "identity"}
MIDS = ", ".join(mid.value for mid in Mid)
GATE_NAMES = [kind.value for kind in GateKind]
GATES = f"{', '.join(GATE_NAMES)} or hardsigmoid:SLOPE,OFFSET"
# A value that asks for what fits.
AUTO = "auto"
# Stands for the input's type with the input's scale.
INPUT = "input"
DECIMAL = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"

# Reserved words of Verilog and SystemVerilog.
KEYWORDS = frozenset("""
    accept_on alias always always_comb always_ff always_latch and assert assign assume automatic before begin bind
    bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle checker class clocking cmos config
    const constraint context continue cover covergroup coverpoint cross deassign default defparam design disable
    dist do edge else end endcase endchecker endclass endclocking endconfig endfunction endgenerate endgroup
    endinterface endmodule endpackage endprimitive endprogram endproperty endsequence endspecify endtable endtask
    enum event eventually expect export extends extern final first_match for force foreach forever fork forkjoin
    function generate genvar global highz0 highz1 if iff ifnone ignore_bins illegal_bins implements implies import
    incdir include initial inout input inside instance int integer interconnect interface intersect join join_any
    join_none large let liblist library local localparam logic longint macromodule matches medium modport module
    nand negedge nettype new nexttime nmos nor noshowcancelled not notif0 notif1 null or output package packed
    parameter pmos posedge primitive priority program property protected pull0 pull1 pulldown pullup
    pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase randsequence rcmos real realtime ref reg
    reject_on release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1 s_always s_eventually s_nexttime
    s_until s_until_with scalared sequence shortint shortreal showcancelled signed small soft solve specify
    specparam static string strong strong0 strong1 struct super supply0 supply1 sync_accept_on sync_reject_on table
    tagged task this throughout time timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior trireg
    type typedef union unique unique0 unsigned until until_with untyped use uwire var vectored virtual void wait
    wait_order wand weak weak0 weak1 while wildcard wire with within wor xnor xor
""".split())


def integer(low: int, high: int) -> Callable[[str], int]:
    """A decimal integer from `low` to `high`."""
    allowed = f"must be an integer from {low} to {high}"

    def convert(text: str) -> int:
        # int() would also take underscores, spaces and other alphabets' digits, and stops at 4,300 digits.
        if not re.fullmatch(r"[+-]?[0-9]{1,20}", text) or not low <= int(text) <= high:
            raise ValueError(allowed)
        return int(text)

    return convert


def integers(low: int, high: int, most: int) -> Callable[[str], tuple[int, ...]]:
    """One to `most` different decimal integers from `low` to `high`, with commas between; a tuple."""
    return _several(integer(low, high), most, True,
                    f"must be different integers from {low} to {high} with commas between, {most} at most")


def number(low: float, high: float, exclusive: bool = False) -> Callable[[str], float]:
    """A finite decimal number from `low` to `high`, which itself is not allowed where `exclusive`."""
    allowed = f"must be a number from {low} to {'less than ' if exclusive else ''}{high}"

    def convert(text: str) -> float:
        if not re.fullmatch(DECIMAL, text):
            raise ValueError(allowed)
        value = float(text)
        if not low <= value <= high or (exclusive and value == high):
            raise ValueError(allowed)
        return value

    return convert


def numbers(low: float, high: float, most: int) -> Callable[[str], tuple[float, ...]]:
    """One to `most` numbers from `low` to `high`, with commas between; a tuple."""
    return _several(number(low, high), most, False,
                    f"must be 1 to {most} numbers from {low:g} to {high:g} with commas between")


def _several(convert_one: Callable[[str], Value], most: int, different: bool,
             allowed: str) -> Callable[[str], tuple[Value, ...]]:
    """At most `most` of what `convert_one` takes, with commas between; `allowed` is what errors say."""

    def convert(text: str) -> tuple[Value, ...]:
        parts = text.split(",")
        try:
            values = tuple(convert_one(part) for part in parts[:most])
        except ValueError:
            raise ValueError(allowed) from None
        if len(parts) > most or different and len(set(values)) != len(values):
            raise ValueError(allowed)
        return values

    return convert


def window(text: str) -> tuple[int, int]:
    """``FIRST:COUNT``: the first row and the number of rows."""
    match = re.fullmatch(r"([0-9]{1,6}):([0-9]{1,6})", text)
    if not match or int(match[1]) > 1 << 16 or not 1 <= int(match[2]) <= 1 << 16:
        raise ValueError("must be FIRST:COUNT, a first row from 0 and a number of rows from 1, each 65536 at most")
    return int(match[1]), int(match[2])


def names(text: str) -> tuple[str, ...]:
    """Names with commas between, each once; a tuple."""
    return tuple(dict.fromkeys(filter(None, text.split(","))))


def pairs(names: Sequence[str], values: Sequence[str]) -> Callable[[str], tuple[tuple[str, str], ...]]:
    """``NAME=VALUE`` pairs with commas between, each name once; a tuple of pairs."""
    allowed = (f"must be NAME=VALUE with commas between, each name once, NAME of {', '.join(names)}, VALUE of "
               f"{', '.join(values)}")

    def convert(text: str) -> tuple[tuple[str, str], ...]:
        found = [part.partition("=")[::2] for part in text.split(",")]
        if len(dict(found)) != len(found) or any(name not in names or value not in values for name, value in found):
            raise ValueError(allowed)
        return tuple(found)

    return convert


def auto(convert: Callable[[str], Value]) -> Callable[[str], Value | None]:
    """What `convert` takes, or `auto`, which gives None."""

    def convert_or_auto(text: str) -> Value | None:
        if text == AUTO:
            return None
        try:
            return convert(text)
        except ValueError as error:
            raise ValueError(f"{error}, or auto") from None

    return convert_or_auto


def scale(text: str) -> float | str:
    """A positive number, or AUTO."""
    if text == AUTO:
        return AUTO
    value = float(text) if re.fullmatch(DECIMAL, text) else 0.0
    if not 0 < value < math.inf:
        raise ValueError("must be a positive number, or auto")
    return value


def data_type(text: str) -> str:
    """The name of a :class:`DataType`."""
    try:
        return str(DataType.parse(text))
    except ConfigError as error:
        raise ValueError(error.allowed) from None


def data_types(text: str) -> tuple[str, ...]:
    """One to eight names of different :class:`DataType`, or INPUT among them, with commas between; a tuple."""
    return _several(lambda name: name if name == INPUT else data_type(name), 8, True, "must be different types from "
                    "int2 to int16 or uint2 to uint16, or input, with commas between, 8 at most")(text)


def boolean(text: str) -> bool:
    """1 or 0; yes, true, on and their opposites are taken, too."""
    if text.lower() in ("1", "yes", "true", "on"):
        return True
    if text.lower() in ("0", "no", "false", "off"):
        return False
    raise ValueError("must be 0 or 1")


def choice(*allowed: str) -> Callable[[str], str]:
    """One of `allowed`."""

    def convert(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"must be {', '.join(allowed[:-1])} or {allowed[-1]}")
        return text

    return convert


def member(kind: type[enum.Enum]) -> Callable[[str], Any]:
    """A member of the Enum `kind`, by its value."""
    convert = choice(*(item.value for item in kind))
    return lambda text: kind(convert(text))


def middle(text: str) -> Mid:
    """A :class:`Mid`, or another framework's name for one."""
    try:
        return Mid(MID_ALIASES.get(text, text))
    except ValueError:
        raise ValueError(f"must be one of {MIDS}") from None


def gate(text: str) -> Gate:
    """A :class:`Gate`: the name of its kind, or ``hardsigmoid:SLOPE,OFFSET``."""
    if text in GATE_NAMES:
        return Gate(GateKind(text))
    match = re.fullmatch(r"hardsigmoid:([^,]+),([^,]+)", text)
    if not match:
        raise ValueError(f"must be {GATES}")
    try:
        return Gate(GateKind.HARDSIGMOID, float(match[1]), float(match[2]))
    except ConfigError as error:
        raise ValueError(error.allowed) from None
    except ValueError:
        raise ValueError(f"must be {GATES}, with two numbers") from None


def file_name(text: str) -> str:
    """A path, as it was given."""
    if "\0" in text:
        raise ValueError("must be a path")
    return text


def address(text: str) -> str:
    """Where a scheduler listens: ``tcp://HOST:PORT``."""
    match = re.fullmatch(r"tcp://[A-Za-z0-9._-]+:([0-9]{1,5})|tcp://\[[0-9A-Fa-f:.]+\]:([0-9]{1,5})", text)
    if not match or not 1 <= int(match[1] or match[2]) <= 65535:
        raise ValueError("must be tcp://HOST:PORT, with a port from 1 to 65535")
    return text


def identifier(text: str) -> str:
    """A name that Verilog takes for a module and a file system for a file."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", text) or text in KEYWORDS:
        raise ValueError("must be a Verilog identifier: letters, digits and _, no digit first, no keyword")
    # Simulators want a module and its ports to have different names; TOP is Verilator's own.
    if re.fullmatch(r"clk|rst|TOP|[smw]_axis_t(data|valid|ready|last)|status_\w+", text):
        raise ValueError("must not be TOP or the name of a port")
    return text
