# SPDX-License-Identifier: Apache-2.0
"""tiled_se.gen.rtlil: names, order and modules of RTLIL, on texts that are read at a glance."""

import re

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tests.helpers.blocks import quantised
from tiled_se.gen.inventory import HOLDS, role_of
from tiled_se.gen.rtlil import join, merge_modules, order_ports, plain_names, split, tell_contents
from tiled_se.hdl.config import Context
from tiled_se.hdl.ram import Ram
from tiled_se.hdl.registered import RegisteredTiledSE
from tiled_se.hdl.technology import Technology
from tiled_se.hdl.tiled_se import TiledSE


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


HEADLINE = dict(k=7, width=56, channels=64, squeeze=4, lanes=8)
BLOCKS = {
    "headline": HEADLINE,
    "headline, loadable": HEADLINE | {"loadable": True},
    "cumulative, registers": dict(k=2, width=4, channels=8, squeeze=2, lanes=8, context=Context.CUMULATIVE),
    "prior": dict(k=1, width=4, channels=16, squeeze=2, lanes=2, context=Context.CAUSAL, prior_rows=2),
    "patches": dict(k=2, width=8, tile_width=4, channels=16, squeeze=2, lanes=2),
    "patches, few groups": dict(k=2, width=8, tile_width=4, channels=16, squeeze=2, lanes=8),
}
WORDS = {"tile_buffer": "tile buffer: ", "scale_fifo": "gates", "accumulator": ".*sums of channels ",
         "weight": "weights|multipliers|prior", "other": "(outputs|tiles|bands) "}


def holders(modules):
    """Memories and registers of sums, and instances of modules that have a memory: (module, line, words or None)."""
    inside = [module.name for module in modules if re.search(r"^  (memory .*|cell \S+ \\leaf)$", module.text, re.M)
              and "_mul " not in module.text]
    kinds = "|".join(re.escape(name) for name in inside)
    for module in modules:
        registers = r"wire .* \\sums_\d+|" if module.name.endswith(".accumulate") else ""
        pattern = re.compile(rf"  (memory .*|{registers}cell (\\top_ram|{kinds}) \S+)$")
        for item in module.items:
            if line := next(filter(pattern.match, item), None):
                words = re.match(rf'  attribute \\{HOLDS} "(.*)"$', item[0])
                yield module.name, line, words and words[1]


@pytest.mark.parametrize("shape", BLOCKS.values(), ids=BLOCKS)
def test_memories_say_what_they_hold(shape):
    """Each memory of a block says it, itself and where it is an instance, as befits its role; no two say the same."""
    config, parameters = quantised(**shape)
    parameters = None if config.loadable else parameters
    registers = shape is BLOCKS["cumulative, registers"]
    block = RegisteredTiledSE(config, parameters, (0, 0, 0)) if registers else TiledSE(config, parameters)
    modules = split(rtlil.convert(block, name="top", platform=Technology("top"), emit_src=False))
    plain_names(modules)
    modules = merge_modules(modules)
    tell_contents(modules, "top")
    own = {}
    for module, line, words in holders(modules):
        assert words, (module, line)
        if not line.startswith(r"  cell \top."):
            path = f"{module}.".removeprefix(r"\top.").removeprefix("block.")
            assert re.match(WORDS[role_of(path)], words), (path, words)
            own.setdefault(words, set()).add(module)
    # Constant contents are those of parameters, which `check_styles` takes for granted.
    constant = {module.name for module in modules if "  memory " in module.text and "$memwr" not in module.text}
    assert constant == set() if config.loadable else all(".parameters." in name for name in constant)
    assert all(len(paths) == 1 for paths in own.values())
    instances = [words for _, line, words in holders(modules) if line.startswith(r"  cell \top.")]
    assert len(instances) == len(set(instances)) >= 8
    assert set(instances) <= set(own)


class Excite(wiring.Component):
    """Two memories of one size, and so of one module."""

    o: Out(8)

    def elaborate(self, platform):
        m, excite = Module(), Module()
        m.submodules.excite = excite
        for name in ("sums_ram", "hidden_ram"):
            excite.submodules[name] = ram = Ram(width=4, depth=4)
            with m.If(self.o[0]):
                m.d.comb += ram.re.eq(1)
            m.d.sync += self.o.eq(self.o + ram.rdata)
        return m


def test_shared_memories_say_all_that_they_hold():
    """Equal memories stay one module; each instance has its own words."""
    modules = split(rtlil.convert(Excite(), name="top", platform=Technology("top"), emit_src=False))
    plain_names(modules)
    modules = merge_modules(modules)
    tell_contents(modules, "top")
    assert len(modules) == 3
    first, second, leaf = [words for _, _, words in holders(modules)]
    assert "sums" in first
    assert "first layer" in second
    assert leaf == f"{first}; or {second}"
