# SPDX-License-Identifier: Apache-2.0
"""`tiled-se bench`: what it plans, measures, keeps and writes."""

import collections
import json
import pathlib
import re
import shutil

import pytest

from tests.helpers import measuring
from tiled_se.evaluate import measure
from tiled_se.evaluate.bench import command, document, plan, tables
from tiled_se.evaluate.bench.sums import Findings, network_memory
from tiled_se.evaluate.networks import Block, chosen_blocks, load_networks
from tiled_se.evaluate.tasks import FRAMES, MOST_BEATS, K, Kind, original, simulated_height, tiled
from tiled_se.gen import simulation
from tiled_se.hdl.config import ConfigError
from tiled_se.hdl.sizing import lanes_within

SHARED = pathlib.Path(__file__).parents[3] / "shared/data/networks.json"
# Two full tiles, in which excite is done long before the tile is.
SMALL = Block(14, 12, 16, 4)
TINY = {"networks": {"Tiny": {"input": [28, 24], "source": "nowhere", "blocks": [[14, 12, 16, 4, 3]]}}}


@pytest.fixture(scope="module")
def blocks():
    return sorted({block for network in load_networks() for block in network.blocks})


class TestNetworks:
    def test_numbers(self, blocks):
        assert len(load_networks()) == 17
        assert len(blocks) == 144

    def test_source(self):
        """The data file holds what was read from the networks' own sources."""
        if not SHARED.exists():
            pytest.skip(f"{SHARED} is not there")
        wanted = json.loads(SHARED.read_text())
        assert [network.name for network in load_networks()] == list(wanted)
        for network in load_networks():
            about = wanted[network.name]
            assert (list(network.input), network.source) == (about["input"], about["source"])
            assert {block: block.count for block in network.blocks} == collections.Counter(
                Block(b["H"], b["W"], b["C"], b["CR"]) for b in about["se_blocks"])

    def test_chosen(self):
        names = [network.name for network in load_networks("EfficientDet-D2,EfficientNet-B0,EfficientDet-D2")]
        assert names == ["EfficientDet-D2", "EfficientNet-B0"]
        assert chosen_blocks("56x56x64x16,7x8x9x1,56x56x64x16") == (Block(56, 56, 64, 16), Block(7, 8, 9, 1))

    @pytest.mark.parametrize(("text", "reason"), [
        ("", "must hold"), ("[]", "must hold"), ('{"networks": {"a": {}}}', "must hold"),
        ('{"networks": {"a": {"input": [1, 1], "source": "", "blocks": [[1, 2, 3, 4]]}}}', "must hold"),
        ('{"networks": {"a": {"input": [1, 1], "source": "", "blocks": [[1, 2, 3, 0, 1]]}}}', "must hold"),
        ('{"networks": {"a": {"input": [1, 1], "source": "", "blocks": [[1, 2, 3, "4", 1]]}}}', "must hold"),
        (None, "can't be read: No such file or directory"),
    ])
    def test_bad_file(self, tiled_se, tmp_path, text, reason):
        if text is not None:
            (tmp_path / "own.json").write_text(text)
        finished = tiled_se("bench", "--network=own.json")
        assert finished.status == 2
        assert finished.err.startswith(f"tiled-se: error: NETWORK=own.json (--network): {reason}")
        assert not (tmp_path / "build").exists()

    @pytest.mark.parametrize(("option", "line"), [
        ("--network=EfficientNet", "NETWORK=EfficientNet (--network): must be a .json file or one of RegNetY-200MF, "),
        ("--blocks=56x56x64", "BLOCKS=56x56x64 (--blocks): must be blocks as HxWxCxCR, like 56x56x64x16, with"),
        ("--blocks=0x56x64x16", "BLOCKS=0x56x64x16 (--blocks): must be blocks as HxWxCxCR"),
        ("--jobs=0", "JOBS=0 (--jobs): must be an integer from 1 to 1024"),
    ])
    def test_refused(self, tiled_se, option, line):
        finished = tiled_se("bench", option)
        assert finished.status == 2
        assert finished.err.startswith(f"tiled-se: error: {line}")


class TestPlan:
    def test_reduced_height(self, blocks):
        """Every last tile keeps its rows; a frame has two full ones; no simulation is longer than it has to be."""
        for block in blocks:
            lanes = lanes_within(block.channels)
            height = simulated_height(block, lanes)
            row = block.width * block.channels // lanes
            assert height % K == block.height % K
            assert height // K >= min(2, block.height // K)
            assert FRAMES * height * row <= MOST_BEATS or height // K == min(2, block.height // K)
            # As high as can be.
            assert height == block.height or FRAMES * (height + K) * row > MOST_BEATS

    def test_some_heights(self):
        assert simulated_height(Block(56, 56, 64, 16), 8) == 56
        assert simulated_height(Block(128, 256, 960, 240), 8) == 16
        assert simulated_height(Block(9, 60000, 8, 2), 8) == 9

    def test_every_block_has_its_row(self, blocks):
        found = plan.make_plan(load_networks())
        assert list(found.cycles) == list(found.latency) == blocks
        assert {block for block, _ in found.memory} == set(blocks)
        assert len(found.tasks) == len(set(found.tasks))
        assert {task.kind for task in found.tasks} == set(Kind)
        assert all(task.options.lanes <= most for (_, most), pair in found.memory.items() for task in pair)
        assert all(pair[1].options.k == block.height for (block, _), pair in found.memory.items())

    def test_limited(self):
        found = plan.make_plan((), (SMALL,), headline=False)
        assert list(found.cycles) == [SMALL]
        assert not found.variants
        assert not found.synth

    def test_variables_repeat_the_task(self):
        task = tiled(Kind.CYCLES, plan.HEADLINE, 1, sram_overhead=0.02)
        assert task.variables == "K=7 W=56 C=64 H=56 CR=16 LANES=1 SRAM_OVERHEAD=0.02 FRAMES=2"
        assert tables.command(task) == "K=7 W=56 C=64 LANES=1 SRAM_OVERHEAD=0.02"


class TestMeasure:
    def test_settings_tell_tasks_apart(self):
        tasks = [tiled(Kind.MEMORY, SMALL), tiled(Kind.MEMORY, SMALL, 4), tiled(Kind.MEMORY, SMALL, slack=0),
                 original(Kind.MEMORY, SMALL), tiled(Kind.CYCLES, SMALL), tiled(Kind.CYCLES, SMALL, occupancy=True),
                 tiled(Kind.CYCLES, SMALL, seed=2), tiled(Kind.SYNTH, SMALL, target="ecp5"),
                 tiled(Kind.SYNTH, SMALL, target="ice40")]
        settings = [json.dumps(task.settings) for task in tasks]
        assert len(set(settings)) == len(tasks)

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
        model = simulation._golden

        def wrong(job, x):
            golden, stages = model(job, x)
            golden[1, 3, 2, 5] ^= 1
            return golden, stages

        monkeypatch.setattr(simulation, "_golden", wrong)
        monkeypatch.setattr(measure, "Local", measuring.InPlace)
        (failure,) = measure.measure([tiled(Kind.CYCLES, SMALL)], "measurements", str(tmp_path))[1].values()
        assert failure.startswith("not bit-exact: ")
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


def cells(text, first):
    """The cells of the table row that begins with `first`."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


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
            pair = [found[task]["sram"]["total_without_weights_bits"] for task in tiny.memory[SMALL, most]]
            sums = network_memory(tiny.networks[0], most, tiny, found)
            assert (sums.tiled, sums.original) == (3 * pair[0], 3 * pair[1])
            assert sums.maps == 3 * 8 * 14 * 12 * 16
            assert sums.reduction == pytest.approx(1 - pair[0] / pair[1])
            # One row of tiles less: about a half.
            assert 0.2 < sums.reduction < 0.5
        row = cells(tables.networks(tiny, found), "Tiny | 28 x 24 | 3 | 8")
        assert row[4:7] == [f"{sums.maps:,}", f"{sums.original:,}", f"{sums.tiled:,}"]
        assert row[7:] == [f"{100 * sums.reduction:.2f} %", f"{100 * (1 - sums.tiled / sums.maps):.2f} %"]

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
        for label in ("Tiny", "SE, up to 8 lanes", "TSE, 1 lane", "Mbit"):
            assert label in picture
        assert "dc:date" not in picture
        assert "Failed" not in text

    def test_headline_pictures(self, tmp_path, results):
        """Sweeps of a small block in the headline's place."""
        tasks = [form(Kind.CYCLES, SMALL, occupancy=True) for form in (tiled, original)]
        swept = {8: (tiled(Kind.MEMORY, SMALL, macs=1), tiled(Kind.MEMORY, SMALL, macs=4)),
                 1: (tiled(Kind.MEMORY, SMALL, 1, macs=1), tiled(Kind.MEMORY, SMALL, 1, macs=4))}
        sweep = plan.Plan(variants=(tiled(Kind.CYCLES, SMALL),), macs=swept, occupancy=tuple(tasks))
        found = measured_in(tmp_path, sweep.tasks)
        curve, whole = (found[task]["simulated"]["occupancy"] for task in tasks)
        # What is on its way through the pipeline is in the block, too, but no more in the tile buffer.
        assert 0 <= max(curve["elements"]) - found[tasks[0]]["simulated"]["peak_elements"] < 10 * 8
        # The original form holds more than a frame, the tiled one less.
        assert max(curve["elements"]) < 14 * 12 * 16 < max(whole["elements"])
        assert len(curve["elements"]) * curve["step"] >= 2 * 14 * 12 * 2
        files = document.document(sweep, found, {}, "make bench")
        assert b"LANES=8" in files[document.PLOTS["macs"]]
        assert b"elements in the block" in files[document.PLOTS["occupancy"]]

    def test_synthesis_row(self):
        """A tool may leave figures out; what it gives stands as it is."""
        task = tiled(Kind.SYNTH, SMALL, 4, target="ecp5")
        found = {"config": {"macs": 3}, "sram": {"over_bound": 1.0826}, "synth": {
            "luts": 2300, "ffs": 1, "dsps": None, "block_rams": "crashed", "block_ram_bits_over_bound": 1.0,
            "fmax_mhz": {"1": 170.0, "2": 160.5}, "fmax_mhz_median": 165.25,
            "critical_path": {"modules": {"excite.mac": {"delay_ns": 4.5}, "top": {"delay_ns": 1.55}}}}}
        sections = plan.Plan(synth=(task,))
        assert cells(tables.synth(sections, {task: found}), "ecp5")[1:] == [
            "4", "3", "2,300", "1", "-", "crashed", "-", "1", "1.083", "165.2 (170.0, 160.5)",
            "excite.mac 4.50, top 1.55"]
        found["synth"] |= {"fmax_mhz": None, "fmax_missing": "no room", "critical_path": None}
        assert cells(tables.synth(sections, {task: found}), "ecp5")[-2:] == ["- (no room)", "-"]

    def test_findings(self, results):
        tiny, found = results
        task = tiny.cycles[SMALL]
        assert Findings(tiny, found).problems == {}
        simulated = found[task]["simulated"]
        slow = found | {task: found[task] | {"simulated": simulated | {"steady_throughput": 0.99}}}
        assert Findings(tiny, slow).broken == [task]
        short = slow | {task: slow[task] | {"shortest_tile_beats": slow[task]["excite_cycles"] - 1}}
        assert (Findings(tiny, short).slow, Findings(tiny, short).broken) == ([task], [])
        late = found | {task: found[task] | {"simulated": simulated | {"first_output_latency": 1}}}
        assert Findings(tiny, late).problems == {task: "analytic and simulated cycles differ"}


@pytest.mark.xdist_group("measured")
class TestCommand:
    @pytest.fixture
    def kept(self, measured, tmp_path):
        """A folder "results" with all that was measured of the small network."""
        shutil.copytree(measured, tmp_path / "results")
        return tmp_path / "results"

    def test_goes_on_where_it_ended(self, kept, tiled_se):
        """Of results that are gone each is measured again, no other is, and the document is the same."""
        run = ("bench", "--network=results/tiny.json", "--out=results", "--docs=pages", "--jobs=2")
        finished = tiled_se.passes(*run)
        assert "/8]" not in finished.out
        pages = {path.name: path.read_bytes() for path in pathlib.Path("pages").iterdir()}
        assert sorted(pages) == ["benchmarks-networks.svg", "benchmarks.md"]
        assert b"make bench NETWORK=results/tiny.json\n" in pages["benchmarks.md"]
        simulated = [path for path in kept.glob("[0-9a-f]*.json") if "simulated" in json.loads(path.read_text())]
        others = [path for path in kept.glob("[0-9a-f]*.json") if path not in simulated]
        for path in (*simulated[:2], others[0], next(kept.glob("rtl-*"))):
            path.unlink()
        finished = tiled_se.passes(*run)
        assert "8 measurements, 5 of them finished before; 2 at a time" in finished.out
        assert [line[:5] for line in finished.out.splitlines() if line.startswith("[")] == ["[6/8]", "[7/8]", "[8/8]"]
        assert {path.name: path.read_bytes() for path in pathlib.Path("pages").iterdir()} == pages

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

    def test_wrong_prediction(self, kept, tiled_se, monkeypatch):
        monkeypatch.setattr(measure, "measure_task", measuring.off_by_one)
        shutil.rmtree(kept)
        finished = tiled_se("bench", "--blocks=14x12x16x4", "--out=results", "--jobs=2")
        assert finished.status == 1
        assert "LANES=8 FRAMES=2: analytic and simulated cycles differ" in finished.out

    def test_missing_packages(self, tiled_se, monkeypatch):
        monkeypatch.setattr(command, "PACKAGES", ("matplotlib", "no_such_package"))
        tiled_se.refuses("bench needs no_such_package: pip install 'tiled-se[bench,synth]'", "bench")


def test_lanes():
    assert [lanes_within(c, 8) for c in (64, 60, 49, 11)] == [8, 6, 7, 1]
    assert [lanes_within(c, 2) for c in (64, 49)] == [2, 1]


def test_refusal_names_the_option():
    with pytest.raises(ConfigError, match="^blocks=1x2: must be blocks"):
        chosen_blocks("1x2")
