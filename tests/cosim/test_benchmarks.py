# SPDX-License-Identifier: Apache-2.0
"""`tiled-se bench`: what it plans, measures, keeps and writes."""

import json
import os
import pathlib
import re
import shutil
import types

import pytest

from tests.helpers import measuring
from tests.helpers.nightly import nightly
from tests.unit.evaluate.test_bench import SMALL, cells
from tiled_se.evaluate import measure
from tiled_se.evaluate.bench import command, document, plan, tables
from tiled_se.evaluate.bench.sums import network_memory
from tiled_se.evaluate.networks import load_networks
from tiled_se.evaluate.tasks import FORMS, RUNNING, Kind, original, running, tiled
from tiled_se.gen import simulation

TINY = {"networks": {"Tiny": {"input": [28, 24], "source": "nowhere", "blocks": [[14, 12, 16, 4, 3]]}}}


class TestMeasure:
    def test_same_verilog_is_not_simulated_again(self, tmp_path, monkeypatch):
        """A change of the sources that leaves the hardware as it is repeats the prediction only."""
        runs = []
        monkeypatch.setattr(measure, "_simulate", lambda *_: runs.append(1) or {"total_cycles": 5})
        monkeypatch.setattr(measure, "Local", measuring.InPlace)
        task = tiled(Kind.CYCLES, SMALL)

        def measured():
            results, failures = measure.measure([task], "measurements", str(tmp_path))
            assert not failures
            return results[task]

        first = measured()
        now = measure.identity()
        monkeypatch.setattr(measure, "identity", lambda: now | {"sources": "other"})
        monkeypatch.setattr(measure, "_analytic", lambda job: {"total_cycles": 6})
        assert measured() == first | {"analytic": {"total_cycles": 6}}
        assert len(runs) == 1
        monkeypatch.setattr(measure, "generate", lambda *_: pytest.fail("generated again"))
        assert measured()["simulated"] == {"total_cycles": 5}

    def test_wrong_output_is_no_result(self, tmp_path, monkeypatch):
        wrong = types.SimpleNamespace(passed=False, first_failure="one element differs")
        monkeypatch.setattr(simulation, "run", lambda *_, **__: wrong)
        monkeypatch.setattr(measure, "Local", measuring.InPlace)
        (failure,) = measure.measure([tiled(Kind.CYCLES, SMALL)], "measurements", str(tmp_path))[1].values()
        assert failure == "mismatch: one element differs"
        assert list(tmp_path.iterdir()) == []


def measured_in(folder, tasks):
    """The results of `tasks`, measured by two processes or kept in `folder`."""
    results, failures = measure.measure(tasks, "measurements", str(folder), 2)
    assert not failures
    return results


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A folder with real results for all of one small network."""
    folder = tmp_path_factory.mktemp("results")
    (folder / "tiny.json").write_text(json.dumps(TINY))
    measured_in(folder, plan.make_plan(load_networks(f"{folder}/tiny.json"), headline=False).tasks)
    return folder


@pytest.fixture
def results(measured):
    """The plan for that network, and its results."""
    tiny = plan.make_plan(load_networks(f"{measured}/tiny.json"), headline=False)
    return tiny, measured_in(measured, tiny.tasks)


@pytest.mark.xdist_group("measured")  # one process makes what they share
class TestDocument:
    def test_block_is_as_simulated(self, results, tiled_se):
        """The row has what `make sim` reports for the same block."""
        tiny, found = results
        tiled_se.passes("sim", "--k=7", "--width=12", "--channels=16", "--squeeze=4", "--height=14", "--out=out")
        report = json.loads(pathlib.Path("out/report.json").read_text())
        row = cells(tables.blocks(tiny, found), "14 x 12 x 16 x 4")
        total, sram = f"{report['cycles']['total']:,}", report["sram"]
        assert row[1:3] == [str(report["config"]["lanes"]), str(report["config"]["macs"])]
        assert row[3:7] == [str(report["predicted"]["excite_cycles"]), str(7 * 12 * 2), "yes", ""]
        assert row[7:11] == ["1.0000", "1.0000", total, total]
        assert row[11:] == [f"{sram['tile_buffer_peak_elements']:,}", f"{sram['bound_bits']:,}",
                            f"{sram['total_without_weights_bits']:,}", f"{sram['over_bound']:.3f}"]

    def test_network_adds_its_blocks_up(self, results):
        tiny, found = results
        for most in plan.LANES_LIMITS:
            bits = {form: found[task]["sram"]["total_without_weights_bits"]
                    for form, task in tiny.memory[SMALL, most].items()}
            sums = network_memory(tiny.networks[0], most, tiny, found)
            assert sums.bits == {form: 3 * value for form, value in bits.items()}
            assert sums.maps == 3 * 8 * 14 * 12 * 16
            assert sums.reduction("tse") == pytest.approx(1 - bits["tse"] / bits["se"])
            # One row of tiles less: about a half.
            assert 0.2 < sums.reduction("tse") < 0.5 < sums.reduction("cumulative") < sums.reduction("causal")
        row = cells(tables.networks(tiny, found), "Tiny | 28 x 24 | 3 | 8")
        less = {form: f"{100 * (1 - sums.bits[form] / sums.bits['se']):.2f} %" for form in FORMS}
        assert row[4:7] == [f"{sums.maps:,}", f"{sums.bits['se']:,}", f"{sums.bits['tse']:,}"]
        assert row[7:9] == [less["tse"], f"{100 * (1 - sums.bits['tse'] / sums.maps):.2f} %"]
        assert row[9:] == [cell for context in RUNNING
                           for cell in (f"{sums.bits[context.value]:,}", less[context.value])]

    @pytest.mark.parametrize(("context", "first"), [("cumulative", 1), ("causal", 6)])
    def test_contexts_are_as_generated(self, results, tiled_se, context, first):
        """The row has what `make verilog` writes for the same block."""
        row = cells(tables.running(*results), "14 x 12 x 16 x 4")[first:first + 5]
        tiled_se.passes("verilog", f"--k={row[0]}", "--width=12", "--channels=16", "--squeeze=4", "--out=out",
                        f"--context={context}", "--prior-rows=1", "--max-rows=14")
        manifest = json.loads(pathlib.Path("out/manifest.json").read_text())
        assert manifest["latency"]["full_rate"]
        assert row[1:] == [str(manifest["config"]["macs"]), f"{manifest['sram']['total_without_weights_bits']:,}",
                           f"{manifest['sram']['over_tse7']:.3f}",
                           str(manifest["latency"]["first_input_beat_to_first_output_beat"])]

    def test_missing_results_are_told(self, results):
        tiny, found = results
        some = {task: result for task, result in found.items() if task != tiny.cycles[SMALL]}
        files = document.document(tiny, some, {tiny.cycles[SMALL]: "Trouble: why"}, "make bench")
        text = files[document.DOCUMENT].decode()
        assert cells(text, "14 x 12 x 16 x 4")[1] == "failed"
        assert "## Failed\n\n- `cycles K=7 W=12 C=16 H=14 CR=4 LANES=8 FRAMES=2`: Trouble: why\n" in text
        assert list(files) == [document.DOCUMENT]

    def test_pictures_are_those_shown_and_always_the_same(self, results):
        tiny, found = results
        files = document.document(tiny, found, {}, "make bench")
        assert files == document.document(tiny, found, {}, "make bench")
        text = files[document.DOCUMENT].decode()
        assert re.findall(r"\]\((.*\.svg)\)", text) == [name for name in files if name.endswith(".svg")]
        picture = files[document.PLOTS["networks"]].decode()
        for label in ("Tiny", "SE, up to 8 lanes", "TSE, k = 7, 1 lane", "cumulative", "causal", "Mbit"):
            assert label in picture
        assert "dc:date" not in picture
        assert "Failed" not in text

    @nightly  # the other pictures are drawn in every run
    def test_headline_pictures(self, tmp_path, results):
        """Sweeps of a small block in the headline's place."""
        tasks = [*(form(Kind.CYCLES, SMALL, occupancy=True) for form in (original, tiled)),
                 *(running(Kind.CYCLES, SMALL, context, occupancy=True) for context in RUNNING)]
        swept = {8: (tiled(Kind.MEMORY, SMALL, macs=1), tiled(Kind.MEMORY, SMALL, macs=4)),
                 1: (tiled(Kind.MEMORY, SMALL, 1, macs=1), tiled(Kind.MEMORY, SMALL, 1, macs=4))}
        sweep = plan.Plan(variants=(tiled(Kind.CYCLES, SMALL),), macs=swept, occupancy=tuple(tasks),
                          contexts=tuple(running(Kind.CYCLES, SMALL, context) for context in RUNNING))
        found = measured_in(tmp_path, sweep.tasks)
        whole, curve, *others = (found[task]["simulated"]["occupancy"] for task in tasks)
        # What is on its way through the pipeline is in the block, too, but no more in the tile buffer.
        assert 0 <= max(curve["elements"]) - found[tasks[1]]["simulated"]["peak_elements"] < 10 * 8
        # The original form holds more than a frame, the tiled one less, and the others less still.
        assert max(curve["elements"]) < 14 * 12 * 16 < max(whole["elements"])
        assert max(curve["elements"]) > max(others[0]["elements"]) > max(others[1]["elements"])
        assert len(curve["elements"]) * curve["step"] >= 2 * 14 * 12 * 2
        files = document.document(sweep, found, {}, "make bench")
        assert b"LANES=8" in files[document.PLOTS["macs"]]
        picture = files[document.PLOTS["occupancy"]].decode()
        for label in ("elements in the block", "SE: 14 rows", "TSE: 7 rows", "cumulative: 1 row =", "causal: 0 rows"):
            assert label in picture
        rows = [cells(tables.contexts(sweep, found), f"`{tables.command(task)}`")
                for task in (*sweep.variants, *sweep.contexts)]
        assert [row[4] for row in rows] == [row[5] for row in rows]
        assert [row[-3] for row in rows] == [f"{8 * rows_waiting * 12 * 16:,}" for rows_waiting in (7, 1, 0)]
        assert all(row[8] == row[9] for row in rows)


@pytest.mark.xdist_group("measured")
class TestCommand:
    @pytest.fixture
    def kept(self, measured, tmp_path):
        """A folder "results" with all that was measured of the small network."""
        shutil.copytree(measured, tmp_path / "results")
        return tmp_path / "results"

    def test_kept_results(self, kept, tiled_se):
        """What was measured makes the document without being measured again."""
        finished = tiled_se.passes("bench", "--network=results/tiny.json", "--out=results", "--docs=pages")
        assert "16 measurements, 16 of them finished before" in finished.out
        assert sorted(os.listdir("pages")) == ["benchmarks-networks.svg", "benchmarks.md"]
        assert "make bench NETWORK=results/tiny.json\n" in pathlib.Path("pages/benchmarks.md").read_text()

    def test_failing_configuration(self, kept, tiled_se):
        """Its row says so, the others have theirs, and the status is 1."""
        finished = tiled_se("bench", "--blocks=14x12x16x4,7x1x65536x65536", "--out=results")
        assert finished.status == 1
        reason = "ConfigError: squeeze=65536: must be smaller: C*CR = 4294967296 may be 16777216 at most"
        line = f"failed      cycles K=7 W=1 C=65536 H=7 CR=65536 LANES=8 FRAMES=2: {reason}"
        assert line in finished.out.splitlines()
        text = (kept / "benchmarks.md").read_text()
        assert cells(text, "7 x 1 x 65536 x 65536")[1] == "failed"
        assert cells(text, "14 x 12 x 16 x 4")[7] == "1.0000"
        assert reason in text.split("## Failed")[1]
        assert not pathlib.Path("docs").exists()

    def test_wrong_prediction(self, kept, results, tiled_se, monkeypatch):
        tiny, _ = results

        def wrong(*arguments):
            results, failures = measure.measure(*arguments)
            results[tiny.cycles[SMALL]]["analytic"]["total_cycles"] += 1
            return results, failures

        monkeypatch.setattr(command, "measure", wrong)
        finished = tiled_se("bench", "--blocks=14x12x16x4", "--out=results")
        assert finished.status == 1
        assert "LANES=8 FRAMES=2: analytic and simulated cycles differ" in finished.out
