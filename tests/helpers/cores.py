# SPDX-License-Identifier: Apache-2.0
"""Ports as the files around a block's Verilog have them, each read by a reader that shares nothing with the writer."""

import re
from xml.etree import ElementTree

__all__ = ["bit_width", "c_constants", "ipxact_ports", "ipxact_registers", "module_ports", "vhdl_ports"]

COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)


def bit_width(high):
    return int(high) + 1 if high else 1


def module_ports(text, name):
    """{port: (direction, bits)} of a module of Verilog, with ports declared in its head or in its body."""
    body = re.search(rf"\bmodule\s+{name}\b(.*?)\bendmodule\b", COMMENT.sub("", text), re.S)[1]
    found = re.findall(r"\b(input|output)\s+(?:wire\s+|logic\s+)?(?:\[(\d+):0\]\s*)?(\w+)", body)
    return {port: (direction, bit_width(high)) for direction, high, port in found}


def vhdl_ports(text, name):
    """The same of a component of VHDL."""
    body = re.search(rf"component {re.escape(name)} is(.*?)end component;", re.sub("--.*", "", text), re.S)[1]
    found = re.findall(r"(\w+) : (in|out) std_logic(?:_vector\((\d+) downto 0\))?", body)
    return {port: (f"{way}put", bit_width(high)) for port, way, high in found}


def ipxact_ports(text):
    """The same of an IP-XACT component; and {bus: (mode, {logical port: physical port}, {parameter: value})}."""
    root = _plain(text)
    ports = {}
    for port in root.iterfind("model/ports/port"):
        ports[port.findtext("name")] = (
            f"{port.findtext('wire/direction')}put", bit_width(port.findtext(".//vector/left")))
    buses = {bus.findtext("name"): (
        "master" if bus.find("master") is not None else "slave",
        {one.findtext("logicalPort/name"): one.findtext("physicalPort/name") for one in bus.iter("portMap")},
        {one.findtext("name"): one.findtext("value") for one in bus.iterfind("parameters/parameter")})
        for bus in root.iterfind("busInterfaces/busInterface")}
    return ports, buses


def _plain(text):
    """The root of a component; no name has a namespace."""
    root = ElementTree.fromstring(text)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
    return root


def ipxact_registers(text):
    """The one memory map of an IP-XACT component, as (map's name, buses that have it, base, bytes, bits, registers).

    Registers are {name: (offset, access, reset value, {field: (low bit, bits, access, volatile, write 1 clears)})}.
    """
    root = _plain(text)
    one, = root.iterfind("memoryMaps/memoryMap")
    block, = one.iterfind("addressBlock")
    buses = [bus.findtext("name") for bus in root.iterfind("busInterfaces/busInterface")
             if [ref.get("memoryMapRef") for ref in bus.iterfind("slave/memoryMapRef")] == [one.findtext("name")]]
    registers = {}
    for register in block.iterfind("register"):
        assert register.findtext("size") == block.findtext("width")
        fields, reset, mask = {}, 0, 0
        for field in register.iterfind("field"):
            low, width = int(field.findtext("bitOffset")), int(field.findtext("bitWidth"))
            fields[field.findtext("name")] = (low, width, field.findtext("access"),
                                              field.findtext("volatile") == "true",
                                              field.findtext("modifiedWriteValue") == "oneToClear")
            reset |= _number(field.findtext("resets/reset/value", "0")) << low
            mask |= (1 << width) - 1 << low
        if register.find("reset") is not None:
            assert _number(register.findtext("reset/mask")) == mask
            reset = _number(register.findtext("reset/value"))
        registers[register.findtext("name")] = (
            _number(register.findtext("addressOffset")), register.findtext("access"), reset, fields)
    return (one.findtext("name"), buses, _number(block.findtext("baseAddress")), _number(block.findtext("range")),
            int(block.findtext("width")), registers)


def _number(text):
    return int(text.replace("'h", "0x"), 0)


def c_constants(text, name):
    """{constant: text of its value} of a C header, without the block's name."""
    return dict(re.findall(rf"^#define {name.upper()}_(\w+) \(?([-\w.+]+?)u?\)? /\*", text, re.M))
