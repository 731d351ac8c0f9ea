# SPDX-License-Identifier: Apache-2.0
"""examples/stage: convolution, block and projection as one stream, against its golden model; by its command."""

import importlib
import pathlib
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tests.helpers.pysim import simulate
from tiled_se.gen import convert
from tiled_se.hdl import Context, Technology

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "stage"
CAUSAL = dict(k=1, context=Context.CAUSAL, prior_rows=1)
# Shape, heights of the frames, and whether the attention block has full rate with them.
SHAPES = {
    "strips, the last is ragged": (
        dict(width=8, channels=8, squeeze=2, outputs=4, lanes=2, k=2), (5, 2, 1, 4), True),
    "causal, as many outputs as inputs": (
        dict(width=12, channels=6, squeeze=2, outputs=6, lanes=2, **CAUSAL), (1, 1, 4), True),
    "narrowest: two pixels, one group": (
        dict(width=2, channels=4, squeeze=1, outputs=4, lanes=4, k=2), (4, 1, 2, 1, 1, 3), False),
    "one lane, more outputs than inputs": (
        dict(width=3, channels=2, squeeze=1, outputs=3, lanes=1, k=3), (3, 1, 4), False),
}


# The stage with the ports of tests/cosim/foreign_tb.v.
AXI_STREAM = """
module top(input clk, input rst, input [15:0] s_axis_tdata, input s_axis_tvalid, input s_axis_tlast,
           output s_axis_tready, output [15:0] m_axis_tdata, output m_axis_tvalid, output m_axis_tlast,
           input m_axis_tready, output status_frame_error);
    stage stage(.clk(clk), .rst(rst), .i__payload({s_axis_tlast, s_axis_tdata}), .i__valid(s_axis_tvalid),
                .i__ready(s_axis_tready), .o__payload({m_axis_tlast, m_axis_tdata}), .o__valid(m_axis_tvalid),
                .o__ready(m_axis_tready), .error(status_frame_error));
endmodule
"""


@pytest.fixture(scope="module")
def example():
    """The modules of the example."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLE.parent)
        return SimpleNamespace(**{name.strip("_"): importlib.import_module(f"stage.{name}")
                                  for name in ("__main__", "beats", "simulate", "stage", "window")})


@pytest.mark.parametrize(("shape", "heights", "full_rate"), SHAPES.values(), ids=SHAPES)
def test_exact(example, shape, heights, full_rate):
    """Bit for bit, at full rate where the attention block has it, and with pauses, between frames too."""
    frames, stage, expected, floats = example.main.build(heights, **shape)
    for pauses in ((0, 0), (0.4, 0.4), *(() if full_rate else ((0, 0.7), (0.9, 0)))):
        outputs, lasts, moved_in, _ = example.simulate.simulate(example.stage.Stage(stage), frames, *pauses)
        assert example.main.exact(outputs, lasts, expected, shape["lanes"]), pauses
        if full_rate and pauses == (0, 0):
            assert moved_in == list(range(len(moved_in)))
    errors = np.concatenate([np.abs(y - real).ravel() for y, real in zip(expected, floats, strict=True)])
    assert errors.max() < 3
    assert errors.mean() < 0.5


def beat_words(frames, lanes):
    """The beats of int8 frames as integers: ``last`` on top, the first lane in the low bits."""
    for frame in frames:
        rows = frame.reshape(-1, lanes).astype(np.uint8)
        for number, row in enumerate(rows, 1):
            yield int.from_bytes(row.tobytes(), "little") | (number == len(rows)) << 8 * lanes


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
def test_verilog(example, tmp_path):
    """The Verilog does the same, in another simulator, with X on what is idle."""
    shape, heights, _ = SHAPES["strips, the last is ragged"]
    frames, stage, expected, _ = example.main.build(heights, **shape)
    beats = list(beat_words(frames, shape["lanes"]))
    (tmp_path / "beats.hex").write_text("".join(f"{beat:x}\n" for beat in beats))
    verilog, _ = convert(example.stage.Stage(stage), Technology("stage"))
    (tmp_path / "stage.v").write_text(verilog + AXI_STREAM)
    macros = {"BITS": 16, "BEATS": len(beats), "WORDS": 1, "BEATS_FILE": '"beats.hex"', "OUT_FILE": '"out.hex"',
              "TOP": "top", "SEED": 3, "PAUSE_IN": 30, "PAUSE_OUT": 30, "PATIENCE": 500}
    subprocess.run(["iverilog", "-g2012", "-o", "sim", *(f"-D{name}={value}" for name, value in macros.items()),
                    pathlib.Path(__file__).with_name("foreign_tb.v"), "stage.v"], cwd=tmp_path, check=True)
    done = subprocess.run(["vvp", "-n", "sim"], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=120)
    words = list(beat_words(expected, shape["lanes"]))
    assert done.stdout.strip() == f"END: {len(words)} beats, frame error 0"
    assert [int(beat, 16) for beat in (tmp_path / "out.hex").read_text().split()] == words


class Restarted(wiring.Component):
    """A stage that is reset when it has taken so many beats."""

    def __init__(self, stage, beats, taken):
        self.stage, self.lanes, self.taken = stage, stage.lanes, taken
        super().__init__({"i": In(beats(stage.lanes)), "o": Out(beats(stage.lanes))})

    def elaborate(self, platform):
        m = Module()
        count, reset = Signal(range(self.taken + 2)), Signal()
        m.submodules.stage = ResetInserter(reset)(self.stage)
        m.d.comb += [
            reset.eq(count == self.taken),
            self.stage.i.p.eq(self.i.p), self.stage.i.valid.eq(self.i.valid & ~reset),
            self.i.ready.eq(self.stage.i.ready & ~reset),
            self.o.p.eq(self.stage.o.p), self.o.valid.eq(self.stage.o.valid & ~reset),
            self.stage.o.ready.eq(self.o.ready),
        ]
        with m.If(reset | self.i.valid & self.i.ready & (count < self.taken)):
            m.d.sync += count.eq(count + 1)
        return m


def test_reset(example):
    """A reset within a row leaves nothing behind: the next frames are right."""
    shape, heights, _ = SHAPES["strips, the last is ragged"]
    frames, stage, expected, _ = example.main.build(heights, **shape)
    # By then the last component delivers.
    sent = [frames[0], frames[3].reshape(1, -1, shape["channels"])[:, :-3]]
    taken = sum(frame.size for frame in sent) // shape["lanes"]
    dut = Restarted(example.stage.Stage(stage), example.beats.beats, taken)
    outputs, lasts, *_ = example.simulate.simulate(dut, [*sent, *frames])
    before = len(outputs) - sum(frame.size for frame in expected) // shape["lanes"]
    assert before > 0
    assert example.main.exact(outputs[before:], [last - before for last in lasts], expected, shape["lanes"])


@pytest.mark.parametrize("pixels", [3, 4, 5])
def test_error(example, pixels):
    """A frame of no whole rows is seen; one of a whole row is none."""
    window = example.window.Window(width=4, groups=2, lanes=1, zero=0)
    errors = []

    async def bench(ctx):
        ctx.set(window.o.ready, 1)
        ctx.set(window.i.valid, 1)
        for beat in range(1, 2 * pixels + 1):
            errors.append(ctx.get(window.error))
            ctx.set(window.i.p.last, beat == 2 * pixels)
            await ctx.tick()
        errors.append(ctx.get(window.error))

    simulate(window, bench)
    assert errors == [0] * 2 * pixels + [pixels != 4]


@pytest.mark.parametrize(("change", "message"), [
    (dict(width=1), "width is 1; must be at least 2"),
    (dict(outputs=5), "outputs: 5; must be a multiple of the lanes, 2"),
])
def test_bad_shapes(example, change, message):
    shape, heights, _ = SHAPES["strips, the last is ragged"]
    with pytest.raises(ValueError, match=f"^{message}$"):
        example.main.build(heights, **shape | change)


def test_command():
    """The command of the page prints what the page shows, but for the errors, which depend on PyTorch's weights."""
    page = (EXAMPLE / "README.md").read_text()
    assert re.findall(r"^ {4}make (.*)$", page, re.M) == ["-C examples/stage"]
    shown, = re.findall(r"^```\n(.*?)^```$", page, re.M | re.S)
    done = subprocess.run(["make", "--silent", f"BIN={pathlib.Path(sys.executable).parent}"], cwd=EXAMPLE, check=True,
                          capture_output=True, text=True)
    lines = [[line for line in text.splitlines() if not line.startswith("quantised")] for text in (shown, done.stdout)]
    assert len(lines[0]) > 10
    assert lines[0] == lines[1]
