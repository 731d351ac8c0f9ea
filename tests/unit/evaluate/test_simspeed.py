# SPDX-License-Identifier: Apache-2.0
"""`tiled-se simspeed` without a simulator: rounds, what it refuses, and its section of the page."""

import contextlib
import importlib.util
import json
import os
import pathlib
from unittest import mock

import numpy as np
import pytest

from tiled_se.cosim.job import Frame, Job, Reset, Send
from tiled_se.evaluate.bench.command import _write as write_bench
from tiled_se.evaluate.bench.plan import Plan
from tiled_se.evaluate.options import BenchOptions
from tiled_se.evaluate.page import SECTION
from tiled_se.evaluate.simspeed import benches, command, rounds, summary
from tiled_se.evaluate.simspeed.benches import Run
from tiled_se.hdl.config import ConfigError
from tiled_se.hdl.data_type import UINT8

QUICK = ["--k=2", "--width=3", "--height=5", "--channels=6", "--lanes=3", "--seconds=0.01", "--repeats=2"]


def test_repeated_frames_are_saved_once(tmp_path):
    data = np.arange(12, dtype=np.uint8).reshape(6, 2)
    base, sizes = Job(steps=(Reset(), Send((Frame(data, data), Frame(data[1:], data[1:])))), lanes=2, width=3,
                      channels=2, data=UINT8), []
    for count in (2, 200):
        job = benches._sending(base, count)
        job.save(tmp_path)
        sizes.append((tmp_path / "arrays.npz").stat().st_size)
        again = Job.load(tmp_path).frames
        assert len(again) == count
        assert all((a.beats == b.beats).all() and (a.expected == b.expected).all()
                   for a, b in zip(again, job.frames, strict=True))
    assert sizes[0] == sizes[1]


class TestRounds:
    @staticmethod
    def bench(pace, log):
        def run(frames):
            log.append(frames)
            return Run(frames, 100 * frames, pace * frames, ())
        return run

    def test_each_fills_its_time(self):
        """As many frames as take the time, found in few steps; one if that takes longer."""
        slow, fast = [], []
        found = rounds.measure({"slow": self.bench(7, slow), "fast": self.bench(0.001, fast)}, 2, 3, lambda text: None)
        assert slow == [1] * 4
        assert fast[-3:] == [2000] * 3
        assert len(fast) <= 3 + 4
        assert [sorted(turn) for turn in found] == [["fast", "slow"]] * 3

    def test_they_take_turns(self):
        log = []
        rounds.measure({"a": self.bench(1, log), "b": self.bench(0.5, log)}, 1, 2, lambda text: None)
        assert log[-4:] == [1, 2, 1, 2]

    def test_wrong_run_ends_it(self):
        with pytest.raises(rounds.Wrong, match=r"^b: two differ$"):
            rounds.measure({"b": lambda frames: Run(frames, 9, 1.0, ("two differ", "more"))}, 1, 2, lambda text: None)


class TestCommand:
    @pytest.fixture
    def benches_do(self, monkeypatch):
        """A function that has every bench report these failures, or nothing wrong."""
        def fake(*failures):
            @contextlib.contextmanager
            def made(job, design, names):
                yield {name: lambda frames: Run(frames, 100 * frames, 0.01, failures) for name in benches.BENCHES
                       if name in names}

            monkeypatch.setattr(benches, "made", made)

        monkeypatch.setattr(command, "generate", lambda *_, **__: None)
        monkeypatch.setattr(summary, "version", lambda command: "a compiler")
        return fake

    def test_wrong_output(self, tiled_se, benches_do):
        """Nothing is written but the line that says which bench saw it."""
        benches_do("90 of 90 elements differ", "more")
        finished = tiled_se("simspeed", *QUICK, "--out=out")
        assert (finished.status, finished.err) == (1, "tiled-se: mismatch: fast: 90 of 90 elements differ\n")
        assert not os.path.exists("out")

    def test_without_cocotbext_axi(self, tiled_se, benches_do, monkeypatch):
        """Its entries are null, and the run says why."""
        benches_do()
        find = importlib.util.find_spec

        def find_spec(name, *package):
            if name.startswith("cocotbext"):
                raise ModuleNotFoundError
            return find(name, *package)

        monkeypatch.setattr(benches.importlib.util, "find_spec", find_spec)
        finished = tiled_se.passes("simspeed", *QUICK, "--out=out")
        assert "cocotbext_axi is left out: cocotbext-axi is not installed" in finished.out
        found = json.loads(pathlib.Path("out/simspeed.json").read_text())
        for figures in (found["cycles_per_cpu_second"], found["ratios"]["to_cpp"]):
            assert [name for name, figure in figures.items() if figure is None] == ["cocotbext_axi"]
        assert not any("cocotbext_axi" in turn for turn in found["rounds"])


def test_headline_by_default(tiled_se, monkeypatch):
    prepare = mock.Mock(side_effect=ConfigError("k", 7, "stop"))
    monkeypatch.setattr(command, "prepare", prepare)
    tiled_se("simspeed", "--out=out")
    tiled_se("simspeed", "--width=8", "--out=out")
    chosen = [call.args[0] for call in prepare.call_args_list]
    assert [(block.k, block.width, block.channels) for block in chosen] == [(7, 56, 64), (7, 8, None)]


@pytest.mark.parametrize(("option", "line"), [
    ("--repeats=0", "REPEATS=0 (--repeats): must be an integer from 1 to 1000"),
    ("--seconds=0", "SECONDS=0 (--seconds): must be a number from 0.01 to 600"),
    ("--lanes=4", "LANES=4 (--lanes): must divide channels=6"),
    ("--docs=none", "DOCS=none (--docs): must be a folder with benchmarks.md, which make bench writes"),
    ("--docs=file", "DOCS=file (--docs): benchmarks.md can't be read: Not a directory"),
    ("--docs=half", f"DOCS=half (--docs): benchmarks.md must have the lines '{SECTION.begin}' and "
                    f"'{SECTION.end}' once each, in this order, or neither"),
])
def test_refused(tiled_se, option, line):
    pathlib.Path("file").write_text("")
    os.mkdir("half")
    pathlib.Path("half/benchmarks.md").write_text(f"{SECTION.begin}\n")
    tiled_se.refuses(line, "simspeed", *QUICK, option, "--out=out")
    assert not os.path.exists("out")


def test_page_that_cannot_be_written(tiled_se, monkeypatch):
    os.mkdir("pages")
    pathlib.Path("pages/benchmarks.md").write_text("")
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != "pages" and access(path, mode))
    tiled_se.refuses("DOCS=pages (--docs): must be writable", "simspeed", *QUICK, "--docs=pages", "--out=out")


class TestPage:
    def test_section_is_replaced_in_place(self):
        first = SECTION.placed("a\n\n", "one\n")
        assert first == f"a\n\n{SECTION.begin}\none\n{SECTION.end}\n"
        between = f"{first}\nb\n"
        assert SECTION.placed(between, "two") == between.replace("one", "two")

    def test_only_whole_sections(self):
        for text in (SECTION.begin, SECTION.end, f"{SECTION.end}{SECTION.begin}", f"{SECTION.begin}{SECTION.end}" * 2):
            with pytest.raises(ValueError, match="^must have the lines"):
                SECTION.placed(text, "")

    def test_bench_keeps_it(self, tmp_path):
        """`make bench` writes the page anew around the section, and leaves a page without one without."""
        path = tmp_path / "benchmarks.md"
        write_bench(Plan(), {}, {}, str(tmp_path), BenchOptions())
        fresh = path.read_text()
        assert SECTION.begin not in fresh
        path.write_text(SECTION.placed("# Old page\n", "## Speed\n\nfigures\n"))
        write_bench(Plan(), {}, {}, str(tmp_path), BenchOptions())
        assert path.read_text() == SECTION.placed(fresh, "## Speed\n\nfigures\n")
