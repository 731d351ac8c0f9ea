# SPDX-License-Identifier: Apache-2.0
"""`tiled-se bench` without a tool: what it plans, finds and refuses."""

import dataclasses
import json
import os

import pytest

from tiled_se.evaluate.bench import command, plan, tables
from tiled_se.evaluate.bench.sums import Findings
from tiled_se.evaluate.measure import _prepared, _shortest_tile
from tiled_se.evaluate.networks import BlockShape, chosen_blocks, load_networks
from tiled_se.evaluate.tasks import (
    FORMS,
    FRAMES,
    MOST_BEATS,
    RUNNING,
    K,
    Kind,
    original,
    running,
    simulated_height,
    tiled,
)
from tiled_se.gen.block_spec import prepare
from tiled_se.gen.fpga.targets import Target
from tiled_se.gen.options import BlockOptions
from tiled_se.hdl.config import ConfigError, Context, Order, Tiling
from tiled_se.hdl.sizing import lanes_within
from tiled_se.hdl.timing import Timing

# Two full tiles, in which excite is done long before the tile is.
SMALL = BlockShape(14, 12, 16, 4)


def cells(text, first):
    """The cells of the table row that begins with `first`."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.fixture(scope="module")
def blocks():
    return sorted({block for network in load_networks() for block in network.blocks})


class TestNetworks:
    def test_numbers(self, blocks):
        assert len(load_networks()) == 17
        assert len(blocks) == 144

    def test_chosen(self):
        names = [network.name for network in load_networks("EfficientDet-D2,EfficientNet-B0,EfficientDet-D2")]
        assert names == ["EfficientDet-D2", "EfficientNet-B0"]
        assert chosen_blocks("56x56x64x16,7x8x9x1,56x56x64x16") == (BlockShape(56, 56, 64, 16), BlockShape(7, 8, 9, 1))

    def test_byte_order_mark(self, tmp_path):
        """Some editors put one first."""
        path = tmp_path / "own.json"
        text = '{"networks": {"ü": {"input": [8, 8], "source": "", "blocks": [[4, 4, 8, 2, 1]]}}}'
        for encoding in ("utf-8", "utf-8-sig"):
            path.write_text(text, encoding=encoding)
            assert [network.name for network in load_networks(str(path))] == ["ü"]

    @pytest.mark.parametrize(("text", "reason"), [
        ("[]", "must hold"), ('{"networks": {"a": {}}}', "must hold"),
        *((f'{{"networks": {{"a": {{"input": [1, 1], "source": "", "blocks": [[{block}]]}}}}}}', "must hold")
          for block in ("1, 2, 3, 4", "1, 2, 3, 0, 1", '1, 2, 3, "4", 1')),
        (None, "there is no such file; must be a .json file"),
    ])
    def test_bad_file(self, tmp_path, text, reason):
        if text is not None:
            (tmp_path / "own.json").write_text(text)
        with pytest.raises(ConfigError, match=f"^network=.*own.json: {reason}"):
            load_networks(f"{tmp_path}/own.json")

    @pytest.mark.parametrize(("option", "line"), [
        ("--network=EfficientNet", "NETWORK=EfficientNet (--network): must be a .json file or one of RegNetY-200MF, "),
        ("--blocks=56x56x64", "BLOCKS=56x56x64 (--blocks): must be blocks as HxWxCxCR, like 56x56x64x16, with"),
        ("--blocks=0x56x64x16", "BLOCKS=0x56x64x16 (--blocks): must be blocks as HxWxCxCR"),
        ("--jobs=0", "JOBS=0 (--jobs): must be an integer from 1 to 1024"),
    ])
    def test_refused(self, tiled_se, option, line):
        tiled_se.refuses_as(line, "bench", option)
        assert os.listdir() == []


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
        assert simulated_height(BlockShape(56, 56, 64, 16), 8) == 56
        assert simulated_height(BlockShape(128, 256, 960, 240), 8) == 16
        assert simulated_height(BlockShape(9, 60000, 8, 2), 8) == 9

    def test_every_block_has_its_row(self, blocks):
        found = plan.make_plan(load_networks())
        assert list(found.cycles) == list(found.latency) == blocks
        assert {block for block, _ in found.memory} == set(blocks)
        assert len(found.tasks) == len(set(found.tasks))
        assert {task.kind for task in found.tasks} == set(Kind)
        assert all(list(tasks) == list(FORMS) for tasks in found.memory.values())
        assert all(task.options.lanes <= most for (_, most), tasks in found.memory.items() for task in tasks.values())
        for (block, _), tasks in found.memory.items():
            assert tasks["se"].options.k == block.height
            for context in RUNNING:
                options = tasks[context.value].options
                assert (options.context, options.k, options.prior_rows, options.max_rows) == (
                    context, 1, 1, block.height)
        # No more than K=1, and a default of MAX_ROWS.
        assert [tables.command(task) for task in found.contexts[:2]] == [
            f"K=1 W=56 C=64 CONTEXT={context.value} PRIOR=1 LANES=8" for context in RUNNING]

    def test_formats(self):
        """Each is simulated and synthesised; that of 8 bits is the headline's own."""
        found = plan.make_plan(load_networks())
        commands = [tables.command(task) for task in found.formats]
        assert commands == ["K=7 W=56 C=64 LANES=8 WEIGHT_BITS=4 DTYPE=int4", "K=7 W=56 C=64 LANES=8 DTYPE=int4",
                            "K=7 W=56 C=64 LANES=8", "K=7 W=56 C=64 LANES=8 DTYPE=int16"]
        usual = next(task for task in found.formats if task.options.dtype is None)
        assert usual == found.variants[0]
        assert found.formats[usual] in found.synth
        for task, made in found.formats.items():
            assert dataclasses.replace(made.options, height=task.options.height, frames=task.options.frames) == (
                dataclasses.replace(task.options, target=Target.ECP5))
            assert {task, made} <= set(found.tasks)

    def test_limited(self):
        found = plan.make_plan((), (SMALL,), headline=False)
        assert (list(found.cycles), found.variants, found.synth) == ([SMALL], (), ())

    def test_variables_repeat_the_task(self):
        task = tiled(Kind.CYCLES, plan.HEADLINE, 1, sram_overhead=0.02)
        assert task.variables == "K=7 W=56 C=64 H=56 CR=16 LANES=1 SRAM_OVERHEAD=0.02 FRAMES=2"
        assert tables.command(task) == "K=7 W=56 C=64 LANES=1 SRAM_OVERHEAD=0.02"

    def test_settings_tell_tasks_apart(self):
        tasks = [tiled(Kind.MEMORY, SMALL), tiled(Kind.MEMORY, SMALL, 4), tiled(Kind.MEMORY, SMALL, slack=0),
                 original(Kind.MEMORY, SMALL), *(running(Kind.MEMORY, SMALL, context) for context in RUNNING),
                 dataclasses.replace(running(Kind.MEMORY, SMALL, RUNNING[0]), most_k=None),
                 tiled(Kind.CYCLES, SMALL), tiled(Kind.CYCLES, SMALL, occupancy=True),
                 tiled(Kind.CYCLES, SMALL, seed=2), tiled(Kind.SYNTH, SMALL, target=Target.ECP5),
                 tiled(Kind.SYNTH, SMALL, target=Target.ICE40)]
        settings = [json.dumps(task.settings) for task in tasks]
        assert len(set(settings)) == len(tasks)


@pytest.mark.parametrize("context", RUNNING)
@pytest.mark.parametrize(("shape", "k", "most"), [
    ((56, 56, 64, 16), 1, 1), ((14, 14, 240, 64), 1, 1), ((7, 7, 368, 92), 2, 2), ((8, 8, 672, 28), 3, 5),
    # No number of rows makes gates of so few elements fast enough.
    ((3, 4, 6, 2), 1, 0)])
def test_rows_for_full_rate(shape, k, most, context):
    """The least that are enough for a beat a cycle."""
    block = BlockShape(*shape)
    task = running(Kind.MEMORY, block, context)
    spec = _prepared(task)
    assert spec.config == prepare(dataclasses.replace(task.options, k=k)).config
    assert spec.config.tiling == Tiling(k=k, context=context, prior_rows=1, max_rows=block.height)
    assert [rows for rows in range(1, most + 1)
            if Timing(prepare(dataclasses.replace(task.options, k=rows)).config).full_rate] == [*range(k, most + 1)]
    assert Timing(spec.config).full_rate == (most > 0)


class TestResults:
    def test_synthesis_row(self):
        """A tool may leave figures out; what it gives stands as it is."""
        task = tiled(Kind.SYNTH, SMALL, 4, target=Target.ECP5)
        found = {"config": {"k": 7, "context": "tile", "macs": 3}, "sram": {"over_tse7": 1.0826}, "synth": {
            "luts": 2300, "ffs": 1, "dsps": None, "block_rams": "crashed", "block_ram_bits_over_tse7": 1.0,
            "fmax_mhz": {"1": 170.0, "2": 160.5}, "fmax_mhz_median": 165.25,
            "critical_path": {"modules": {"excite.mac": {"delay_ns": 4.5}, "top": {"delay_ns": 1.55}}}}}
        sections = plan.Plan(synth=(task,))
        assert cells(tables.synth(sections, {task: found}), "ecp5")[1:] == [
            "K=7", "4", "3", "2,300", "1", "-", "crashed", "-", "1", "1.083", "165.2 (170.0, 160.5)",
            "excite.mac 4.50, top 1.55"]
        found["synth"] |= {"fmax_mhz": None, "fmax_missing": "no room", "critical_path": None}
        assert cells(tables.synth(sections, {task: found}), "ecp5")[-2:] == ["- (no room)", "-"]

    @pytest.mark.parametrize(("options", "beats"), [
        (dict(k=5), 4 * 10 * 4), (dict(k=7), 7 * 10 * 4), (dict(k=20), 14 * 10 * 4),
        (dict(k=5, tile_width=4), 4 * 2 * 4), (dict(k=4, order=Order.COLUMNS), 2 * 14 * 4),
        (dict(k=5, context=Context.WINDOW, window=(0, 3)), 14 * 10 * 4)])
    def test_shortest_tile(self, options, beats):
        """Of a map of 14 rows of 10 pixels of 4 beats."""
        spec = prepare(BlockOptions(height=14, width=10, channels=8, squeeze=2, lanes=2, macs=1, **options))
        assert _shortest_tile(spec) == beats

    def test_findings(self):
        tiny = plan.make_plan((), (SMALL,), headline=False)
        task, figures = tiny.cycles[SMALL], {"total_cycles": 9, "first_output_latency": 3}
        right = {"analytic": figures, "simulated": figures | {"steady_throughput": 1.0}, "excite_cycles": 50,
                 "shortest_tile_beats": 50}
        slow = right | {"simulated": figures | {"steady_throughput": 0.99}}
        late = right | {"simulated": right["simulated"] | {"first_output_latency": 1}}
        assert Findings(tiny, {task: right}).problems == {}
        assert Findings(tiny, {task: slow}).broken == [task]
        short = Findings(tiny, {task: slow | {"shortest_tile_beats": 49}})
        assert (short.slow, short.broken) == ([task], [])
        assert Findings(tiny, {task: late}).problems == {task: "analytic and simulated cycles differ"}

    def test_format_row(self):
        """Figures of the simulation and of the synthesis beside each other; either may have failed."""
        task, made = (tiled(kind, SMALL, 4, dtype="int4") for kind in (Kind.CYCLES, Kind.SYNTH))
        simulated = {"config": {"operand_bits": 14, "macs": 3}, "simulated": {"steady_throughput": 1.0}, "sram": {
            "bound_bits": 1000, "total_without_weights_bits": 1100, "over_bound": 1.1, "weight_bits": 77}}
        synthesised = {"synth": {"luts": 2300, "ffs": 1, "dsps": 0, "block_rams": 2, "fmax_mhz": {"1": 170.0},
                                 "fmax_mhz_median": 170.0}}
        sections, first = plan.Plan(formats={task: made}), f"`{tables.command(task)}`"
        row = ["14", "3", "1.0000", "1,000", "1,100", "1.100", "77"]
        assert cells(tables.formats(sections, {task: simulated, made: synthesised}), first)[1:] == [
            *row, "2,300", "1", "0", "2", "170.0 (170.0)"]
        assert cells(tables.formats(sections, {task: simulated}), first)[1:] == [*row, "failed", "", "", "", ""]
        assert cells(tables.formats(sections, {made: synthesised}), first)[1] == "failed"

    @pytest.mark.parametrize(("name", "title"), [
        ("luts", "LUTs"), ("ffs", "flip-flops"), ("dsps", "DSPs"), ("block_rams", "block RAMs")])
    def test_findings_of_sizes(self, name, title):
        """A narrower format takes no more of anything than the next wider one."""
        numbers = [dict(dtype="int4"), {}, dict(dtype="int16")]
        made = [tiled(Kind.SYNTH, SMALL, 4, **own) for own in numbers]
        sections = plan.Plan(formats={tiled(Kind.CYCLES, SMALL, 4, **own): one
                                      for own, one in zip(numbers, made, strict=True)})
        size = {"luts": 9, "ffs": 9, "dsps": 9, "block_rams": 9}
        sizes = [size, size, size]
        assert Findings(sections, {one: {"synth": own} for one, own in zip(made, sizes, strict=True)}).problems == {}
        sizes[1] = size | {name: 10}
        assert Findings(sections, {one: {"synth": own} for one, own in zip(made, sizes, strict=True)}).problems == {
            made[1]: f"more {title} than in the next wider format"}
        assert Findings(sections, {one: {"synth": own} for one, own in zip(made[1:], sizes, strict=False)}).larger == {}
        sizes[1] = {one: 10 for one in size}
        assert Findings(sections, {one: {"synth": own} for one, own in zip(made, sizes, strict=True)}).problems == {
            made[1]: "more LUTs and flip-flops and DSPs and block RAMs than in the next wider format"}

    @pytest.mark.parametrize("section", [
        lambda task: plan.Plan(contexts=(task,)), lambda task: plan.Plan(formats={task: task})])
    def test_findings_in_contexts_and_formats(self, section):
        """Such a block of the headline's is as fast as the tables say, or wrong."""
        task, figures = running(Kind.CYCLES, SMALL, RUNNING[1]), {"total_cycles": 9, "first_output_latency": 3}
        sections = section(task)
        right = {"analytic": figures, "simulated": figures | {"steady_throughput": 1.0}}
        assert Findings(sections, {task: right}).problems == {}
        assert Findings(sections, {task: right}).simulated == 1
        slow = right | {"simulated": figures | {"steady_throughput": 0.99}}
        assert list(Findings(sections, {task: slow}).problems) == [task]
        late = right | {"simulated": right["simulated"] | {"first_output_latency": 1}}
        assert Findings(sections, {task: late}).problems == {task: "analytic and simulated cycles differ"}


def test_missing_packages(tiled_se, monkeypatch):
    monkeypatch.setattr(command, "SYNTHESIS", ("onnx", "no_such_package"))
    tiled_se.refuses("bench needs no_such_package: pip install 'tiled-se[bench]'", "bench")


def test_lanes():
    assert [lanes_within(c, 8) for c in (64, 60, 49, 11)] == [8, 6, 7, 1]
    assert [lanes_within(c, 2) for c in (64, 49)] == [2, 1]
