# SPDX-License-Identifier: Apache-2.0
"""Builds: made once, shared by processes, with one clear error when a tool fails."""

import functools
import multiprocessing
import os
import shutil
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from unittest import mock

import pytest

from tests.helpers.verilog import WIRE_THROUGH as VERILOG
from tiled_se.cosim import harness, verilate
from tiled_se.cosim.build import BuildError, build_simulation
from tiled_se.cosim.cache import Cache, default_root
from tiled_se.cosim.job import Idle, Job, Reset
from tiled_se.cosim.run import simulate
from tiled_se.hdl.config import Config


@pytest.fixture(scope="module")
def runtime():
    """Verilator's runtime as the user's own cache has it: compiling it anew would take most of the tests' time."""
    return verilate.runtime(Cache())


@pytest.fixture
def cache(tmp_path, runtime):
    shutil.copytree(runtime, tmp_path / runtime.name)
    (tmp_path / "locks").mkdir()
    shutil.copy(runtime.parent / "locks" / f"{runtime.name}.sum", tmp_path / "locks")
    return Cache(tmp_path)


def test_second_build_comes_from_the_cache(cache):
    first = build_simulation(VERILOG, "wire_through", cache=cache)
    second = build_simulation(VERILOG, "wire_through", cache=cache)
    assert (first.cached, second.cached) == (False, True)
    assert first.executable == second.executable
    assert second.seconds < first.seconds
    assert os.access(first.executable, os.X_OK)
    # Nothing but the executable stays.
    assert [path.name for path in first.executable.parent.iterdir()] == ["simulation"]


def was_there(root):
    """Whether another one made the entry, which takes a while."""
    def make(folder):
        time.sleep(0.3)
        (folder / "made").write_text("x")

    return Cache(root).get("00key", make)[1]


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, functools.partial(
    ProcessPoolExecutor, mp_context=multiprocessing.get_context("spawn"))], ids=["threads", "processes"])
def test_an_entry_is_made_once(tmp_path, pool):
    with pool(3) as running:
        assert sorted(running.map(was_there, [tmp_path] * 3)) == [False, True, True]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00key", "locks"]


class TestDirect:
    """Whether all that eval() does besides evaluating may be left out."""

    COUNTER = "module top(input clk, output reg [3:0] q);\n{}  always @(posedge clk) q <= {};\nendmodule\n"
    CLASS = ("  class Box; int n; function new(int m); n = m; endfunction endclass\n"
             "  Box box; always @(negedge clk) box = new(int'(q));\n")

    def translated(self, folder, inside="", value="q + 4'd1"):
        (folder / "top.sv").write_text(self.COUNTER.format(inside, value))
        fast, slow = verilate.translate(folder, ["top.sv"])
        return [*fast, *slow]

    def test_this_verilators_models(self, tmp_path):
        """A Verilator that does more or less in eval() fails here: it has to be looked at."""
        assert verilate.direct(self.translated(tmp_path))

    def test_classes(self, tmp_path):
        assert not verilate.direct(self.translated(tmp_path, self.CLASS, "4'(box.n)"))

    @pytest.mark.parametrize("change", [
        lambda text: text.replace("    // Evaluate cleanup\n", "    vlSymsp->TOP.more();\n"),
        lambda text: text.replace("Vtop___024root___eval_settle", "Vtop___024root___eval_settled"),
        lambda text: text.replace("Vtop::eval_step()", "Vtop::eval_steps()"),
    ], ids=["more", "another", "unknown"])
    def test_others(self, tmp_path, change):
        sources = self.translated(tmp_path)
        main, = (source for source in sources if source.name == "Vtop.cpp")
        text = main.read_text()
        assert change(text) != text
        main.write_text(change(text))
        assert not verilate.direct(sources)


def test_verilog_error_is_one_message(cache):
    with pytest.raises(BuildError, match=r"(?s)^verilator_bin failed with status 1:\n%Error: design\.v:.*oops"):
        build_simulation(VERILOG + "\noops\n", "wire_through", cache=cache)
    assert not [path for path in cache.root.iterdir() if path.name.startswith("tmp-")]


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def changed(path):
    """One bit in the middle: the size is the same."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def removed_from(path):
    path.unlink()
    (path.parent / "other").touch()


DAMAGE = [cut, changed, lambda path: path.write_bytes(b""), lambda path: path.unlink(), removed_from,
          lambda path: path.chmod(0) or path.unlink(), lambda path: shutil.rmtree(path.parent)]
DAMAGE_IDS = ["cut", "changed", "emptied", "file deleted", "another file", "no file", "deleted"]


@pytest.mark.parametrize("damage", DAMAGE, ids=DAMAGE_IDS)
def test_damaged_entry_is_made_again(tmp_path, damage):
    def make(folder):
        (folder / "sub").mkdir()
        (folder / "sub" / "data").write_bytes(b"x" * 1000)

    for _ in range(2):
        folder, cached = Cache(tmp_path).get("key", make)
        assert not cached
        assert Cache(tmp_path).get("key", make) == (folder, True)
        damage(folder / "sub" / "data")
        assert Cache(tmp_path).find("key") is None
    # What the entry was is no longer there.
    Cache(tmp_path).get("key", make)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key", "locks"]
    assert [path.name for path in (tmp_path / "key" / "sub").iterdir()] == ["data"]


def test_file_in_the_place_of_an_entry(tmp_path):
    cache = Cache(tmp_path)
    cache.get("key", lambda folder: None)
    (tmp_path / "key").rmdir()
    assert cache.find("key") is None
    (tmp_path / "key").write_text("")
    assert cache.find("key") is None
    assert cache.get("key", lambda folder: (folder / "data").touch()) == (tmp_path / "key", False)


def test_damaged_executable_is_built_again(cache):
    """Whether the next build finds it so, or a run whose build was right."""
    job = Job.of(Config(k=1, width=1, channels=1, squeeze=1), [Reset(), Idle(4)])
    built = build_simulation(VERILOG, "wire_through", cache=cache)
    cut(built.executable)
    assert not build_simulation(VERILOG, "wire_through", cache=cache).cached
    shutil.rmtree(built.executable.parent)
    assert simulate(built, job).failures == []
    assert build_simulation(VERILOG, "wire_through", cache=cache).cached


def test_runtime_that_goes_while_it_is_used(cache, monkeypatch):
    """After it was found, and before the compiler reads it: the build begins again, once."""
    calls = []

    def compile_without(folder, runtime_folder, *arguments):
        calls.append(runtime_folder)
        if len(calls) == 1:
            shutil.rmtree(runtime_folder)
            raise BuildError("c++ failed")
        (folder / verilate.EXECUTABLE).touch()

    monkeypatch.setattr(harness, "compile_design", compile_without)
    monkeypatch.setattr(verilate, "run_all", lambda commands, folder: None)
    assert not build_simulation(VERILOG, "wire_through", cache=cache).cached
    assert len(calls) == 2
    # Not where nothing has gone.
    monkeypatch.setattr(harness, "compile_design", mock.Mock(side_effect=BuildError("c++ failed")))
    with pytest.raises(BuildError):
        build_simulation(VERILOG.replace("wire_through", "again"), "again", cache=cache)
    assert harness.compile_design.call_count == 1


def test_missing_module_and_port(cache):
    with pytest.raises(BuildError, match=r"^the Verilog has no module wire$"):
        build_simulation(VERILOG, "wire", cache=cache)
    with pytest.raises(BuildError, match=r"^module wire_through has no port m_axis_tready$"):
        build_simulation(VERILOG.replace("input m_axis_tready", "/* input m_axis_tready */ input other"),
                         "wire_through", cache=cache)


def test_compiler_error_is_one_message(cache, tmp_path, monkeypatch):
    compiler = tmp_path / "broken"
    compiler.write_text("#!/bin/sh\n[ $1 = --version ] && exit 0\necho first line; echo cannot compile >&2; exit 3\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", f"{compiler} -option")
    text = r"^CXX=\S+/broken -option: broken failed with status 3:\nfirst line\ncannot compile$"
    with pytest.raises(BuildError, match=text):
        build_simulation(VERILOG, "wire_through", cache=cache)


def test_missing_tools(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler -O1")
    with pytest.raises(BuildError, match=r"^CXX=no-such-compiler -O1: no such program$"):
        build_simulation(VERILOG, "wire_through")
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BuildError, match=r"^no C\+\+ compiler: none of c\+\+, g\+\+ and clang\+\+ is on PATH"):
        build_simulation(VERILOG, "wire_through")
    with pytest.raises(BuildError, match=r"^SIM=icarus needs iverilog, which is not on PATH$"):
        build_simulation(VERILOG, "wire_through", simulator="icarus")


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"^simulator='vcs': must be one of verilator, icarus$"):
        build_simulation(VERILOG, "wire_through", simulator="vcs")
    with pytest.raises(ValueError, match=r"^standard='1995': must be one of 2005, 2012$"):
        build_simulation(VERILOG, "wire_through", standard="1995")


@pytest.mark.skipif(not shutil.which("iverilog"), reason="needs iverilog")
def test_icarus_standards_are_builds_of_their_own(tmp_path):
    builds = [build_simulation(VERILOG, "wire_through", simulator="icarus", standard=standard, cache=Cache(tmp_path))
              for standard in ("2005", "2012", "2012")]
    assert [b.cached for b in builds] == [False, False, True]
    with pytest.raises(BuildError, match=r"(?s)^iverilog failed .*design\.v"):
        build_simulation(VERILOG.replace("assign", "always_comb begin end\n  assign", 1), "wire_through",
                         simulator="icarus", standard="2005", cache=Cache(tmp_path))


@pytest.mark.parametrize(("old", "new", "line"), [
    ("output [7:0] m_axis_tdata", "output [8:0] m_axis_tdata", "m_axis_tdata has 9 bits; must have a multiple of 8"),
    ("input rst,", "input rst, output [32:0] status_wide,", "status_wide has 33 bits; must have at most 32"),
    ("input rst,", "input rst, input [7:0] w_axis_tdata,", "w_axis_tdata has 8 bits; must have 32"),
    ("input rst,", "input rst, " + "".join(f"output status_{i}, " for i in range(9)), "9 status ports; must"),
])
def test_ports_that_no_bench_takes(old, new, line):
    with pytest.raises(BuildError, match=line):
        build_simulation(VERILOG.replace(old, new), "wire_through")


@pytest.mark.parametrize("name", ["stopped", "drive", "bench_edge", "w_axis_tready", "cosim_bench", "cosim_dut"])
def test_modules_of_the_benchs_own_names(name):
    """The bench has names of its own; a block's may be the same."""
    assert build_simulation(VERILOG.replace("wire_through", name), name).executable.exists()


def test_our_own_sources_are_in_the_key(cache, tmp_path, monkeypatch):
    assert not build_simulation(VERILOG, "wire_through", cache=cache).cached
    (tmp_path / "harness.py").write_text("# changed")
    monkeypatch.setattr(harness, "_SOURCES", (*harness._SOURCES[1:], tmp_path / "harness.py"))
    assert not build_simulation(VERILOG, "wire_through", cache=cache).cached


def test_entry_that_cannot_be_marked(tmp_path, monkeypatch):
    """Of a cache that others have filled, or on a read-only disk."""
    cache = Cache(tmp_path)
    cache.get("99", lambda folder: None)

    monkeypatch.setattr(os, "utime", mock.Mock(side_effect=PermissionError(13, "Permission denied")))
    assert cache.get("99", None) == (tmp_path / "99", True)


def test_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BuildError, match=r"^build cache .*/file: .*TILED_SE_CACHE names another folder$"):
        build_simulation(VERILOG, "wire_through", cache=Cache(tmp_path / "file"))


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("TILED_SE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_root() == tmp_path / ".cache" / "tiled-se"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_root() == tmp_path / "xdg" / "tiled-se"
    monkeypatch.setenv("TILED_SE_CACHE", str(tmp_path / "own"))
    assert default_root() == tmp_path / "own"


def test_least_recently_used_entries_go(tmp_path):
    cache = Cache(tmp_path, limit=2500)

    def add(name, age):
        folder, _ = cache.get(name, lambda folder: (folder / "data").write_bytes(bytes(1000)))
        os.utime(folder, (time.time() - age,) * 2)

    add("11", 9000)
    add("22", 8000)
    assert cache.find("11")
    add("33", 5000)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["11", "33", "locks"]
    # What was used a moment ago stays although there is no room for it.
    add("44", 0)
    add("55", 0)
    add("66", 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["11", "44", "55", "66", "locks"]


def test_entry_that_fails_leaves_nothing(tmp_path):
    def make(folder):
        (folder / "half").write_text("")
        raise KeyError("no")

    with pytest.raises(KeyError):
        Cache(tmp_path).get("77", make)
    assert [path.name for path in tmp_path.iterdir()] == ["locks"]


def test_what_a_dead_process_left_is_removed(tmp_path):
    cache = Cache(tmp_path)
    (tmp_path / "tmp-old").mkdir()
    os.utime(tmp_path / "tmp-old", (0, 0))
    (tmp_path / "tmp-new").mkdir()
    cache.get("88", lambda folder: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["88", "locks", "tmp-new"]
