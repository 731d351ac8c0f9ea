# SPDX-License-Identifier: Apache-2.0
"""The Verilog that yosys writes, in the form in which people read it.

Ports are declared in the module's header. Comments say what each module is, what each memory holds, and where in the
generator's source a signal or an expression comes from. Registers get their initial values by `initial`. Signals that
have unread bits are declared in a place of their own, which linters are told of.
"""

import ast
import dataclasses
import functools
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence

from .. import hdl
from ..hdl.styles import RAM_STYLES
from .inventory import HOLDS, STYLE

__all__ = ["UNREAD", "readable"]

# The only pragmas in the text, and what they are for; docs/block.md names them.
ONE_FILE = "// All modules are in this file.\n/* verilator lint_off DECLFILENAME */"
UNREAD = ("// Not all bits of these are read: products whose low bits are rounded off, and what only a test bench "
          "observes.")
ONE_HOT = "// At most one bit of s is set."
_OFF, _ON = "/* verilator lint_off UNUSEDSIGNAL */", "/* verilator lint_on UNUSEDSIGNAL */"

_HDL = pathlib.Path(hdl.__file__).parent
_INLINE = re.compile(r"\(\* (\w+) = (.*?) \*\) ?")
_STYLE = re.compile(rf'\(\* {STYLE} = "(\w+)" \*\)')
_HELD = re.compile(rf'\(\* {HOLDS} = "(.*?)" \*\)')
_INSTANCE = re.compile(r"  (\\\S+ |\w+) (?:#\($| *\S+ \($)")
_CONNECTED = re.compile(r"    \.(\w+)\((.*)\),?$")
# Of the leaves.
_LEAF_OUTPUTS = {"rdata", "p"}
_USED = re.compile(r"(?<![\w.'])([A-Za-z_]\w*)(?:\[(\d+)(?::(\d+))?\])?")
_DECLARED = re.compile(r"  (input|output|wire|reg)( signed)?( \[\d+:\d+\])? (\S+)( \[\d+:\d+\])?( = \S+)?;$")


@dataclasses.dataclass
class _Signal:
    """A declaration: input, output or none; wire or reg; its range, name and initial value; where it comes from."""

    direction: str
    kind: str
    range: str
    name: str
    depth: str
    initial: str
    source: str
    style: str = ""
    unread: bool = False

    @property
    def width(self) -> int:
        return int(self.range[1:].partition(":")[0]) + 1 if self.range else 1

    @property
    def text(self) -> str:
        constant = f"= {self.initial}" if self.initial and self.kind == "wire" else ""
        attributes = RAM_STYLES.get(self.style, "")
        return " ".join(filter(None, (attributes, self.direction, self.kind, self.range, self.name, self.depth,
                                      constant)))

    @property
    def set(self) -> str:
        """The statement that sets the initial value."""
        return f"initial {self.name} = {self.initial};" if self.initial and self.kind == "reg" else ""


def readable(text: str, ports: Mapping[str, str], top: str) -> str:
    """`text`, the modules that yosys has written with attributes; `ports` has the meanings of the top's ports."""
    modules = list(_modules(text))
    outputs = {name: {signal.name for signal in signals.values() if signal.direction == "output"}
               for name, _, _, signals, _ in modules}
    texts = []
    for name, order, source, signals, statements in modules:
        _unread(statements, signals, outputs)
        texts.append("\n".join(_module(name, order, source, signals, statements, ports if name == top else {})))
    return "\n\n".join([texts[0], ONE_FILE, *texts[1:], "/* verilator lint_on DECLFILENAME */"]) + "\n"


def _modules(text: str) -> Iterator[tuple[str, list[str], str, dict[str, _Signal], list[str]]]:
    """Of each module: name, ports in their order, source, signals by name, and the other lines."""
    attributes: list[str] = []
    lines = iter(text.split("\n"))
    for line in lines:
        if line.startswith("(* "):
            attributes.append(line)
        elif line.startswith("module "):
            # A long list of ports may end on a line of its own.
            while not line.endswith(";"):
                line += next(lines)
            name, _, ports = line.removeprefix("module ").removesuffix(");").partition("(")
            name = name.strip()
            yield name, ports.split(", "), _source(attributes), *_declarations([*iter(lines.__next__, "endmodule")])
            attributes = []


def _unread(lines: Sequence[str], signals: Mapping[str, _Signal], outputs: Mapping[str, set[str]]) -> None:
    """Mark the signals of which nothing reads a bit; `outputs` has the output ports of each module."""
    read = {name: [signal.direction == "output"] * signal.width for name, signal in signals.items() if not signal.depth}
    driven: set[str] = set()
    for line in lines:
        if match := _INSTANCE.match(line):
            driven = outputs.get(match[1].strip(), _LEAF_OUTPUTS)
        target, value = _sides(line)
        if (port := _CONNECTED.match(line)) and port[1] in driven:
            target, value = port[2], ""
        # What is assigned to is not read, but its index is.
        indices = " ".join(re.findall(r"\[(.*?)\]", target))
        for name, high, low in _USED.findall(f"{indices} {value.partition('//')[0]}"):
            if name in read:
                bits = read[name]
                first, last = (int(low or high), int(high)) if high else (0, len(bits) - 1)
                bits[first:last + 1] = [True] * (last + 1 - first)
    for name, bits in read.items():
        signals[name].unread = not all(bits)


def _sides(line: str) -> tuple[str, str]:
    """What a line assigns to, and what it reads."""
    for start, operator in (("  assign ", " = "), ("    ", " <= "), ("  initial ", " = ")):
        if line.startswith(start) and operator in line:
            target, _, value = line.removeprefix(start).partition(operator)
            return target, value
    return "", line


def _module(name: str, order: Sequence[str], source: str, signals: dict[str, _Signal], statements: Sequence[str],
            meanings: Mapping[str, str]) -> Iterator[str]:
    if about := _about(source):
        yield f"// {about}  {source}"
    yield f"module {name} ("
    for port in order:
        signal = signals[port]
        comma = "" if port == order[-1] else ","
        comment = meanings.get(port) or signal.source
        line = f"  {signal.text}{comma}{'  // ' + comment if comment else ''}"
        yield from (f"  {_OFF}", line, f"  {_ON}") if signal.unread else (line,)
    yield ");"
    own = [signal for signal in signals.values() if not signal.direction]
    yield from (_declaration(signal) for signal in own if not signal.unread)
    if unread := [_declaration(signal) for signal in own if signal.unread]:
        yield from (f"  {UNREAD}", f"  {_OFF}", *unread, f"  {_ON}")
    yield from (f"  {signals[port].set}" for port in order if signals[port].set)
    yield from statements
    yield "endmodule"


def _declaration(signal: _Signal) -> str:
    return f"  {signal.text};{' ' + signal.set if signal.set else ''}{'  // ' + signal.source if signal.source else ''}"


def _declarations(lines: Sequence[str]) -> tuple[dict[str, _Signal], list[str]]:
    """The signals of a module by name, and its other lines."""
    signals: dict[str, _Signal] = {}
    statements: list[str] = []
    attributes: list[str] = []
    for line in lines:
        match = _DECLARED.match(line)
        if line.lstrip().startswith("(* ") and line.endswith(" *)"):
            attributes.append(line)
            continue
        holds = "".join(_HELD.findall("".join(attributes)))
        if match is None:
            if holds:
                statements.append(f"  // {holds}")
            parallel = any("parallel_case" in attribute for attribute in attributes)
            statements.append(_statement(line.replace("casez ", "(* parallel_case *) casez ") if parallel else line))
        elif match[4] in signals:
            # A port is declared twice: as input or output, then as wire or reg.
            signals[match[4]] = dataclasses.replace(
                signals[match[4]], kind=match[1], initial=(match[6] or "").removeprefix(" = "))
        else:
            is_port = match[1] in ("input", "output")
            signals[match[4]] = _Signal(
                match[1] if is_port else "", "" if is_port else match[1], (match[3] or "").strip(), match[4],
                (match[5] or "").strip(), (match[6] or "").removeprefix(" = "),
                "  ".join(filter(None, (holds, _source(attributes)))),
                "".join(_STYLE.findall("".join(attributes))))
        attributes = []
    return signals, statements


def _statement(line: str) -> str:
    """A line of the module's body with its source at the end."""
    sources = [_named(value) for name, value in _INLINE.findall(line) if name == "src"]
    # Of vectors, a linter wants the reduction.
    line = _INLINE.sub("", line).replace(" = ! ", " = ~| ")
    if line == "  endfunction":
        return f"{line}\n  /* verilator lint_on CASEOVERLAP */"
    if line.startswith("  function "):
        return f"  {ONE_HOT}\n  /* verilator lint_off CASEOVERLAP */\n{line}"
    return f"{line}  // {sources[0]}" if sources and sources[0] else line


def _source(attributes: Sequence[str]) -> str:
    for line in attributes:
        if match := re.match(r"\s*\(\* src = (\".*\") \*\)$", line):
            return _named(match[1])
    return ""


def _named(text: str) -> str:
    """The file below hdl/ and its line, of a quoted path; empty for code of others."""
    path, _, line = text.strip('"').partition("|")[0].rpartition(":")
    file = pathlib.Path(path)
    return f"{file.name}:{line}" if file.parent == _HDL else ""


@functools.cache
def _documented(file: str) -> list[tuple[int, int, str]]:
    """First and last line of each class in a file of hdl/, and the first line of its docstring; inner ones first."""
    tree = ast.parse((_HDL / file).read_text())
    classes = [(node.lineno, node.end_lineno or node.lineno, (ast.get_docstring(node) or "").split("\n")[0])
               for node in ast.walk(tree) if isinstance(node, (ast.ClassDef, ast.FunctionDef))
               and (isinstance(node, ast.ClassDef) or file == "technology.py")]
    return sorted(classes, key=lambda place: place[1] - place[0])


def _about(source: str) -> str:
    """What the class that contains a line says of itself."""
    if not source:
        return ""
    file, _, line = source.partition(":")
    return next((text for first, last, text in _documented(file) if first <= int(line) <= last and text), "")
