# SPDX-License-Identifier: Apache-2.0
"""`tiled-se report` of a network of one's own: its figures are those of the designs that `tiled-se verilog` makes."""

import dataclasses
import json

import pytest

from tests.helpers.measuring import InPlace
from tests.unit.evaluate.test_report import TINY, options
from tiled_se.evaluate import measure
from tiled_se.evaluate.networks import BlockShape, Network
from tiled_se.evaluate.paper import hardware
from tiled_se.evaluate.paper.hardware import Table
from tiled_se.evaluate.paper.paper import tile_rows
from tiled_se.evaluate.report import command
from tiled_se.evaluate.report.summary import SUMMED
from tiled_se.evaluate.report.texts import network_text
from tiled_se.evaluate.tasks import FORMS, RUNNING
from tiled_se.gen.block_spec import prepare
from tiled_se.gen.options import BlockOptions
from tiled_se.gen.verilog import generate
from tiled_se.hdl.config import Context, Order
from tiled_se.hdl.schedule import predict
from tiled_se.hdl.timing import Timing


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The folder of the report of a network of one's own, and report.json."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "tiny.json").write_text(json.dumps(TINY))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "Local", InPlace)
        assert command.report(options(folder / "tiny.json", out=str(folder / "out")))
    return folder / "out", json.loads((folder / "out/report.json").read_text())


@pytest.mark.parametrize(("number", "form", "k"), [
    (0, "se", 6), (0, "tse", 4), (1, "tse", 3), (0, "cumulative", 1), (1, "cumulative", 1), (0, "causal", 1)])
def test_netlist(tiny, number, form, k):
    """Each form's bits are those of the design that `tiled-se verilog` makes with that K."""
    height, width, channels, squeeze, _ = TINY["networks"]["Tiny"]["blocks"][number]
    contexts = {context.value: dict(context=context, prior_rows=1, max_rows=height) for context in RUNNING}
    job = prepare(BlockOptions(k=k, width=width, channels=channels, squeeze=squeeze, **contexts.get(form, {})))
    design = generate(job.config, job.baked)
    found = tiny[1]["networks"][0]["blocks"][number][form]
    assert found["sram"] == design.sram
    assert found["memory_bits"] == sum(m.bits for m in design.memories if m.role != "weight")
    assert found["first_output_latency"] == predict(job.config, [height]).first_output_latency
    assert (found["rows"], found["elements"]) == (k, k * width * channels * (form != "causal"))
    assert (found["config"]["lanes"], found["config"]["macs"]) == (job.config.lanes, job.config.macs)
    assert (found["multipliers"], found["full_rate"]) == (job.config.macs, Timing(job.config).full_rate)


def test_sums(tiny):
    (network,) = tiny[1]["networks"]
    for form in FORMS:
        for name in SUMMED:
            a, b = (block[form][name] for block in network["blocks"])
            assert network["sum"][form][name] == 2 * a + b
    assert network["count"] == 3
    assert network["sum"]["se"]["elements"] == 2 * 240 + 72
    assert (network["sum"]["se"]["added_macs"], network["sum"]["tse"]["added_macs"]) == (2 * 32 + 24, 2 * 64 + 24)
    less = 1 - network["sum"]["tse"]["memory_bits"] / network["sum"]["se"]["memory_bits"]
    assert network["reduction"]["memory_bits"] == less > 0
    assert [point["elements"] for point in network["curve"]] == [104, 312, 2 * 160 + 72, 2 * 200 + 72, 552, 552]


def test_files(tiny):
    folder, contents = tiny
    assert (contents["k"], contents["failures"], contents["paper"]["models"]) == (4, {}, [])
    # Seven designs: strip and map are one where a tile holds the map.
    assert len(list(folder.glob("[0-9a-f]*.json"))) == 7
    svg = (folder / "report.svg").read_text()
    assert "Tiny" in svg
    assert "k = 4" in svg
    assert not (folder / "paper.svg").exists()
    (network,) = contents["networks"]
    assert ["1", "6x5x8x2", "2", "0.2", "0.2", "33.3%"] in [
        line.split()[:6] for line in network_text(network).splitlines()]


def test_table_1(tmp_path, monkeypatch):
    """A row of the table is the sum over the network's netlists, as `tiled-se verilog` makes them."""
    network = Network("Net", (12, 12), "", (BlockShape(9, 8, 4, 2, 3), BlockShape(4, 5, 4, 1)))
    monkeypatch.setattr(hardware, "load_networks", lambda names: (network,))
    monkeypatch.setattr(measure, "Local", InPlace)
    about = {"table": 1, "network": "Net", "rows": [
        {"tile": tile, "buffer": "0.01", "mflops": "1", "accuracy": "1"} for tile in ("7xW-middle", "Hx3", "3x3")]}
    table = Table(tile_rows({"Net": dataclasses.replace(network, macs_without_se=0)}, {"tiles": about}), 1)
    results, failures = measure.measure(table.tasks, "designs", str(tmp_path))
    assert not failures
    window, columns, patches = table.rows(results)
    forms = ([dict(context=Context.WINDOW, window=w) for w in ((1, 7), (0, 4))],
             [dict(order=Order.COLUMNS, k=3, height=h) for h in (9, 4)], [dict(k=3, tile_width=3)] * 2)
    for row, tilings in zip((window, columns, patches), forms, strict=True):
        jobs = [prepare(BlockOptions(width=block.width, channels=4, squeeze=block.squeeze, lanes=1, **form))
                for block, form in zip(network.blocks, tilings, strict=True)]
        a, b = (generate(job.config, job.baked).sram for job in jobs)
        assert row.memory_bits == 3 * a["total_without_weights_bits"] + b["total_without_weights_bits"]
        assert row.memory_bits == row.buffer_bits + sum(row.parts.values())
        assert row.parts["sums"] == 3 * a["accumulator_bits"] + b["accumulator_bits"]
        assert row.parts["order"] == 3 * a["bound_bits"] + b["bound_bits"] - row.buffer_bits
        assert (row.blocks, row.slow) == (4, 3 * (not Timing(jobs[0].config).full_rate)
                                          + (not Timing(jobs[1].config).full_rate))
    # Whole maps in the paper, windows of seven rows in the middle of nine here; strips; patches of a stream by rows.
    assert [row.buffer_bits for row in (window, columns, patches)] == [
        8 * 4 * (3 * 72 + 20), 8 * 4 * (3 * 27 + 12), 8 * 4 * (3 * 9 + 9)]
    assert [row.parts["order"] for row in (window, columns, patches)] == [
        -8 * 4 * 3 * 8, 0, 8 * 4 * (3 * (2 * 8 + 3) + 2 * 5 + 3) - patches.buffer_bits]
