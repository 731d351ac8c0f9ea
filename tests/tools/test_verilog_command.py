# SPDX-License-Identifier: Apache-2.0
"""`tiled-se verilog`: the files that it writes; and what commands import."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import weights
from tiled_se.gen.block_files import block_files, register_files
from tiled_se.gen.registers import documents

SHAPE = ("--k=2", "--width=8", "--channels=8")


def test_loadable(tiled_se, tmp_path):
    assert tiled_se("verilog", *SHAPE, "--name=blk", "--out=out").status == 0
    out = tmp_path / "out"
    assert set(os.listdir(out)) == set(block_files("blk"))
    about = json.loads((out / "manifest.json").read_text())
    assert "module blk (" in (out / "blk.v").read_text()
    words = np.fromfile(out / "blk.params.bin", "<u4")
    assert [int(line, 16) for line in (out / "blk.params.hex").read_text().split()] == words.tolist()
    assert f"{words[0]:08x}" == about["parameters"]["fingerprint"]
    assert about["parameters"]["stream_words"] == len(words)
    ports = {port["name"]: port for port in about["ports"]}
    assert ports["s_axis_tdata"]["width"] == 8 * about["config"]["lanes"]
    assert ports["w_axis_tready"]["direction"] == "output"
    assert all(port["meaning"] for port in about["ports"])
    bits = sum(m["width"] * m["depth"] for m in about["memories"] if m["role"] != "weight")
    assert about["sram"]["total_without_weights_bits"] == bits


def test_baked(tiled_se, npz, tmp_path):
    path = npz("w.npz", **weights())
    assert tiled_se("verilog", "--k=2", "--width=8", f"--weights={path}", "--out=out").status == 0
    left_out = {"tiled_se.params.bin", "tiled_se.params.hex"}
    assert set(os.listdir(tmp_path / "out")) == set(block_files("tiled_se")) - left_out
    about = json.loads((tmp_path / "out/manifest.json").read_text())
    assert about["parameters"] == {"kind": "baked", "source": path}
    assert about["numbers"]["error_bound_lsb"] <= 1


def test_warnings(tiled_se, tmp_path):
    """A line each; the files are the same as without."""
    finished = tiled_se("verilog", "--k=2", "--width=8", "--channels=11", "--out=out")
    line = "LANES=1, one channel a cycle, as C=11 has no divisor from 2 to 8; LANES=11 is possible, with beats " \
           "of 88 bits"
    assert (finished.status, finished.err) == (0, f"tiled-se: warning: {line}\n")
    assert json.loads((tmp_path / "out/manifest.json").read_text())["warnings"] == [line]
    assert tiled_se("verilog", "--k=2", "--width=8", "--channels=11", "--lanes=1", "--out=chosen").err == ""
    assert (tmp_path / "out/tiled_se.v").read_text() == (tmp_path / "chosen/tiled_se.v").read_text()


def test_wide_blocks_have_verilog_though_square_frames_would_not_fit(tiled_se):
    """Frames are no part of the hardware: only who simulates them needs room for them."""
    shape = ("--k=1", "--width=16384", "--channels=1", "--squeeze=1")
    assert tiled_se("verilog", *shape, "--out=out").status == 0
    tiled_se.refuses("H=16384 (--height): must be smaller: FRAMES*H*W*C = 536870912 may be 268435456 at most", "sim",
                     *shape, "--out=other")
    assert not os.path.exists("other")


def test_width_that_the_error_needs_is_named(tiled_se):
    finished = tiled_se.refuses_as("OPERAND_BITS=11 (--operand-bits): must be at least ", "verilog", *SHAPE,
                                   "--operand-bits=11", "--out=out")
    assert finished.err.endswith("to keep ERROR=1\n")
    needed = finished.err.split()[8]
    assert tiled_se("verilog", *SHAPE, f"--operand-bits={needed}", "--loadable=0", "--out=out").status == 0


@pytest.mark.parametrize(("texts", "unloaded"), [
    (["--help"], ["amaranth", "numpy", "torch"]),
    (["verilog", "--k=0"], ["amaranth", "torch"]),
    (["verilog", "--k=2", "--width=4", "--channels=4", "--out=out"], ["cocotb", "onnx"]),
])
def test_what_is_not_needed_is_not_imported(tmp_path, texts, unloaded):
    code = ("import sys\nfrom tiled_se.cli.main import main\n"
            f"try: main({texts!r})\nexcept SystemExit: pass\n"
            f"print('loaded', [name for name in {unloaded!r} if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded []"


def test_module_runs_as_the_command():
    done = subprocess.run([sys.executable, "-m", "tiled_se.cli", "sim", "--k=0"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "tiled-se: error: K=0 (--k): must be an integer from 1 to 65536\n"


def test_config_is_light():
    """The parameter object and the packages themselves load neither Amaranth nor torch."""
    code = "import sys, tiled_se.golden, tiled_se.cosim\n" \
           "import tiled_se.hdl.config, tiled_se.hdl.timing, tiled_se.hdl.sizing, tiled_se.hdl.tables\n" \
           "sys.exit(any(m in sys.modules for m in ('amaranth', 'torch')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestRegisters:
    """REGISTERS=axi-lite."""

    @pytest.fixture(autouse=True)
    def _packages(self):
        for name in ("systemrdl", "peakrdl_cheader", "peakrdl_markdown"):
            pytest.importorskip(name, reason="pip install 'tiled-se[registers]'")

    def test_files(self, tiled_se, tmp_path):
        """The map is beside the block, with its values; a run without registers removes it."""
        out = tmp_path / "out"
        assert tiled_se("verilog", *SHAPE, "--name=blk", "--out=out", "--registers=axi-lite").status == 0
        about = json.loads((out / "manifest.json").read_text())
        ports = {port["name"] for port in about["ports"]}
        assert {"s_axil_awaddr", "s_axil_rready"} < ports
        assert not any(port.startswith("w_axis") for port in ports)
        named = {file["name"] for file in about["files"]}
        assert set(register_files("blk")) < named
        assert named < set(os.listdir(out))
        assert about["registers"]["map"] == "blk.registers.rdl"
        assert {memory["role"] for memory in about["memories"]} >= {"tile_buffer", "weight"}
        header = (out / "blk.registers.h").read_text()
        fingerprint = int(about["parameters"]["fingerprint"], 16)
        assert f"BLK_REGISTERS__FINGERPRINT__FINGERPRINT_reset 0x{fingerprint:x}" in header
        subprocess.run(["cc", "-fsyntax-only", "-x", "c", out / "blk.registers.h"], check=True)
        for file in ("blk.h", "blk.py"):
            text = (out / file).read_text()
            assert "LOAD_LAST" in text
            assert "w_axis" not in text
        assert tiled_se("verilog", *SHAPE, "--name=blk", "--out=out").status == 0
        assert not set(register_files("blk")) & set(os.listdir(out))

    def test_not_for_simulations(self, tiled_se):
        line = "REGISTERS=axi-lite (--registers): must be none for a simulation, which drives the block's own ports; " \
               "the block behind the registers is the same"
        tiled_se.refuses(line, "sim", *SHAPE, "--registers=axi-lite")

    def test_without_packages(self, tiled_se, tmp_path, monkeypatch):
        monkeypatch.setattr(documents, "PACKAGES", {"no_such_package": "no-such-package"})
        tiled_se.refuses("REGISTERS needs no-such-package: pip install 'tiled-se[registers]'", "verilog", *SHAPE,
                         "--registers=axi-lite", "--out=out")
        assert not (tmp_path / "out").exists()
