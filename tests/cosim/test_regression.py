# SPDX-License-Identifier: Apache-2.0
"""The regression's vectors: each kind of run is there, and a result that is wrong in any one way is called so."""

import dataclasses
import re
import types

import numpy as np
import pytest

from tests.helpers.blocks import quantised
from tiled_se.cosim.job import Idle, Load, ResetAfter, Send
from tiled_se.cosim.standalone import build_model
from tiled_se.cosim.taps import Difference
from tiled_se.gen.simulate import bench_taps
from tiled_se.gen.verilog import generate
from tiled_se.golden.integer import IntegerModel
from tiled_se.hdl import mid
from tiled_se.hdl.accumulate import uses_registers
from tiled_se.hdl.config import Gate, GateKind, Mid
from tiled_se.hdl.timing import Timing
from tiled_se.verify.regression.parameters import segments
from tiled_se.verify.regression.suite import MISUSED, STALLS, regression

SHAPE = dict(k=3, width=4, channels=8, squeeze=3, lanes=2, macs=3, zero_point=-20)
HARD = Gate(GateKind.HARDSIGMOID)
# The run with gaps, among all.
PLACE = 13


@pytest.fixture(scope="module")
def block():
    return quantised(**SHAPE, loadable=True)


@pytest.fixture(scope="module")
def runs(block):
    return {run.name: run for run in regression(*block)}


def shown(run, **changes):
    """What a block that is right shows in `run`, with changes."""
    right = dataclasses.asdict(run.prediction) if run.prediction else {}
    peak = right.pop("peak_words", run.depth)
    status = {"status_peak_words": peak, **run.status, **changes.pop("status", {})}
    return types.SimpleNamespace(**{
        "failures": [], "status": status, "snapshots": {**run.snapshots, **changes.pop("snapshots", {})},
        "difference": None, "peak_in_flight": run.in_flight, "occupancy": run.occupancy, **right, **changes})


def test_what_is_right_passes(runs):
    for run in runs.values():
        assert run.failures(shown(run)) == []


@pytest.mark.parametrize(("name", "changes", "text"), [
    ("frames, stalls (0.3, 0.9)", {"failures": ["output has only 7 of 8 beats"]},
     "stream: output has only 7 of 8 beats"),
    ("frames, stalls (0, 0)", {"total_cycles": 1}, "cycles: total_cycles is 1, predicted "),
    ("frames, stalls (0, 0)", {"first_output_latency": 2}, "cycles: first_output_latency is 2, predicted "),
    ("frames, stalls (0, 0)", {"status": {"status_peak_words": 3}}, "cycles: peak_words is 3, predicted "),
    ("frames with gaps", {"occupancy": [0, 1, 2, 3, 3]}, "cycles: 3 beats are in flight 3 cycles behind the first one, "
     "predicted 4"),
    ("frames with gaps", {"occupancy": [1, 2]}, "cycles: 0 beats are in flight 2 cycles behind the first one, "
     "predicted 3"),
    ("frames, stalls (0, 0)", {"status": {"status_frame_error": 1}},
     "status: status_frame_error is 1 at the end, not 0"),
    ("cut frames, stalls (0, 0)", {"status": {"status_frame_error": 0}}, "status: status_frame_error is 0 at the end"),
    ("cut frames, stalls (0, 0)", {"snapshots": {"before": {"status_frame_error": 1}}},
     "status: status_frame_error is 1 before, not 0"),
    ("refused streams", {"snapshots": {"one short": {"status_loaded": 1, "status_load_error": 1, "accepted": 1}}},
     "status: status_loaded is 1 one short, not 0"),
    ("reloads", {"status": {"status_peak_words": 1000}}, "status: status_peak_words is 1000, of "),
    ("counted beats", {"snapshots": {"12 beats": {"accepted": 12, "delivered": 0, "status_peak_words": 11}}},
     "status: status_peak_words is 11 12 beats, not 12"),
    ("reload behind beats", {"snapshots": {"stuck": {"accepted": 1, "delivered": 0, "loaded": 1000}}},
     "status: loaded is 1000 stuck, not "),
    ("crowd", {"peak_in_flight": 1}, "occupancy: at most 1 beats were in flight, not "),
    ("padded stream", {"difference": Difference("means", 0, 1, 2, 7, 8)}, "stages: stage means, frame 0, tile 1, "),
    ("padded stream", {"status": {MISUSED: 5}}, "memory: status_misused is 0b101"),
])
def test_what_is_wrong_is_called_so(runs, name, changes, text):
    run = runs[name]
    first = run.failures(shown(run, **changes))[0]
    assert first.startswith(text)


def test_predictions_are_of_what_never_stalls(runs):
    for run in runs.values():
        stalls = run.job.stall_in or run.job.stall_out
        assert not (run.prediction and stalls)
    assert runs["frames, stalls (0, 0)"].prediction is not None


def test_every_run_holds_data_to_the_golden_model(runs):
    for run in runs.values():
        assert run.job.frames, run.name
        assert all(frame.expected is not None for frame in run.job.frames), run.name


def test_frames_of_many_kinds(block, runs):
    """Ragged tiles, one-row frames, cuts in every part of a tile, resets that strike, streams that differ."""
    config, _ = block
    row = config.width * config.groups
    rows = {len(frame.beats) / row for frame in runs["frames, stalls (0, 0)"].job.frames}
    assert {1, config.k, 3 * config.k, config.k + 2} <= rows
    cut = {len(frame.beats) % (config.k * row) for frame in runs["cut frames, stalls (0, 0)"].job.frames}
    assert {1, row - 1, row + 1, config.k * row - 1} <= cut
    resets = [step for step in runs["resets, stalls (0, 0)"].job.steps if isinstance(step, ResetAfter)]
    assert len({step.beats for step in resets}) == 24
    assert {step.cycles for step in resets} == {1, 2, 3, 4}
    loaded = {step.words.tobytes() for step in runs["refused streams"].job.steps if isinstance(step, Load)}
    assert len(loaded) == 8
    assert len({step.words[0] for step in runs["foreign streams"].job.steps if isinstance(step, Load)}) == 33


@pytest.mark.parametrize("k", [1, 2, 5, 8])
def test_last_tiles_of_each_number_of_rows(k):
    """Each has a reciprocal of its own."""
    config, parameters = quantised(**SHAPE | {"k": k})
    run, = regression(config, parameters, places=(0,))
    rows = {len(frame.beats) // (config.width * config.groups) for frame in run.job.frames}
    assert {(count - 1) % k + 1 for count in rows} == set(range(1, k + 1))


def test_frames_behind_gaps_of_each_length(block, runs):
    """Up to where nothing of the tiles before is in the way any more."""
    config, _ = block
    gaps = [step.cycles for step in runs["frames with gaps"].job.steps if isinstance(step, Idle)][1:]
    assert gaps == list(range(len(gaps)))
    assert len(gaps) >= 2 * Timing(config).tile_latency


def test_a_tile_that_is_handed_over_late_is_seen():
    """By the cycles of its own last sums, and only if those before are read last in just these: no beat is wrong."""
    config, parameters = quantised(**SHAPE | {"channels": 10})
    assert not uses_registers(config)
    verilog, changes = re.subn(r"\\cut\$\d+ +& (busy;)", r"\1", generate(config, parameters).verilog)
    assert changes == 1
    model = build_model(verilog, "tiled_se")
    runs = {run.name: run for run in regression(config, parameters, places=(0, PLACE))}
    back_to_back, spaced = (runs[name] for name in ("frames, stalls (0, 0)", "frames with gaps"))
    assert back_to_back.failures(model.run(back_to_back.job)) == []
    found = spaced.failures(model.run(spaced.job))
    assert found
    assert all(text.startswith("cycles: ") for text in found)


@pytest.mark.parametrize(("activation", "gate"), [(Mid.SILU, Gate()), (Mid.RELU, Gate()), (Mid.HARDSWISH, HARD)])
def test_every_segment_of_a_table(activation, gate):
    """Both ends of each, and the same below 0, as what there is without any weight; in as many loads as it takes."""
    config, parameters = quantised(**SHAPE, mid=activation, gate=gate, loadable=True)
    sets = segments(config, parameters)
    for name, tabulated, bits, count in (
            ("layer1", activation.tabulated, config.hidden_frac - config.segment_bits, 16 << config.segment_bits),
            ("layer2", gate.kind is GateKind.SIGMOID, 7, 64)):
        layers = [layer for layer in (getattr(one, name) for one in sets) if not layer.weight.any()]
        ends = {end for i in range(count if tabulated else 0) for end in (i << bits, ((i + 1) << bits) - 1)}
        assert {int(bias) for layer in layers for bias in layer.bias} == {
            sign * end << 6 for end in ends for sign in (1, -1)}
    run = {run.name: run for run in regression(config, parameters)}["segments of tables"]
    assert len([step for step in run.job.steps if isinstance(step, Load)]) == len(sets) + 1


def test_a_segment_that_is_wrong_is_seen(monkeypatch):
    """One in which frames of random data have no value."""
    config, parameters = quantised(**SHAPE, mid=Mid.SILU, loadable=True)
    right = mid.mid_table

    def wrong(*arguments):
        table = list(right(*arguments))
        table[-8] = (table[-8][0] + 64, *table[-8][1:])
        return tuple(table)

    monkeypatch.setattr(mid, "mid_table", wrong)
    design = generate(config)
    model = build_model(design.verilog, design.top, taps=bench_taps(design))
    runs = {run.name: run for run in regression(config, parameters)}
    for name, is_right in (("frames, stalls (0, 0)", True), ("segments of tables", False)):
        found = runs[name].failures(model.run(runs[name].job, golden_stages=runs[name].stages))
        assert (found == []) is is_right, found


def test_a_stream_that_does_not_wait_is_seen(block, runs):
    """Of what a stream waits for, each is missed by a run of its own: beats that wait for gates, beats on their way."""
    config, parameters = block
    head, top = re.split(r"(?=^module tiled_se\()", generate(config).verilog, maxsplit=1, flags=re.M)
    top = top.replace("module tiled_se(", "module tiled_se(which, ", 1).replace(
        "  input clk;", "  input clk;\n  input [1:0] which;", 1)
    for number, port in enumerate(("empty", "idle"), 1):
        wire, = re.findall(rf"\.{port}\((\\?[\w$]+ ?)\)", top)
        top = top.replace(f".{port}({wire})", f".{port}({port}_was)").replace(
            f"  wire {wire};", f"  wire {port}_was;\n  wire {wire} = which == {number} | {port}_was;")
    model = build_model(head + top, "tiled_se", select="which")
    for number, name in enumerate(("reloads behind two frames", "reload behind beats"), 1):
        run = runs[name]
        assert run.failures(model.run(run.job)) == []
        assert run.failures(model.run(run.job, select=number)) != []


def test_gates_that_nobody_reads_are_no_stage_that_must_be_right():
    """A short last tile of many groups has come out before its last gates are made, with parameters that are new."""
    config, parameters = quantised(k=1, width=1, channels=48, squeeze=2, lanes=1, macs=2, loadable=True)
    design = generate(config)
    model = build_model(design.verilog, design.top, taps=bench_taps(design))
    (run,) = (run for run in regression(config, parameters) if run.name == "reloads behind two frames")
    assert run.failures(model.run(run.job, golden_stages=run.stages)) == []


def test_streams_behind_as_many_beats_as_bits_can_tell_apart(block, runs):
    """A stream behind two frames, the second of 1, 2, 4 ... beats: each bit of the level counts."""
    config, _ = block
    sent = [step.frames for step in runs["reloads behind two frames"].job.steps if isinstance(step, Send)]
    second = {len(frames[1].beats) for frames in sent if len(frames) == 2}
    assert {1 << bit for bit in range(config.tile_words.bit_length())} <= second
    assert {len(frames[0].beats) for frames in sent if len(frames) == 2} == {1}


def test_a_row_that_takes_longer_than_a_tile_is_counted_whole():
    """How many beats can be in flight: the last of a row come long after the tiles before it have gone through."""
    config, parameters = quantised(**SHAPE | {"width": 40, "lanes": 1})
    assert config.width * config.groups > 2 * Timing(config).tile_latency
    model = build_model(generate(config, parameters).verilog, "tiled_se")
    run, = regression(config, parameters, places=(9,))
    assert run.name == "crowd"
    assert run.failures(model.run(run.job)) == []


def test_stages_are_of_the_frames(block, runs):
    """Golden stages go with the frames that are sent, in their order, and with the parameters of their time."""
    config, parameters = block
    model = IntegerModel(config, parameters)
    run = runs["frames, stalls (0.3, 0.9)"]
    for number, frame in enumerate(run.job.frames):
        x = frame.beats.view(np.int8).reshape(-1, config.width, config.channels).astype(np.int64)
        assert np.array_equal(run.stages["hidden"][number], model.run(x).hidden.numpy()[0])
    gates = runs["reloads"].stages["gates"]
    x = runs["reloads"].job.frames[1].beats.view(np.int8).reshape(-1, config.width, config.channels).astype(np.int64)
    assert not np.array_equal(gates[1], model.run(x).gates.numpy()[0])


def test_some_of_all_runs(block, runs):
    some = regression(*block, places=(7, 3))
    assert [run.name for run in some] == [list(runs)[3], list(runs)[7]]


def test_reloaded_parameters_differ(block, runs):
    """A block that kept the old parameters, or the old zero point, would be seen."""
    config, parameters = block
    model = IntegerModel(config, parameters)
    sends = [step for step in runs["reloads"].job.steps if isinstance(step, Send)]
    _, other, _ = (step.frames[0] for step in sends[:3])
    x = other.beats.view(np.int8).reshape(-1, config.width, config.channels).astype(np.int64)
    assert not np.array_equal(model.run(x).y.numpy().astype(np.int8).view(np.uint8).reshape(other.beats.shape),
                              other.expected)


def test_more_beats_are_asked_for(block):
    few, many = (regression(*block, beats=beats)[0].job for beats in (0, 5000))
    assert sum(len(frame.beats) for frame in few.frames) < 5000 <= sum(len(frame.beats) for frame in many.frames)


def test_baked_blocks_have_no_parameter_streams():
    config, parameters = quantised(**SHAPE)
    runs = regression(config, parameters)
    assert len(runs) == 2 * len(STALLS) + 8
    assert not any(isinstance(step, Load) for run in runs for step in run.job.steps)
    assert all(run.depth == Timing(config).buffer_words for run in runs)
