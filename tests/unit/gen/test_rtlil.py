# SPDX-License-Identifier: Apache-2.0
"""tiled_se.gen.rtlil: names, order and modules of RTLIL, on texts that are read at a glance."""

import re

from amaranth.back import rtlil
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tiled_se.gen.rtlil import join, merge_modules, order_ports, plain_names, split


class Sum(wiring.Component):
    """A sum with a register after it."""

    def __init__(self, width):
        super().__init__({"a": In(width), "b": In(width), "o": Out(width)})

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(self.a + self.b)
        return m


class Sums(wiring.Component):
    """Three sums of four bits and one of five; signals have names that Verilog would escape."""

    a: In(4)
    b: In(4)
    o: Out(6)

    def elaborate(self, platform):
        m = Module()
        parts = [Sum(4), Sum(4), Sum(4), Sum(5)]
        for place, part in enumerate(parts):
            m.submodules[f"sum_{place}"] = part
            m.d.comb += [part.a.eq(self.a), part.b.eq(self.b + place)]
        final, other = Signal(6, name="final"), Signal(6, name="final")
        m.d.comb += [final.eq(parts[0].o + parts[1].o), other.eq(parts[2].o + parts[3].o), self.o.eq(final ^ other)]
        return m


def made():
    return split(rtlil.convert(Sums(), name="top", emit_src=False))


def test_text_stays_as_it_is():
    text = rtlil.convert(Sums(), name="top", emit_src=False)
    assert join(split(text)).split() == text.split()
    assert [module.name for module in split(text)] == ["\\top", *(f"\\top.sum_{place}" for place in range(4))]


def test_ports_stand_in_order():
    """Those that are not named come last; other modules are left alone."""
    modules = made()
    before = join(modules[1:])
    order_ports(modules, "top", ("rst", "o", "b"))
    ports = re.findall(r"(?:input|output) (\d+) +\\(\w+)", modules[0].text)
    assert ports == [("1", "rst"), ("2", "o"), ("3", "b"), ("4", "a"), ("5", "clk")]
    assert join(modules[1:]) == before


def test_names_need_no_escape():
    """No two of a module are the same, reserved words get a number, and connections follow their ports."""
    modules = made()
    plain_names(modules)
    text = join(modules)
    names = re.findall(r"  (?:wire|memory|cell) .*\\(\S+)$", modules[0].text, re.M)
    assert len(set(names)) == len(names)
    assert {"final_2", "final_3"} <= set(names)
    assert all(re.fullmatch(r"[A-Za-z_]\w*", name) for name in names)
    assert "\\final " not in text
    for module in modules[1:]:
        ports = set(re.findall(r"(?:input|output) \d+ +(?:signed +)?(\\\w+)", module.text))
        cell = modules[0].text.partition(f"cell {module.name} ")[2].partition("  end")[0]
        assert set(re.findall(r"connect (\\\w+) ", cell)) == ports


def test_equal_modules_are_merged():
    """The three sums of four bits, not the one of five; the name loses its number where no other has it."""
    modules = made()
    plain_names(modules)
    left = merge_modules(modules)
    assert [module.name for module in left] == ["\\top", "\\top.sum", "\\top.sum_3"]
    assert re.findall(r"  cell (\\top\S*) (\S+)", left[0].text) == [
        ("\\top.sum", "\\sum_0"), ("\\top.sum", "\\sum_1"), ("\\top.sum", "\\sum_2"), ("\\top.sum_3", "\\sum_3")]


def test_two_groups_get_two_names():
    """Where the plain name is taken, by another group or another module, the first one's own stays."""
    modules = made()
    plain_names(modules)
    copies = split(join(modules))
    for module in copies[1:]:
        module.name = module.name.replace("sum_3", "sum_4")
    fifth = split(copies[4].text)[0]
    fifth.name = "\\top.sum_5"
    names = [module.name for module in merge_modules([*copies, fifth])]
    assert names == ["\\top", "\\top.sum", "\\top.sum_4"]
