# SPDX-License-Identifier: Apache-2.0
"""Campaigns: what they run, show and keep, and what the keys of kept results depend on."""

import functools
import io
import shutil
import signal
import sys

import pytest

from tests.helpers import measuring
from tiled_se.batch import Campaign, Progress, Store, Tally, TaskFailed, local, reason_of, store
from tiled_se.hdl.config import ConfigError
from tiled_se.hdl.errors import ToolFailure


@pytest.mark.parametrize(("error", "line"), [
    (TaskFailed("not exact"), "not exact"), (ToolFailure("g++ failed with status 1:\nwhat it printed"),
                                             "g++ failed with status 1"),
    (KeyError("x"), "KeyError: 'x'"), (ValueError(), "ValueError: no message")])
def test_reason(error, line):
    assert reason_of(error) == line


class TestProgress:
    def shown(self, stream, **options):
        with Progress(5, 2, stream, **options) as progress:
            progress.started("x")
            progress.done("x", None)
            progress.started("y")
            progress.done("y", "too small")
        return stream.getvalue()

    def test_lines(self):
        assert self.shown(io.StringIO()) == "[3/5] x\n[4/5] y: FAILED, too small\n"
        assert self.shown(io.StringIO(), timed=True) == "[3/5] x, at 0 s\n[4/5] y, at 0 s: FAILED, too small\n"

    def test_bar(self):
        class Terminal(io.StringIO):
            def isatty(self):
                return True

        text = self.shown(Terminal())
        assert "4/5" in text
        assert ", x]" in text
        assert "[4/5] y: FAILED, too small\n" in text
        assert "[3/5] x" not in text

    def test_tally(self, capsys):
        with Tally(20, "mutants run") as tally:
            for _ in range(5):
                tally.done(None, None)
        assert capsys.readouterr().out == "mutants run: 2 of 20\nmutants run: 4 of 20\n"


class TestCampaign:
    IDENTITY = {"numpy": "2.0", "sources": "abc"}

    def campaign(self, folder, tasks=("a", "b", "c"), identity=lambda: TestCampaign.IDENTITY):
        return Campaign(tasks, "things", str(folder / "kept"), lambda task: None if task == "lost" else task, identity)

    def run(self, campaign, *, wrong=(), broken=(), **options):
        """Run in this process; returns what was done, in order."""
        done = []

        def job(task):
            done.append(task)
            if task in broken:
                raise broken[task]
            return {"name": task}

        campaign.run(lambda task: functools.partial(job, task), measuring.InPlace(), progress=measuring.Silent,
                     judge=lambda task, result: f"{task} is wrong" if task in wrong else None, **options)
        return done

    def test_goes_on_past_what_fails_and_continues(self, tmp_path, capsys):
        """What failed, was wrong, or has no settings is done again; what was right is not."""
        tasks = ("a", "b", "c", "lost", "a", "d")
        first = self.campaign(tmp_path, tasks)
        assert self.run(first, wrong="b", broken={"c": ValueError("no\nmore"), "d": TaskFailed("a line")}) == [
            "a", "b", "c", "lost", "d"]
        assert first.failures == {"b": "b is wrong", "c": "ValueError: no", "d": "a line"}
        assert first.results == {"a": {"name": "a"}, "b": {"name": "b"}, "lost": {"name": "lost"}}
        second = self.campaign(tmp_path, tasks)
        assert second.results == {"a": {"name": "a"}}
        assert self.run(second, shown="there") == ["b", "c", "lost", "d"]
        assert second.failures == {}
        assert capsys.readouterr().out.splitlines() == [
            f"5 things, 0 of them finished before; in place; results in {tmp_path}/kept",
            "5 things, 1 of them finished before; in place; results in there"]

    def test_interrupted(self, tmp_path, capsys):
        """The files of an earlier run go with the first task, not before; and a last line says how to continue."""
        old = tmp_path / "old.json"
        old.touch()
        campaign = self.campaign(tmp_path)
        with pytest.raises(KeyboardInterrupt):
            self.run(campaign, broken={"b": KeyboardInterrupt()}, outputs=[str(old)])
        assert not old.exists()
        assert capsys.readouterr().out.splitlines()[-1] == "1 of 3 things are finished; the same command continues"
        self.run(self.campaign(tmp_path))
        old.touch()
        assert self.run(self.campaign(tmp_path), outputs=[str(old)]) == []
        assert old.exists()

    def test_identity_decides(self, tmp_path):
        """Another version's results are none; and a worker of another version is refused."""
        self.run(self.campaign(tmp_path))
        assert not self.campaign(tmp_path, identity=lambda: self.IDENTITY | {"numpy": "2.1"}).results
        answers = iter([self.IDENTITY, *[self.IDENTITY, {"numpy": "2.1", "sources": "x"}] * 3])
        other = self.campaign(tmp_path, ["d"], lambda: next(answers))
        assert self.run(other) == []
        assert other.failures == {
            "d": "its worker has numpy 2.1 and not 2.0, other sources, perhaps changed during the run"}

    def test_folder_that_cannot_be_written_is_found_first(self, tmp_path):
        (tmp_path / "kept").touch()
        with pytest.raises(ConfigError, match="kept: is not a folder; must be one, or a name that is free$"):
            self.campaign(tmp_path)

    def test_nothing_is_kept_without_a_folder(self, tmp_path, capsys):
        assert self.run(Campaign("ab")) == ["a", "b"]
        assert capsys.readouterr().out == ""


class TestStore:
    def test_what_is_half_written_is_no_result(self, tmp_path):
        kept = Store(tmp_path)
        assert kept.load("a") is None
        kept.save("a", {"b": 1})
        assert kept.load("a") == {"b": 1}
        kept.save("b", {"c": {2: (1.5, None), 10: "ü"}})
        assert kept.load("b") == {"c": {"2": [1.5, None], "10": "ü"}}
        whole = (tmp_path / "a.json").read_text()
        wrong = [whole[:-3], "", "{}", "[1]", "null", "[" * 100_000, '{"b": 1}', whole.replace('"b": 1', '"b": 2'),
                 whole.replace('"result"', '"results"'), "\ud800"]
        assert wrong[7] != whole
        for text in wrong:
            (tmp_path / "a.json").write_bytes(text.encode("utf-8", "surrogatepass"))
            assert kept.load("a") is None
        (tmp_path / "a.json").write_text(whole)
        assert kept.load("a") == {"b": 1}

    def test_keys_hash_what_decides(self, tmp_path, monkeypatch):
        """Comments, docstrings, help texts and tables change nothing; arithmetic, constants and C++ do.

        Defaults don't, either: settings have every option's value.
        """
        for folder in ("hdl", "golden", "cosim", "gen", "evaluate"):
            shutil.copytree(store.PACKAGE / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
        monkeypatch.setattr(store, "PACKAGE", tmp_path)
        code = store._code
        parse = functools.cache(lambda file, content: code(file))
        # A file is parsed again only when it has changed.
        monkeypatch.setattr(store, "_code", lambda file: parse(file, file.read_bytes()))

        def key():
            store._sources.cache_clear()
            return store.sources(*store.BLOCK, *store.MEASURING, "evaluate/measure.py")

        old = key()
        for name, before, after, same in (
                ("golden/rounding.py", "def", "# more\ndef", True),
                ("golden/rounding.py", '"""', '"""Said otherwise. ', True),
                ("golden/rounding.py", ">>", ">> 1 >>", False),
                ("hdl/requantise.py", "+ 1", "+ 2", False),
                ("cosim/cpp/transactor.cpp", "\n", "\n\n", False),
                ("gen/options.py", "largest error", "error", True),
                ("gen/options.py", "0.05", "0.06", True),
                ("gen/simulation.py", "SETTLE = 4", "SETTLE = 5", False),
                ("evaluate/measure.py", "CURVE_POINTS = 240", "CURVE_POINTS = 24", False),
                ("evaluate/bench/tables.py", "FAILED", "LOST", True)):
            text = (tmp_path / name).read_text()
            assert before in text
            (tmp_path / name).write_text(text.replace(before, after, 1))
            assert (key() == old) == same, name
            (tmp_path / name).write_text(text)
        store._sources.cache_clear()


def test_a_finaliser_is_not_interrupted(monkeypatch):
    """Python would ignore the exception and print it: the process is told again."""
    monkeypatch.setattr(local._State, "working", True)
    monkeypatch.setattr(local._State, "stopped", False)

    class Last:
        def __del__(self):
            local._stop(signal.SIGTERM, sys._getframe())

    Last()
    assert not local._State.stopped
    with pytest.raises(KeyboardInterrupt):
        local._stop(signal.SIGTERM, sys._getframe())
