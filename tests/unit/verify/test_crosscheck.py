# SPDX-License-Identifier: Apache-2.0
"""`tiled-se crosscheck` without a simulator: which configurations, what differs, and what is written."""

import json
import re

import pytest

from tiled_se.hdl.config import ConfigError
from tiled_se.verify.configurations import NAMED
from tiled_se.verify.options import CrosscheckOptions
from tiled_se.verify.simulators import REFERENCE, SIMULATORS, command, crosscheck, select
from tiled_se.verify.simulators.compare import differences


def test_what_differs_is_named():
    fine = {"failures": [], "outputs": "ab", "sections": [{"total": 3}, {"total": 8}], "status": {"status_loaded": 1},
            "snapshots": {"before": {"cycle": 4, "loaded": 0}}, "cycles": 12}
    reference = {"scenarios": {"cuts": fine}}
    assert differences(reference, reference) == []
    for change, text in (
            ({"outputs": "cd"}, "cuts: outputs: cd instead of ab"),
            ({"sections": [{"total": 3}, {"total": 9}]}, "cuts: sections: number 1: total: 9 instead of 8"),
            ({"sections": [{"total": 3}]}, "cuts: sections: [{'total': 3}] instead of [{'total': 3}, {'total': 8}]"),
            ({"status": {"status_loaded": None}}, "cuts: status: status_loaded: None instead of 1"),
            ({"snapshots": {"before": {"cycle": 4, "loaded": 2}}}, "cuts: snapshots: before: loaded: 2 instead of 0"),
            ({"cycles": 13}, "cuts: cycles: 13 instead of 12"),
            ({"failures": ["stream: hang"]}, "cuts: stream: hang")):
        assert differences(reference, {"scenarios": {"cuts": fine | change}}) == [text]


def test_select():
    assert select(None) == list(NAMED)
    assert select(("UINT8 about 255",)) == ["uint8 about 255, loadable"]
    assert select(("headline", "cr=1")) == ["K=1, CR=1", "headline"]
    with pytest.raises(ConfigError, match="only=nothing: must be in one of the names: original SE") as caught:
        select(("headline", "nothing"))
    assert caught.value.option == "only"


@pytest.mark.parametrize(("cycles", "failing", "right"), [
    ({}, (), True), ({"cxxrtl": 13}, (), False), ({}, ("ecp5",), False), ({}, (REFERENCE,), False)])
def test_command(monkeypatch, tmp_path, capsys, cycles, failing, right):
    """A simulator that differs or fails makes the result bad; one that isn't installed is left out."""
    def record(task):
        return {"beats": 5, "cycles": 12, "build_seconds": 1.0, "run_seconds": 0.5, "left_out": [],
                "scenarios": {"cuts": {"failures": [], "cycles": cycles.get(task.simulator, 12)}}}

    def run(self, *_, **__):
        self.results = {task: record(task) for task in self.tasks if task.simulator not in failing}
        self.failures = dict.fromkeys(set(self.tasks) - set(self.results), "BuildError: no memory")

    monkeypatch.setattr(command.Campaign, "run", run)
    monkeypatch.setenv("PATH", str(tmp_path))
    options = CrosscheckOptions(only=("headline",), jobs=1, out=str(tmp_path / "out"))
    assert crosscheck(options) is right
    records = json.loads((tmp_path / "out" / "crosscheck.json").read_text())["configurations"]["headline"]
    printed = capsys.readouterr().out
    assert list(records) == list(SIMULATORS)
    assert records["icarus"] == {"verdict": "not run", "reason": "iverilog is not on PATH"}
    assert "left out: icarus: iverilog is not on PATH" in printed
    if cycles:
        assert (records["cxxrtl"]["verdict"], records["amaranth"]["verdict"]) == ("differs", "agrees")
        assert "headline: cxxrtl: cuts: cycles: 13 instead of 12" in printed
    for name in failing:
        assert records[name] == {"verdict": "error", "reason": "BuildError: no memory"}
    if right:
        assert re.search(r"^headline +12 +12 +n\.a\. +12 +12 +n\.a\.$", printed, re.M)
