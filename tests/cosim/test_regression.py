# SPDX-License-Identifier: Apache-2.0
"""The regression: each kind of scenario is there, and a result that is wrong in one way is called so."""

import dataclasses
import re
import types

import numpy as np
import pytest

from tests.helpers.blocks import quantised
from tiled_se.cosim.job import Idle, Load, ResetAfter, Send
from tiled_se.cosim.standalone import build_model
from tiled_se.cosim.taps import Difference
from tiled_se.gen.verilog import generate
from tiled_se.golden.integer import IntegerModel
from tiled_se.hdl import mid
from tiled_se.hdl.accumulate import uses_registers
from tiled_se.hdl.arithmetic import delay
from tiled_se.hdl.config import Context, Gate, GateKind, Mid
from tiled_se.hdl.ingress import Ingress
from tiled_se.hdl.timing import Timing
from tiled_se.verify.regression import MISUSED, STALLS, suite
from tiled_se.verify.regression.parameters import centred, pinned, segments, spread
from tiled_se.verify.regression.stimulus import Stimulus

SHAPE = dict(k=3, width=4, channels=8, squeeze=3, lanes=2, macs=3, zero_point=-20)
HARD = Gate(GateKind.HARDSIGMOID)
RUNNING = dict(SHAPE, k=1, width=12, context=Context.CUMULATIVE)
# The indices of scenarios in the suite.
FRAMES, COUNTED, CROWD, GAPS, OUT_OF_STEP = 0, 7, 9, 13, 14


@pytest.fixture(scope="module")
def block():
    return quantised(**SHAPE, loadable=True)


@pytest.fixture(scope="module")
def scenarios(block):
    return named(*block)


def named(*arguments, **options):
    return {scenario.name: scenario for scenario in suite(*arguments, **options)}


def pixels(frame, config):
    """A frame of int8 data as an array (H, W, C)."""
    return frame.beats.view(np.int8).reshape(-1, config.width, config.channels).astype(np.int64)


def shown(scenario, **changes):
    """The result of a right block in `scenario`, with changes."""
    right = dataclasses.asdict(scenario.prediction) if scenario.prediction else {}
    peak = right.pop("peak_words", scenario.depth)
    status = {"status_peak_words": peak, **scenario.status, **changes.pop("status", {})}
    return types.SimpleNamespace(**{
        "failures": [], "status": status, "snapshots": {**scenario.snapshots, **changes.pop("snapshots", {})},
        "difference": None, "peak_in_flight": scenario.in_flight, "occupancy": scenario.occupancy, **right, **changes})


def test_every_scenario(scenarios):
    """Right results pass, all data have expected values, and cycles are predicted where nothing stalls."""
    for scenario in scenarios.values():
        assert scenario.failures(shown(scenario)) == []
        assert scenario.job.frames, scenario.name
        assert all(frame.expected is not None for frame in scenario.job.frames), scenario.name
        assert not (scenario.prediction and (scenario.job.stall_in or scenario.job.stall_out))
    assert scenarios["frames, stalls (0, 0)"].prediction is not None


@pytest.mark.parametrize(("name", "changes", "text"), [
    ("frames, stalls (0.3, 0.9)", {"failures": ["output has only 7 of 8 beats"]},
     "stream: output has only 7 of 8 beats"),
    ("frames, stalls (0, 0)", {"total_cycles": 1}, "cycles: total_cycles is 1, predicted "),
    ("frames, stalls (0, 0)", {"first_output_latency": 2}, "cycles: first_output_latency is 2, predicted "),
    ("frames, stalls (0, 0)", {"status": {"status_peak_words": 3}}, "cycles: peak_words is 3, predicted "),
    ("frames with gaps", {"occupancy": [0, 1, 2, 3, 3]}, "cycles: 3 beats are in flight 3 cycles after the first one, "
     "predicted 4"),
    ("frames with gaps", {"occupancy": [1, 2]}, "cycles: 0 beats are in flight 2 cycles after the first one, "
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
    ("reload after beats", {"snapshots": {"stuck": {"accepted": 1, "delivered": 0, "loaded": 1000}}},
     "status: loaded is 1000 stuck, not "),
    ("crowd", {"peak_in_flight": 1}, "occupancy: at most 1 beats were in flight, not "),
    ("padded stream", {"difference": Difference("means", 0, 1, 2, 7, 8)}, "stages: stage means, frame 0, tile 1, "),
    ("padded stream", {"status": {MISUSED: 5}}, "memory: status_misused is 0b101"),
])
def test_what_is_wrong_is_called_so(scenarios, name, changes, text):
    scenario = scenarios[name]
    first = scenario.failures(shown(scenario, **changes))[0]
    assert first.startswith(text)


def test_frames_of_many_kinds(block, scenarios):
    """Ragged tiles, one-row frames, cuts in every part of a tile, resets that strike, streams that differ."""
    config, _ = block
    row = config.width * config.groups
    rows = {len(frame.beats) / row for frame in scenarios["frames, stalls (0, 0)"].job.frames}
    assert {1, config.k, 3 * config.k, config.k + 2} <= rows
    cut = {len(frame.beats) % (config.k * row) for frame in scenarios["cut frames, stalls (0, 0)"].job.frames}
    assert {1, row - 1, row + 1, config.k * row - 1} <= cut
    resets = [step for step in scenarios["resets, stalls (0, 0)"].job.steps if isinstance(step, ResetAfter)]
    assert len({step.beats for step in resets}) == 24
    assert {step.cycles for step in resets} == {1, 2, 3, 4}
    loaded = {step.words.tobytes() for step in scenarios["refused streams"].job.steps if isinstance(step, Load)}
    assert len(loaded) == 8
    assert len({step.words[0] for step in scenarios["foreign streams"].job.steps if isinstance(step, Load)}) == 33


@pytest.mark.parametrize("k", [1, 2, 5, 8])
def test_last_tiles_of_each_number_of_rows(k):
    """Each number of rows has a reciprocal of its own."""
    config, parameters = quantised(**SHAPE | {"k": k})
    scenario, = suite(config, parameters, indices=(FRAMES,))
    rows = {len(frame.beats) // (config.width * config.groups) for frame in scenario.job.frames}
    assert {(count - 1) % k + 1 for count in rows} == set(range(1, k + 1))


def test_gaps_of_each_length(block, scenarios):
    """Up to gaps after which the tiles before delay nothing."""
    config, _ = block
    gaps = [step.cycles for step in scenarios["frames with gaps"].job.steps if isinstance(step, Idle)][1:]
    assert gaps == list(range(len(gaps)))
    assert len(gaps) >= 2 * Timing(config).tile_latency


def test_a_tile_that_is_handed_over_late_is_seen():
    """Only cycles tell, if the sums before are read last in the cycle of the tile's own last sums. No beat is wrong."""
    config, parameters = quantised(**SHAPE | {"channels": 10})
    assert not uses_registers(config)
    verilog, changes = re.subn(r"cut_\d+ +& (busy;)", r"\1", generate(config, parameters).verilog)
    assert changes == 1
    model = build_model(verilog, "tiled_se")
    scenarios = named(config, parameters, indices=(FRAMES, GAPS))
    back_to_back, spaced = (scenarios[name] for name in ("frames, stalls (0, 0)", "frames with gaps"))
    assert back_to_back.failures(model.run(back_to_back.job)) == []
    failures = spaced.failures(model.run(spaced.job))
    assert failures
    assert all(text.startswith("cycles: ") for text in failures)


def test_a_source_that_waits_too_long_after_a_copy_is_seen(monkeypatch):
    """Only the number of beats tells, if a beat that has missed its place in the copy of the sums comes too late."""
    config, parameters = quantised(**RUNNING)
    out_of_step, = suite(config, parameters, indices=(OUT_OF_STEP,))
    frames, = suite(config, parameters, indices=(FRAMES,))
    right, failures = Ingress.elaborate, []

    def late(self, platform):
        m = right(self, platform)
        copied = delay(m, self.copying, 1, name="copied", reset_less=False)
        with m.If(copied & ~self.take & ~self.first_pixel):
            m.d.sync += self.ready.eq(0)
        return m

    for elaborate in (right, late):
        monkeypatch.setattr(Ingress, "elaborate", elaborate)
        model = build_model(generate(config, parameters).verilog, "tiled_se")
        assert frames.failures(model.run(frames.job)) == []
        failures.append(out_of_step.failures(model.run(out_of_step.job)))
    assert failures[0] == []
    assert failures[1]
    assert all("status: accepted is" in text for text in failures[1])


def test_sources_that_stop_in_a_pixel():
    """After each beat of it, for up to longer than it takes to copy the sums; only where these go on."""
    config, parameters = quantised(**RUNNING)
    names = set(named(config, parameters)["out of step"].snapshots)
    assert names == {f"stopped at {place} for {wait}" for place in range(config.groups)
                     for wait in range(config.groups + 2)}
    assert not any("out of step" in named(*quantised(**RUNNING | changes)) for changes in (
        dict(context=Context.TILE), dict(slack=0)))


def test_each_beat_of_a_causal_tile_is_counted():
    """From one to a full buffer. A peak that stays one too low until the next beat comes is seen."""
    config, parameters = quantised(**RUNNING | dict(context=Context.CAUSAL, prior_rows=1))
    verilog, timing = generate(config, parameters).verilog, Timing(config)
    frames, counted = suite(config, parameters, indices=(FRAMES, COUNTED))
    peaks = [snapshot["status_peak_words"] for snapshot in counted.snapshots.values()]
    assert (counted.name, peaks[0], peaks[-1]) == ("counted beats", 1, timing.buffer_words)
    late, changes = re.subn(r"level > peak;", "level > peak + (peak == 8);", verilog)
    assert changes == 1
    for text, wrong in ((verilog, []), (late, [f"status: status_peak_words is 8 {timing.credits + 9} beats, not 9"])):
        model = build_model(text, "tiled_se")
        assert frames.failures(model.run(frames.job)) == []
        assert counted.failures(model.run(counted.job)) == wrong


@pytest.mark.parametrize("context", [Context.CUMULATIVE, Context.CAUSAL])
def test_more_rows_than_count(context):
    config, parameters = quantised(**SHAPE, context=context, prior_rows=2, max_rows=11)
    frames = suite(config, parameters, indices=(FRAMES,))[0].job.frames
    heights = [len(frame.beats) // (config.width * config.groups) for frame in frames]
    assert max(heights) > 11
    # Those with extreme values, which come last.
    assert set(heights[-5:]) == {13}


def test_frames_around_a_window():
    """Frames that end before it, with each of its rows, and after it."""
    config, parameters = quantised(**SHAPE, context=Context.WINDOW, window=(2, 3))
    frames = suite(config, parameters, indices=(FRAMES,))[0].job.frames
    heights = {len(frame.beats) // (config.width * config.groups) for frame in frames}
    assert {1, 2, 3, 4, 5, 7} <= heights


def test_cuts_around_the_ends_of_patches():
    """In a band's first row and in its last one."""
    config, parameters = quantised(**SHAPE | dict(width=5, tile_width=2))
    segment, row = 2 * config.groups, 5 * config.groups
    cut = {len(frame.beats) for frame in named(config, parameters)["cut frames, stalls (0, 0)"].job.frames}
    assert {start + segment + n for start in (0, 2 * row, 3 * row) for n in (-1, 0, 1)} <= cut


@pytest.mark.parametrize("k", [1, 3])
def test_patches_that_a_cut_frame_does_not_reach_have_no_stages(k):
    config, parameters = quantised(**SHAPE | dict(k=k, width=5, tile_width=2))
    segment, row = 2 * config.groups, 5 * config.groups
    block = Stimulus(config, parameters, np.random.default_rng(1), 1)
    for beats, tiles in ((1, 1), (segment, 1), (segment + 1, 2), (row - 1, 3), (row, 3), (k * row, 3), (k * row + 1, 4),
                         (k * row + segment + 1, 5), (k * row + row, 6)):
        job = block.job(Send((block.cut(beats),)))
        assert [len(block.stages(job)[name][0]) for name in ("sums", "gates")] == [tiles, tiles], beats


@pytest.mark.parametrize("make", [spread, centred, pinned])
def test_priors_of_many_kinds(make):
    config, parameters = quantised(**SHAPE, context=Context.CAUSAL, prior_rows=2, loadable=True)
    made = [make(config, parameters, seed) for seed in range(8)]
    for one in made:
        one.validate(config)
    assert len({one.prior.tobytes() for one in made}) == 8
    assert make(*quantised(**SHAPE), 1).prior is None


@pytest.mark.parametrize(("activation", "gate"), [(Mid.SILU, Gate()), (Mid.RELU, Gate()), (Mid.HARDSWISH, HARD)])
def test_every_segment_of_a_table(activation, gate):
    """Biases alone reach both ends of each segment, for either sign, in as many loads as it takes."""
    config, parameters = quantised(**SHAPE, mid=activation, gate=gate, loadable=True)
    sets = segments(config, parameters)
    for name, tabulated, bits, count in (
            ("layer1", activation.tabulated, config.hidden_frac - config.segment_bits, 16 << config.segment_bits),
            ("layer2", gate.kind is GateKind.SIGMOID, 7, 64)):
        layers = [layer for layer in (getattr(one, name) for one in sets) if not layer.weight.any()]
        ends = {end for i in range(count if tabulated else 0) for end in (i << bits, ((i + 1) << bits) - 1)}
        assert {int(bias) for layer in layers for bias in layer.bias} == {
            sign * end << 6 for end in ends for sign in (1, -1)}
    scenario = named(config, parameters)["segments of tables"]
    assert len([step for step in scenario.job.steps if isinstance(step, Load)]) == len(sets) + 1


def test_a_segment_that_is_wrong_is_seen(monkeypatch):
    """The segment is one that frames of random data don't reach."""
    config, parameters = quantised(**SHAPE, mid=Mid.SILU, loadable=True)
    right = mid.mid_table

    def wrong(*arguments):
        table = list(right(*arguments))
        table[-8] = (table[-8][0] + 64, *table[-8][1:])
        return tuple(table)

    monkeypatch.setattr(mid, "mid_table", wrong)
    design = generate(config)
    model = build_model(design.verilog, design.top, taps=design.taps)
    by_name = named(config, parameters)
    for name, is_right in (("frames, stalls (0, 0)", True), ("segments of tables", False)):
        scenario = by_name[name]
        failures = scenario.failures(model.run(scenario.job, golden_stages=scenario.stages))
        assert (failures == []) is is_right, failures


def test_a_stream_that_does_not_wait_is_seen(block, scenarios):
    """A stream waits for beats without gates and for beats on their way: a scenario each fails if it doesn't."""
    config, parameters = block
    text = generate(config).verilog
    head, top, rest = re.split(r"(?=^module tiled_se \()|(?<=^endmodule)", text, maxsplit=2, flags=re.M)
    top = top.replace("module tiled_se (", "module tiled_se (\n  input wire [1:0] which,", 1)
    for number, port in enumerate(("empty", "idle"), 1):
        wire, = re.findall(rf"\.{port}\((\w+)\)", top)
        top = top.replace(f".{port}({wire})", f".{port}({port}_was)").replace(
            f"  wire {wire};", f"  wire {port}_was;\n  wire {wire} = which == {number} | {port}_was;")
    model = build_model(head + top + rest, "tiled_se", select="which")
    for number, name in enumerate(("reloads after two frames", "reload after beats"), 1):
        scenario = scenarios[name]
        assert scenario.failures(model.run(scenario.job)) == []
        assert scenario.failures(model.run(scenario.job, select=number)) != []


def test_gates_that_nothing_reads_are_not_compared():
    """A short last tile of many groups has come out before its last gates are computed, with new parameters."""
    config, parameters = quantised(k=1, width=1, channels=48, squeeze=2, lanes=1, macs=2, loadable=True)
    design = generate(config)
    model = build_model(design.verilog, design.top, taps=design.taps)
    scenario = named(config, parameters)["reloads after two frames"]
    assert scenario.failures(model.run(scenario.job, golden_stages=scenario.stages)) == []


def test_streams_after_two_frames(block, scenarios):
    """The second frame has 1, 2, 4 ... beats, so that each bit of the level matters."""
    config, _ = block
    sent = [step.frames for step in scenarios["reloads after two frames"].job.steps if isinstance(step, Send)]
    second = {len(frames[1].beats) for frames in sent if len(frames) == 2}
    assert {1 << bit for bit in range(config.tile_words.bit_length())} <= second
    assert {len(frames[0].beats) for frames in sent if len(frames) == 2} == {1}


def test_a_row_that_takes_longer_than_a_tile_is_counted_whole():
    """The last beats of a row come long after the tiles before it have gone through, and are in flight, too."""
    config, parameters = quantised(**SHAPE | {"width": 40, "lanes": 1})
    assert config.width * config.groups > 2 * Timing(config).tile_latency
    model = build_model(generate(config, parameters).verilog, "tiled_se")
    scenario, = suite(config, parameters, indices=(CROWD,))
    assert scenario.name == "crowd"
    assert scenario.failures(model.run(scenario.job)) == []


def test_stages_and_outputs_are_of_the_frames(block, scenarios):
    """Golden stages go with the frames in their order, and both with the parameters that the frame is sent with."""
    config, parameters = block
    model = IntegerModel(config, parameters)
    scenario = scenarios["frames, stalls (0.3, 0.9)"]
    for number, frame in enumerate(scenario.job.frames):
        assert np.array_equal(scenario.stages["hidden"][number], model.run(pixels(frame, config)).hidden.numpy()[0])
    # A block that kept the old parameters, or the old zero point, would be seen.
    scenario = scenarios["reloads"]
    frame = scenario.job.frames[1]
    old = model.run(pixels(frame, config))
    assert not np.array_equal(scenario.stages["gates"][1], old.gates.numpy()[0])
    assert not np.array_equal(old.y.numpy().astype(np.int8).view(np.uint8).reshape(frame.beats.shape), frame.expected)


def test_some_scenarios(block, scenarios):
    some = suite(*block, indices=(7, 3))
    assert [scenario.name for scenario in some] == [list(scenarios)[3], list(scenarios)[7]]


def test_more_beats_are_asked_for(block):
    few, many = (suite(*block, beats=beats)[0].job for beats in (0, 5000))
    assert sum(len(frame.beats) for frame in few.frames) < 5000 <= sum(len(frame.beats) for frame in many.frames)


def test_baked_blocks_have_no_parameter_streams():
    config, parameters = quantised(**SHAPE)
    scenarios = suite(config, parameters)
    assert len(scenarios) == 2 * len(STALLS) + 8
    assert not any(isinstance(step, Load) for scenario in scenarios for step in scenario.job.steps)
    assert all(scenario.depth == Timing(config).buffer_words for scenario in scenarios)
