# SPDX-License-Identifier: Apache-2.0
"""`tiled-se sweep` without a simulation: the list that it reads, and the tables that it writes."""

import csv
import dataclasses
import json
import pathlib
import types

import pytest

from tests.conftest import weights
from tiled_se.evaluate.sweep import command, tables, worker
from tiled_se.evaluate.sweep.files import Files
from tiled_se.evaluate.sweep.plan import VARIABLES, load_plan
from tiled_se.gen import formats
from tiled_se.gen.block_spec import prepare
from tiled_se.gen.fields import options_of
from tiled_se.gen.manifest import manifest
from tiled_se.gen.npz import npz_bytes
from tiled_se.gen.options import SimOptions
from tiled_se.gen.verilog import Design
from tiled_se.gen.wording import config_fields
from tiled_se.hdl.config import ConfigError, Context, Order


def plan_of(folder, text):
    (folder / "a.toml").write_text(text)
    return load_plan(str(folder / "a.toml"))


class TestWork:
    def test_mismatch(self, monkeypatch):
        outcome = types.SimpleNamespace(passed=False, first_failure="first difference in stage sums:\nmore")
        for name, value in (("generate", None), ("run", outcome), ("report", {"mismatches": 1, "config": {}})):
            monkeypatch.setattr(worker, name, lambda *_, value=value: value)
        result = worker.simulate_configuration(SimOptions(k=2, width=4, channels=8, name="mismatching"), {})
        assert (result["status"], result["report"]["mismatches"]) == ("mismatch", 1)
        assert result["reason"] == "first difference in stage sums"

    def test_key_tells_files_and_options_apart(self, tmp_path):
        def key(text, content=b"1"):
            (tmp_path / "se.npz").write_bytes(content)
            (configuration,) = plan_of(tmp_path, f"[[configurations]]\n{text}\n")
            return json.dumps(command._settings(configuration.options, command.Files(str(tmp_path))))

        texts = ["W=4", "W=5", "W=4\nGATE='hardsigmoid'", "W=4\nGATE='hardsigmoid:0.2,0.5'", "W=4\nMID='silu'",
                 "W=4\nNAME='x'", "W=4\nSIM='icarus'", "W=4\nSTALL=0.1", "WEIGHTS='se.npz'"]
        keys = [*map(key, texts), key(texts[-1], b"2")]
        assert len(set(keys)) == len(texts) + 1
        assert key("W=4\nlabel='x'\nK=7") == keys[0]


    def test_key_depends_on_every_file(self, tmp_path):
        """Each variable of a sweep that names a file: its content is in the key, and goes to the worker."""
        names = [name for name in VARIABLES.values() if options_of(SimOptions)[name].convert is formats.file_name]
        assert names == ["hardware", "weights", "input"]
        for name in names:
            options, keys = SimOptions(**{name: "some.file"}), set()
            for content in (b"1", b"2"):
                (tmp_path / "some.file").write_bytes(content)
                files = Files(str(tmp_path))
                assert files.of(options) == {name: ("some.file", content)}
                keys.add(json.dumps(command._settings(options, files)))
            assert len(keys) == 2

    def test_worker_has_the_contents_only(self, tmp_path, monkeypatch):
        """No file of the caller's is there, and its paths stand in what the worker tells."""
        spec = prepare(SimOptions(k=2, width=4, channels=8, macs=1))
        about = manifest(spec, Design("se", spec.config, "", (), (), ()), {})
        files = {"hardware": ("its/manifest.json", json.dumps(about).encode()),
                 "weights": ("se.npz", npz_bytes(weights(8, 2, prior=[0.0] * 8)))}
        options = SimOptions(k=2, width=4, channels=8, **{name: path for name, (path, _) in files.items()})
        ran = []
        monkeypatch.setattr(worker, "generate", lambda *_: None)
        monkeypatch.setattr(worker, "run", lambda spec, _: ran.append(spec) or types.SimpleNamespace(passed=True))
        monkeypatch.setattr(worker, "report", lambda _: {"config": {"weights": ran[-1].options.weights},
                                                         "warnings": ran[-1].warnings})
        result = worker.simulate_configuration(options, files)
        assert (result["status"], result["reason"]) == ("ok", None)
        assert ran[0].config.fingerprint == spec.config.fingerprint
        assert result["report"] == {"config": {"weights": "se.npz"}, "warnings": [
            "WEIGHTS=se.npz has a prior, which this block ignores, as it counts no rows of it: CONTEXT=tile PRIOR=0"]}
        result = worker.simulate_configuration(dataclasses.replace(options, k=3), files)
        assert result["reason"] == "K=3 (--k): must be 2, as HARDWARE=its/manifest.json has it"


class TestTables:
    def test_summary(self, tmp_path):
        plan = plan_of(tmp_path, "[defaults]\nC=8\n[grid]\nSTALL=[0, 0.5]\nW=[4, 5]\n")

        def result(status, error, throughput, bound, seven, reason=None):
            return {"status": status, "reason": reason, "report": {
                "elements": 10, "float_error_lsb": {"max": error}, "cycles": {"steady_throughput": throughput},
                "sram": {"over_bound": bound, "over_tse7": seven}}}

        # In the last block nothing waits.
        results = dict(zip(plan, [
            result("ok", 0.4, 0.9, 1.5, 0.3), {"status": "failed", "reason": "a line"},
            result("mismatch", 9, 0.1, 1.6, 0.2, "stage sums"), result("ok", 0.5, 0.2, None, 0.4)], strict=True))
        summary = tables.summarise(plan, results)
        assert (summary["ok"], summary["mismatch"], summary["failed"], summary["elements"]) == (2, 1, 1, 30)
        assert summary["largest_float_error_lsb"] == {"value": 9, "configuration": "3 W=4 C=8 STALL=0.5"}
        assert summary["lowest_beats_per_cycle"] == {"value": 0.9, "configuration": "1 W=4 C=8 STALL=0"}
        assert summary["largest_over_bound"] == {"value": 1.6, "configuration": "3 W=4 C=8 STALL=0.5"}
        assert summary["largest_over_tse7"] == {"value": 0.4, "configuration": "4 W=5 C=8 STALL=0.5"}
        lines = tables.summary_text(summary).splitlines()
        assert [line for line in lines if line.startswith("memory")] == [
            "memory      1.6 x the bound at most, in 3 W=4 C=8 STALL=0.5",
            "memory      0.4 x seven rows at most, in 4 W=5 C=8 STALL=0.5"]
        assert lines[-2:] == [
            "mismatch    3 W=4 C=8 STALL=0.5: stage sums", "failed      2 W=5 C=8 STALL=0: a line"]

    def test_nothing_worked(self, tmp_path):
        plan = plan_of(tmp_path, "[grid]\nW=[4]\n")
        files = tables.documents(plan, {plan[0]: {"status": "failed", "reason": 'a, "b"'}})
        summary = json.loads(files["summary.json"])
        assert summary["largest_over_bound"] is summary["largest_over_tse7"] is None
        assert files["results.csv"].splitlines()[1].startswith(b'1,,failed,"a, ""b""",7,4,')


    def test_prior_that_is_built(self, tmp_path):
        """A causal block has a row of the prior by default."""
        plan = plan_of(tmp_path, "[grid]\nCONTEXT=['tile', 'cumulative', 'causal']\nPRIOR=['', 2]\n"
                                 "[defaults]\nW=4\nC=8\n")
        results = {c: {"status": "ok", "reason": None, "report": {"config": config_fields(prepare(c.options).config)}}
                   for c in plan}
        rows = list(csv.DictReader(tables.documents(plan, results)["results.csv"].decode().splitlines()))
        # Databases and spreadsheets don't tell capitals from small letters.
        assert len({name.lower() for name in rows[0]}) == len(rows[0])
        assert [(row["PRIOR"], row["built_prior_rows"]) for row in rows] == [
            ("", "0"), ("2", "0"), ("", "0"), ("2", "2"), ("", "1"), ("2", "2")]


class TestPlan:
    def test_order(self, tmp_path):
        plan = plan_of(tmp_path, """
            [[configurations]]
            label = "last"
            K = 5
            [defaults]
            W = 4
            RESIDUAL = true
            [[grid]]
            C = [8, 4]
            STALL = [0, 0.5]
            [[grid]]
            MID = ["silu"]
            W = ["", "9"]
            """)
        assert [str(c) for c in plan] == [
            "1 W=4 C=8 RESIDUAL=1 STALL=0", "2 W=4 C=8 RESIDUAL=1 STALL=0.5", "3 W=4 C=4 RESIDUAL=1 STALL=0",
            "4 W=4 C=4 RESIDUAL=1 STALL=0.5", "5 MID=silu RESIDUAL=1", "6 W=9 MID=silu RESIDUAL=1",
            "7 last: K=5 W=4 RESIDUAL=1"]
        assert plan[3].options.stall == 0.5
        assert plan[4].options.width is None

    def test_shipped_list(self):
        """38 blocks that can be built, no two of them the same, of every context and order."""
        plan = load_plan()
        assert len(plan) == 38
        assert len({c.label for c in plan}) == 38
        assert {c.options.context for c in plan} == set(Context)
        assert {c.options.order for c in plan} == set(Order)
        for configuration in plan:
            prepare(configuration.options)

    @pytest.mark.parametrize(("text", "reason"), [
        ("", "lists no configuration; must hold [defaults], [grid] or [[grid]], and [[configurations]]"),
        ("[defaults]\nW=4", "lists no configuration"),
        ("W = ", "is no TOML: Invalid value"),
        ("a = " + "[" * 2000, "is nested too deeply"),
        ("[grid]\nK = [" + "1" * 5000 + "]", "is no TOML: "),
        ("[sweep]\nW=4", "[sweep] is unknown; must hold"),
        ("defaults = 1", "defaults is no table; must hold"),
        ("grid = 1", "grid is no table of this form"),
        ("configurations = [1]", "configurations is no table of this form"),
        ("[configurations]\nW=4", "configurations is no table of this form"),
        ("[grid]", "[grid] is empty; must have a list of values"),
        ("[grid]\nW = 4", "[grid] W=4: must be a list of one value or more"),
        ("[[grid]]\nW=[1]\n[[grid]]\nW = []", "[[grid]] 2 W=[]: must be a list of one value or more"),
        ("[grid]\nWIDTH = [4]", "[grid] combination 1 WIDTH=4: is no variable of a sweep; must be one of K, W, C, H, "),
        ("[grid]\nTARGET = ['ecp5']", "[grid] combination 1 TARGET=ecp5: is no variable of a sweep"),
        ("[[configurations]]\nWAVES = 1", "[[configurations]] 1 WAVES=1: is no variable of a sweep"),
        ("[[configurations]]\nOUT = 'a'", "[[configurations]] 1 OUT=a: is no variable of a sweep"),
        ("[defaults]\nLANE = 1\n[[configurations]]\nW=4", "[defaults] LANE=1: is no variable of a sweep"),
        ("[defaults]\nlabel = 'a'\n[[configurations]]\nW=4", "[defaults] label=a: must be in [[configurations]] only"),
        ("[grid]\nW = [4, 0]", "[grid] combination 2 W=0: must be an integer from 1 to 65536"),
        ("[grid]\nW = [4.0]", "[grid] combination 1 W=4.0: must be an integer from 1 to 65536"),
        ("[grid]\nW = [true]", "[grid] combination 1 W=true: must be no boolean"),
        ("[grid]\nW = [[4]]", "[grid] combination 1 W=[4]: must be a number, a string or a boolean"),
        ("[[configurations]]\nW = 2026-01-01", "[[configurations]] 1 W=2026-01-01: must be a number, a string or a"),
        ("[[configurations]]\nSTALL = nan", "[[configurations]] 1 STALL=nan: must be a number from 0 to less than 1"),
        ("[[configurations]]\nMID = 'tanh'", "[[configurations]] 1 MID=tanh: must be one of relu, "),
        ("[[configurations]]\nlabel = 3", "[[configurations]] 1 label=3: must be a string of 1 to 60 printable"),
        ("[[configurations]]\nW=4\n[[configurations]]\nW=4\nMACS='auto'", "[[configurations]] 2 is the same as [["),
        ("[grid]\nW=[4, '4']", "[grid] combination 2 is the same as [grid] combination 1; must be a configuration"),
        ("[[configurations]]\nlabel='a'\nW=4\n[[configurations]]\nlabel='a'\nW=5",
         "[[configurations]] 2 label=a: is that of [[configurations]] 1, too"),
        ("[grid]\n" + "".join(f"{name} = [{', '.join(map(str, range(1, 41)))}]\n" for name in ("K", "W", "C", "H")),
         "[grid] has 2560000 combinations; may have 100000 at most"),
    ])
    def test_refused(self, tiled_se, text, reason):
        pathlib.Path("a.toml").write_text(text)
        tiled_se.refuses_as(f"CONFIGS=a.toml (--configs): {reason}", "sweep", "--configs=a.toml")
        assert not pathlib.Path("build").exists()

    def test_byte_order_mark(self, tmp_path):
        """Some editors put one first."""
        path = tmp_path / "a.toml"
        for encoding in ("utf-8", "utf-8-sig"):
            path.write_text('defaults.W = 4\n[[configurations]]\nC = 8\nlabel = "ü"\n', encoding=encoding)
            assert [str(configuration) for configuration in load_plan(str(path))] == ["1 ü: W=4 C=8"]
        path.write_text("[[configurations]]\nC = 8\n", encoding="utf-16")
        with pytest.raises(ConfigError, match="is no UTF-8$"):
            load_plan(str(path))

    def test_unreadable(self, tmp_path):
        with pytest.raises(ConfigError, match="^configs=none.toml: there is no such file; must be a TOML file$"):
            load_plan("none.toml")
        (tmp_path / "a.toml").write_bytes(b"W = '\xff'")
        with pytest.raises(ConfigError, match="is no UTF-8"):
            load_plan(str(tmp_path / "a.toml"))


@pytest.mark.parametrize("text", ["node:8786", "tcp://node", "tcp://node:0", "tcp://node:65536", "tcp://:1", "udp://a:1"])
def test_addresses_refused(tiled_se, text):
    tiled_se.refuses(f"SCHEDULER={text} (--scheduler): must be tcp://HOST:PORT, with a port from 1 to 65535", "sweep",
                     f"--scheduler={text}")


def test_missing_packages(tiled_se, monkeypatch):
    find = command.importlib.util.find_spec
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None if name == "distributed" else find(name))
    tiled_se.refuses("sweep needs distributed: pip install 'tiled-se[sweep]'", "sweep", "--scheduler=tcp://node:8786")
