# SPDX-License-Identifier: Apache-2.0
"""Faults that random lines have found, and the messages that came of them."""

import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import onnx
import pytest

from tests.conftest import weights
from tiled_se.evaluate.bench.plots import svg
from tiled_se.evaluate.networks import load_networks
from tiled_se.evaluate.sweep.plan import load_plan
from tiled_se.gen import npz as npz_files
from tiled_se.gen.files import check_file, write_all
from tiled_se.hdl.config import ConfigError

from .lists import model_bytes

SMALL = ("verilog", "--k=2", "--width=4")


@pytest.mark.parametrize(("arguments", "stdout", "status", "message"), [
    (["--version"], "/dev/full", 74, "tiled-se: error: standard output can't be written: No space left on device\n"),
    ([*SMALL, "--channels=2"], "/dev/full", 74,
     "tiled-se: error: standard output can't be written: No space left on device\n"),
    ([*SMALL, "--channels=2", "--out=\udcff\u00e9"], "printed", 0, ""),
])
def test_output_that_cannot_be_written(tmp_path, arguments, stdout, status, message):
    """Of an interpreter of its own, as a shell starts it; a name that is no text is printed as escapes."""
    with open(tmp_path / stdout, "w") as out:
        done = subprocess.run([sys.executable, "-m", "tiled_se.cli", *arguments], cwd=tmp_path, stdout=out,
                              stderr=subprocess.PIPE, text=True, check=False, env=os.environ | {
                                  "PYTHONUNBUFFERED": "", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"})
    assert (done.returncode, done.stderr) == (status, message)
    if not message:
        assert (tmp_path / stdout).read_text().startswith("\\udcff\\xe9/tiled_se.v  ")


def test_all_files_or_none(tmp_path):
    (tmp_path / "a").write_text("old")
    os.mkfifo(tmp_path / "b")
    with pytest.raises(ConfigError, match="^docs=.*: can't be written: Is not a regular file"):
        write_all(str(tmp_path), {"a": b"1", "b": b"2"}, "docs")
    assert (tmp_path / "a").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_devices_are_never_replaced():
    with pytest.raises(ConfigError, match="^json=/dev/null: is not a regular file"):
        check_file("/dev/null", "json")


def test_letters_that_a_font_lacks(recwarn):
    """In a plot's names: the file has them as text."""
    assert "\u4e16".encode() in svg(lambda axes: axes.set_xlabel("\u4e16"), 3, 2)
    assert not recwarn.list


def test_blocks_of_any_name_in_a_plot(tiled_se, tmp_path, npz):
    """A dollar sign begins no formula."""
    model = onnx.ModelProto.FromString(model_bytes())
    for node in model.graph.node:
        node.name = f"$\\frac{{$\u4e16{node.name}"
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "images").mkdir()
    npz("images/a.npz", x=np.random.default_rng(1).normal(size=(2, 4, 6, 5)).astype(np.float32))
    assert tiled_se("sensitivity", "net.onnx", "images", "--out=out").status == 0


@pytest.mark.parametrize(("arrays", "message"), [
    # Four bytes a character, which need not be one.
    (weights(mid=np.frombuffer(b"\xff\xff\xff\xff", "<U1")), "mid is damaged; must be one string"),
    (weights(gate="g" * 100_000), "gate"),
    (dict(w1=np.broadcast_to(np.float16(0), (1, (1 << 24) + 1))),
     "w1 has the shape [1, 16777217]; may have 16777216 elements at most"),
    # Numbers that float64 lacks.
    (dict(x_q=np.zeros((2, 3, 4), np.int8), x_scale=np.longdouble("1e4000"), x_zero_point=0), "x_scale is "),
    (dict(x_q=np.zeros((2, 3, 4), np.int8), x_scale=1.0, x_zero_point=np.longdouble("1e4000")), "x_zero_point is "),
])
def test_arrays(tiled_se, npz, arrays, message):
    option = "input" if "x_q" in arrays else "weights"
    path = npz("file.npz", **arrays)
    done = tiled_se(*SMALL, f"--{option}={path}")
    assert (done.status, done.err.count("\n"), len(done.err) < 1000) == (2, 1, True)
    assert done.err.startswith(f"tiled-se: error: {option.upper()}={path} (--{option}): {message}")


def test_headers_of_old(tmp_path, recwarn):
    """A header of Python 2, which numpy reads with a warning."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 1L), }\n"
    member = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(8)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", member)
    assert npz_files.read("input", str(tmp_path / "x.npz"), ("x",))["x"].shape == (2, 1)
    assert not recwarn.list


UNNAMED = [json.dumps({"networks": {name: {"input": [8, 8], "source": "", "blocks": [[1, 2, 4, 1, 1]]}}})
           for name in ("", "a\nb", "\ud800")]


@pytest.mark.parametrize(("function", "text", "message"), [
    *((load_plan, text, "is no TOML: an integer of more than 64 bits") for text in (
        f"[[configurations]]\nK = 0x{'F' * 5000}", f"[grid]\nK = [1, 0b{'1' * 70}]",
        f"[defaults]\nlabel = 0x{'F' * 17}", "[[configurations]]\nK = {a = [[9223372036854775808]]}")),
    *((load_plan, text, "") for text in ("[" + "K" * 100_000 + "]", "[[configurations]]\n" + "K" * 100_000 + " = 1")),
    (load_networks, "[" * 100_000, "is nested too deeply for a file of networks"),
    *((load_networks, text, " must hold {") for text in (*UNNAMED, '{"networks": {}}')),
], ids=lambda value: str(value)[:30] if isinstance(value, str) else value.__name__)
def test_lists(tmp_path, function, text, message):
    path = tmp_path / "list.json"
    path.write_text(text)
    with pytest.raises(ConfigError) as found:
        function(str(path))
    assert message in str(found.value)
    assert len(str(found.value)) < 1000
