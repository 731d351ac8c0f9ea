# SPDX-License-Identifier: Apache-2.0
"""`tiled-se verify` with commands that only write a file: what is run again, and the sections of the page."""

import dataclasses
import json
import pathlib
import re

import pytest

from tiled_se import hdl
from tiled_se.batch.store import PACKAGE
from tiled_se.hdl.config import ConfigError
from tiled_se.verify import command
from tiled_se.verify.formal import table as proofs
from tiled_se.verify.formal.source import select
from tiled_se.verify.mutation import summary as mutants
from tiled_se.verify.options import VerifyOptions
from tiled_se.verify.simulators import table as crosschecks
from tiled_se.verify.soak import summary as soaks

DOCS = pathlib.Path(__file__).parents[3] / "docs"
PAGE = "\n\n".join(f"<!-- verify:{name} -->\nold {name}\n<!-- /verify:{name} -->" for name in command.CHECKS)


@pytest.fixture
def calls(monkeypatch):
    """The names of the commands that were run; each writes its name as its result, "soak" finds a fault."""
    names = []

    def fake(name, check):
        def run(options):
            names.append(name)
            (pathlib.Path(options.out) / check.result).write_text(json.dumps({"text": f"new {name}"}))
            return name != "soak"

        return dataclasses.replace(check, run=run, complete=lambda result: name != "mutate",
                                   section=lambda result: result["text"], code=("verify/command.py",))

    monkeypatch.setattr(command, "check_tools", lambda: None)
    # It would start Icarus Verilog, where that is installed.
    monkeypatch.setattr(command, "icarus_version", lambda: "none")
    monkeypatch.setattr(command, "CHECKS", {name: fake(name, check) for name, check in command.CHECKS.items()})
    return names


def test_the_page_has_all_sections_and_keys_their_code():
    page = (DOCS / "verification.md").read_text()
    assert [path for check in command.CHECKS.values() for path in check.code if not (PACKAGE / path).exists()] == []
    assert [name for name in command.CHECKS if page.count(f"<!-- verify:{name} -->") != 1] == []


def test_each_command_is_run_once_and_writes_its_section(calls, tmp_path, capsys):
    docs, out = tmp_path / "docs", str(tmp_path / "out")
    docs.mkdir()
    (docs / "verification.md").write_text(PAGE)
    assert command.verify(VerifyOptions(out=out, docs=str(docs), only=("prove",)))
    assert (docs / "verification.md").read_text() == PAGE.replace("old prove", "new prove")
    # What was right and complete is kept; an incomplete result leaves its section as it is.
    assert not command.verify(VerifyOptions(out=out, docs=str(docs)))
    assert calls == ["prove", "mutate", "crosscheck", "soak"]
    assert (docs / "verification.md").read_text() == PAGE.replace("old", "new").replace("new mutate", "old mutate")
    printed = capsys.readouterr().out
    assert "prove: kept, " in printed
    assert "mutate: the result is not complete; its section stays as it is" in printed
    # What is wrong, incomplete, made by other code or replaced since is run again.
    (tmp_path / "out" / "crosscheck" / "verify.json").write_text('["other"]')
    (tmp_path / "out" / "prove" / "prove.json").write_text('{"text": "another"}')
    assert not command.verify(VerifyOptions(out=out, docs=str(docs)))
    assert calls[4:] == ["prove", "mutate", "crosscheck", "soak"]


def test_other_options_are_another_result(calls, tmp_path, monkeypatch):
    (tmp_path / "verification.md").write_text(PAGE)
    options = VerifyOptions(out=str(tmp_path / "out"), docs=str(tmp_path), only=("crosscheck",))
    assert command.verify(options)
    assert command.verify(options)
    assert calls == ["crosscheck"]
    monkeypatch.setattr(command, "text_of", lambda value: f"other {value}")
    assert command.verify(options)
    assert calls == ["crosscheck", "crosscheck"]


@pytest.mark.parametrize(("page", "only", "option", "allowed"), [
    (PAGE, ("prove", "sim"), "only", "must be one of prove, mutate, crosscheck, soak"),
    (None, None, "docs", "must be a folder with verification.md"),
    (PAGE.replace("<!-- /verify:soak -->", ""), None, "docs",
     "must have the lines '<!-- verify:soak -->' and '<!-- /verify:soak -->' once each, in this order, or neither"),
], ids=["unknown check", "no page", "no end of a section"])
def test_bad_input_is_an_error_before_anything_runs(calls, tmp_path, page, only, option, allowed):
    if page is not None:
        (tmp_path / "verification.md").write_text(page)
    with pytest.raises(ConfigError, match=re.escape(allowed)) as error:
        command.verify(VerifyOptions(out=str(tmp_path / "out"), docs=str(tmp_path), only=only))
    assert (error.value.option, calls, (tmp_path / "out").exists()) == (option, [], False)


def test_sections():
    """Each from a small result; the checked-in page has such lines."""
    fault = {"name": "a fault", "breaks": "order", "verdict": "found", "seconds": 1.0}
    proof = {"component": "queue", "verdict": "proved", "method": "induction", "depth": 2, "seconds": 1.0,
             "properties": [{"name": "order"}, {"name": "room"}], "covers": [{"name": "full", "cycle": 3}]}
    document = {"seconds": 12.3, "proofs": [proof | {"name": "queue depth=3", "faults": [fault]},
                                            proof | {"name": "queue depth=10", "faults": [], "depth": 3,
                                                     "method": "bounded"}]}
    assert not proofs.complete(document)
    assert " ".join(proofs.section(document).splitlines()[:2]) == (
        "It proved 4 properties (2 different ones) in 2 of 2 proofs of 1 kinds, in 12 s. It reached 2 of 2 covers and "
        "found 1 of 1 planted faults. 1 of the different properties have a planted fault.")
    assert proofs.section(document).splitlines()[3:] == [
        "| kind of proof | proofs | properties | covers | faults | cycles of induction | sizes |",
        "|---|---|---|---|---|---|---|", "| queue | 2 | 4 | 2 | 1 | 2, 3 (bounded) | depth 3, 10 |"]
    survivor = {"block": "lanes", "words": "in scale: bit 3 is inverted", "how": "not decided in 10 s"}
    summary = {"seed": 1, "seconds": 9.6, "asked": 1000, "mutants": 1000, "killed": 980, "equivalent": 15,
               "score": 0.995, "survivors": [survivor] * 5,
               "by_kind": {"data": 980, "hang": 0}, "by_phase": {"regression": 977, "other seeds": 1, "further": 2},
               "by_proof": {f"no state{mutants.OVER_CYCLES} in which": 5, "nothing that is read depends on it": 10},
               "by_component": {"scale": {"mutants": 1000, "killed": 980, "equivalent": 15, "survived": 5}},
               "blocks": [{"name": "lanes"}]}
    assert not mutants.complete(summary)
    score, table, _, survivors = mutants.section(summary).split("\n\n")
    assert score.startswith("Result for seed 1, in 10 s: of 1,000 mutants 980 were killed, 15 were proved ")
    assert " ".join(score.split()).endswith(
        "The regression killed 977, its other seeds 1, and the additional parameters 2. Of the equivalent mutants 5 "
        "have only the weaker proof (`by_proof` in `OUT/mutate.json`). Without them the score is 99.00 %.")
    assert table.splitlines()[2:] == ["| scale | 1,000 | 980 | 15 | 5 |"]
    assert survivors.splitlines() == ["- lanes: in scale: bit 3 is inverted; not decided in 10 s"] * 5
    document = {"simulators": {"icarus": "the Verilog, in Icarus"}, "configurations": {
        "headline": {"icarus": {"verdict": "agrees", "cycles": 1234, "scenarios": {"cuts": {}}}}}}
    assert not crosschecks.complete(document)
    assert crosschecks.section(document).splitlines()[2] == "| the Verilog, in Icarus | 1 of 1 | 1 | 1,234 |"
    counts = {"frames": 70, "cut frames": 30, "doubled tlast": 9, "resets": 4, "resets in mid stream": 1, "loads": 8,
              "bad loads": 2, "endless loads": 1}
    summary = {"seed": 1, "configurations": 2, "failed": [], "without_result": {"1": "died"}, "results": [{}],
               "beats": 1500, "cycles": 20_000, "lost": 0, "wrong": 0, "counts": counts,
               "by_context": {"causal": {"blocks": 2, "beats": 1500, "lost": 0, "wrong": 0}}}
    assert not soaks.complete(summary)
    assert " ".join(soaks.section(summary).split()) == (
        "Result for seed 1: 2 of 2 blocks correct; 1,500 beats compared in 20,000 cycles, 0 lost, 0 wrong. The runs "
        "had 70 frames, of which 30 were cut, and 9 were followed by beats with tlast, too; 4 resets, of which 1 in "
        "the middle of a stream; 8 loads and 3 bad streams. | context | blocks | beats | lost | wrong | "
        "|---|---|---|---|---| | causal | 2 | 1,500 | 0 | 0 |")


def test_planted_faults_fit_the_sources():
    """The text that each fault replaces is in its file, once."""
    folder = pathlib.Path(hdl.__file__).parent
    faults = [fault for _, _, proof in select(None) for fault in proof.faults]
    assert [fault.name for fault in faults if (folder / fault.file).read_text().count(fault.old) != 1] == []
    assert len(faults) > 100


def test_file_in_the_place_of_a_folder_is_found_before_any_command(calls, tmp_path):
    (tmp_path / "verification.md").write_text(PAGE)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "soak").touch()
    with pytest.raises(ConfigError, match="soak: is not a folder"):
        command.verify(VerifyOptions(out=str(tmp_path / "out"), docs=str(tmp_path)))
    assert calls == []
