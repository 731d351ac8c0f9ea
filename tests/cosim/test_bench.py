# SPDX-License-Identifier: Apache-2.0
"""The bench must notice everything that a block can do wrong: faulty.v does one such thing at a time."""

import dataclasses
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.nightly import seldom
from tiled_se.cosim import run
from tiled_se.cosim.build import build_simulation
from tiled_se.cosim.job import Drain, Frame, Hold, Idle, Job, Load, Reset, ResetAfter, Send, Snapshot
from tiled_se.cosim.run import SimulationError, simulate
from tiled_se.cosim.scoreboard import Scoreboard, same
from tiled_se.cosim.taps import Difference, first_difference
from tiled_se.hdl.data_type import INT8, UINT8

VERILOG = (Path(__file__).parent / "faulty.v").read_text()
TAPS = ({"stage": "sums", "module_path": "faulty.tap", "valid": "valid", "index": "index", "data": "data",
         "signed": True},)
LOAD = Load(np.arange(3, dtype=np.uint32))
WIDTH, CHANNELS, LANES = 2, 4, 2
BEATS = 24  # a frame: six rows of two pixels of four channels


def _built(kind, lanes=LANES, **options):
    if kind == "icarus" and not shutil.which("iverilog"):
        pytest.skip("needs iverilog")
    wide = VERILOG.replace("localparam W = 16;", f"localparam W = {8 * lanes};")
    for port in ("s_axis_tdata", "m_axis_tdata"):
        wide = wide.replace(f"[15:0] {port}", f"[{8 * lanes - 1}:0] {port}")
    return build_simulation(wide, "faulty", TAPS, per_beat=kind != "compiled",
                 simulator="icarus" if kind == "icarus" else "verilator", **options)


@pytest.fixture(scope="module", params=["compiled", "per beat"])
def built(request):
    """The two benches: beats moved by compiled code, and by Python; what Icarus adds has tests of its own."""
    return _built(request.param)


def _frames(fault, count=2, beats=BEATS, lanes=LANES):
    """Frames of random data; the very first byte tells the block what to do wrong."""
    data = np.random.default_rng(fault).integers(0, 256, (count, beats, lanes), np.uint8)
    data[0, 0, 0] = fault
    return tuple(Frame(frame, frame) for frame in data)


def _job(*steps, **options):
    options = {"data": UINT8, "hang_cycles": 500, **options}
    options = {"lanes": LANES, "width": WIDTH, "channels": CHANNELS, **options}
    return Job(steps=(Reset(), LOAD, *steps), **options)


@pytest.mark.parametrize("stall", [0, 0.3, 0.9])
def test_right_block_passes(built, stall):
    frames = _frames(0, count=3)
    result = simulate(built, _job(Send(frames), stall_in=stall, stall_out=stall, occupancy=True))
    assert result.ok, result.failures
    assert (result.mismatches, result.compared) == (0, 3 * BEATS * LANES)
    assert all(np.array_equal(output, frame.beats) for output, frame in zip(result.outputs, frames, strict=True))
    assert result.peak_in_flight == max(result.occupancy) == result.status["status_peak_words"] <= 16
    assert result.status["status_loaded"] == 1
    # The FIFO gives a beat one cycle after it has come.
    if stall == 0:
        assert (result.first_output_latency, result.steady_throughput) == (1, 1.0)
        assert (result.total_cycles, result.in_stall_cycles) == (3 * BEATS + 1, 0)
    else:
        assert 0.5 * (1 - stall) < result.steady_throughput < 1.5 * (1 - stall)


FAULTS = {
    "dropped beat": (1, 0, r"hang: .*: m_axis_tvalid stays low after 47 of 48 beats"),
    "repeated beat": (2, 0.3, r"\d+ of 96 elements differ, the first in frame 0, row 5, column 0, channel 2: "),
    "swapped lanes": (3, 0, r"2 of 96 elements differ, the first in frame 0, row 5, column 0, channel 0: "),
    "data change under stall": (4, 0.5, r"m_axis: tdata or tlast changed before the beat was taken, cycle \d+"),
    "tlast change under stall": (16, 0.5, r"m_axis: tdata or tlast changed before the beat was taken, cycle \d+"),
    "early tlast": (5, 0, r"m_axis_tlast is 1 on beat 20 of frame 0, which has 24"),
    "no tlast": (6, 0, r"m_axis_tlast is missing on beat 23 of frame 0, which has 24"),
    "tvalid falls": (7, 0.5, r"m_axis: tvalid fell before the beat was taken, cycle \d+"),
    "tready stuck": (8, 0, r"hang: .* 500 cycles: s_axis_tready stays low after 20 beats, 28 to go; m_axis_tvalid"),
    "wrong bit at the end": (9, 0.3, r"1 of 96 elements differ, the first in frame 1, row 5, column 1, channel 3: "),
    "beats behind the end": (10, 0, r"m_axis: tvalid is high with nothing left to deliver, cycle \d+, after 48 beats"),
    "output stops": (11, 0, r"hang: .*: s_axis_tready stays low after 36 beats, .*; m_axis_tvalid stays low after 20"),
    "output before input": (12, 0.5, r"m_axis: an output beat is offered before its input beat was accepted"),
}


@pytest.mark.parametrize("lanes", seldom([1, 3, 8, 9, 17], 3, 17))
def test_beats_of_any_width(lanes):
    """Every bit of a beat goes through and is compared, in the last lane as in the first, and so it is under stall."""
    built = _built("compiled", lanes)
    options = dict(lanes=lanes, width=1, channels=lanes, stall_in=0.3, stall_out=0.5, seed=5)
    frames = _frames(0, lanes=lanes)
    result = simulate(built, _job(Send(frames), **options))
    assert result.ok, result.failures
    assert all(np.array_equal(output, frame.beats) for output, frame in zip(result.outputs, frames, strict=True))
    result = simulate(built, _job(Send(_frames(9, lanes=lanes)), **options))
    assert [(found["row"], found["channel"]) for found in result.first_mismatches] == [(23, lanes - 1)]
    for fault in (4, 17):
        result = simulate(built, _job(Send(_frames(fault, lanes=lanes)), **options))
        assert any(text.startswith("m_axis: tdata or tlast changed") for text in result.failures), fault


@pytest.mark.parametrize("stall", [0, 0.5])
@pytest.mark.parametrize("fault", [0, 2, 4, 6])
def test_icarus_agrees(fault, stall):
    """A second opinion: the same cycles and findings as in Verilator."""
    job = _job(Send(_frames(fault)), stall_in=stall, stall_out=stall, occupancy=True)
    assert _facts(simulate(_built("icarus"), job)) == _facts(simulate(_built("compiled"), job))


@pytest.mark.skipif(not shutil.which("iverilog"), reason="needs iverilog, Verilator has no X")
def test_unknown_values_are_found():
    built = build_simulation(VERILOG, "faulty", simulator="icarus")
    result = simulate(built, _job(Send(_frames(14))))
    assert result.failures[0].startswith("2 of 96 elements differ, the first in frame 0, row 5, column 0, channel 0: ")
    assert result.failures[0].endswith("got X")
    result = simulate(built, _job(Send(_frames(15))))
    assert any(re.match(r"m_axis: tvalid is X, cycle \d+", text) for text in result.failures), result.failures


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_found(built, name):
    fault, stall, message = FAULTS[name]
    result = simulate(built, _job(Send(_frames(fault)), stall_in=stall, stall_out=stall, seed=5))
    assert not result.ok
    assert any(re.match(message, text) for text in result.failures), result.failures


def test_mismatches_are_counted_and_the_first_ten_named(built):
    frames = _frames(0)
    wrong = Frame(frames[1].beats, frames[1].expected ^ 1)
    result = simulate(built, _job(Send((frames[0], wrong))))
    assert result.mismatches == BEATS * LANES
    assert len(result.first_mismatches) == 10
    value = int(frames[1].beats[4, 1])
    assert result.first_mismatches[9] == {"frame": 1, "row": 1, "column": 0, "channel": 1 + 2 * 0,
                                          "expected": value ^ 1, "got": value}


def test_every_element_is_compared():
    """Whatever the number of elements is: they are compared by words of eight, and one by one behind those."""
    for size in range(1, 26):
        right = np.arange(size, dtype=np.uint8)
        assert same(right, right.copy())
        for place in range(size):
            wrong = right.copy()
            wrong[place] ^= 128
            assert not same(right, wrong), (size, place)


def test_signed_values_are_named_as_such(built):
    frame = Frame(np.full((BEATS, LANES), 0, np.int8), np.full((BEATS, LANES), -1, np.int8))
    result = simulate(built, _job(Send((frame,)), data=INT8))
    assert (result.first_mismatches[0]["expected"], result.first_mismatches[0]["got"]) == (-1, 0)


def test_frames_of_any_size_and_without_expectation(built):
    ragged = tuple(Frame(frame.beats[:n], None if n == 5 else frame.beats[:n])
                   for n, frame in zip((24, 5, 1, 24), _frames(0, count=4), strict=True))
    result = simulate(built, _job(Send(ragged[:2]), Send(ragged[2:]), stall_in=0.2))
    assert result.ok, result.failures
    assert [len(output) for output in result.outputs] == [24, 5, 1, 24]
    assert result.compared == (24 + 1 + 24) * LANES


def test_reset_discards_what_is_in_flight(built):
    first, second = _frames(0, count=2), _frames(0, count=3)
    steps = (Send(first, wait=False), ResetAfter(30, cycles=2), Snapshot("after"), LOAD, Send(second))
    result = simulate(built, _job(*steps, stall_out=0.5))
    assert result.ok, result.failures
    assert len(result.sections) == 2
    assert 30 <= result.sections[0]["accepted"] < 48
    assert result.snapshots["after"]["status_loaded"] == result.snapshots["after"]["accepted"] == 0
    assert sum(len(output) for output in result.outputs[:2]) == result.sections[0]["delivered"] < 30
    assert sum(len(output) for output in result.outputs[2:]) == 3 * BEATS


def test_streams_run_at_the_same_time(built):
    """Frames wait for the parameters that follow them; a second load goes in while the first frame is in flight."""
    frames = _frames(0)
    more = Load(np.arange(40, dtype=np.uint32), wait=False, tlast_at=-1)
    steps = (Reset(), Send(frames[:1], wait=False), Idle(20), Snapshot("before"), LOAD, Send(frames[1:], wait=False),
             more, Drain(), Snapshot("end"))
    result = simulate(built, Job(steps=steps, lanes=LANES, width=WIDTH, channels=CHANNELS, data=UINT8))
    assert result.ok, result.failures
    assert result.snapshots["before"] == {"cycle": 24, "accepted": 0, "delivered": 0, "loaded": 0, "status_loaded": 0,
                                          "status_peak_words": 0}
    assert result.snapshots["end"]["loaded"] == 3 + 40
    assert result.snapshots["end"]["accepted"] == 2 * BEATS


def _facts(result):
    """Everything that a run showed, but for how long it took."""
    facts = dataclasses.asdict(result)
    del facts["run_seconds"], facts["cpu_seconds"]
    return {name: [part.tolist() for part in value] if name == "outputs" else np.asarray(value).tolist()
            if name == "occupancy" else value for name, value in facts.items()}


def every_step(fault, stall_in, stall_out):
    """A job with every kind of step."""
    first, more, last = _frames(fault), _frames(fault, beats=7), _frames(fault, count=3)
    steps = (Send(first, wait=False), Idle(5), Snapshot("running"), Load(np.arange(9, dtype=np.uint32), wait=False),
             ResetAfter(23, cycles=2), Snapshot("reset"), Hold(5), LOAD, Send(more, wait=False), Idle(30),
             Snapshot("held"), Snapshot("again"), Hold(None), Drain(), Send(last), Reset(1), LOAD, Send(last[:2]))
    return _job(*steps, stall_in=stall_in, stall_out=stall_out, seed=7, occupancy=True, hang_cycles=300)


each_behaviour = pytest.mark.parametrize(("fault", "stall_in", "stall_out"), [
    (0, 0, 0), (0, 0.3, 0.8), (0, 0.9, 0.1), (3, 0, 0), (4, 0.3, 0.8), (6, 0, 0), (7, 0.3, 0.8), (8, 0, 0),
    (10, 0.3, 0.8), (11, 0.9, 0.1), (12, 0.9, 0.1)])


@each_behaviour
def test_compiled_and_per_beat_agree(fault, stall_in, stall_out):
    """The same beats in the same cycles, the same findings, to the letter."""
    job = every_step(fault, stall_in, stall_out)
    stages = {"sums": [-frame.beats[:, :1].astype(int) for frame in job.frames],
              "outputs": [frame.beats[None] for frame in job.frames]}
    compiled, per_beat = (_facts(simulate(_built(kind), job, golden_stages=stages))
                          for kind in ("compiled", "per beat"))
    assert compiled == per_beat
    assert bool(compiled["failures"]) == bool(fault)


def test_hang_while_unloaded(built):
    job = _job(Send(_frames(0)), hang_cycles=50)
    result = simulate(built, dataclasses.replace(job, steps=(Reset(), *job.steps[2:])))
    assert result.failures[0] == ("hang: no beat moved for 50 cycles: s_axis_tready stays low after 0 beats, 48 to go; "
                                  "m_axis_tvalid stays low after 0 of 48 beats")


def test_seed_decides_everything(built):
    jobs = [_job(Send(_frames(0)), stall_in=0.5, stall_out=0.5, seed=seed) for seed in (1, 1, 2)]
    cycles = [simulate(built, job).cycles for job in jobs]
    assert cycles[0] == cycles[1] != cycles[2]


def _stages(frames, vector=8):
    """What the tap must show: the negated first lane, as vectors of eight, three to a frame."""
    return {"sums": [-frame.beats[:, 0].astype(int).reshape(-1, vector) for frame in frames],
            "outputs": [frame.beats.reshape(3, -1) for frame in frames]}


def test_taps_name_the_first_wrong_stage(built):
    frames = _frames(13)
    result = simulate(built, _job(Send(frames)), golden_stages=lambda: _stages(frames))
    value = -int(frames[0].beats[20, 0])
    assert result.difference == Difference("sums", 0, 2, 4, value, value - 1)
    assert str(result.difference) == f"stage sums, frame 0, tile 2, index 4: expected {value}, got {value - 1}"


def test_taps_over_a_reset_and_outputs_without_a_tap(built):
    frames = _frames(3)
    steps = (Send(_frames(0, count=1), wait=False), ResetAfter(9), LOAD, Send(frames))
    golden = _stages((*_frames(0, count=1), *frames))
    result = simulate(built, _job(*steps), golden_stages=golden)
    low, high = (int(value) for value in frames[0].beats[20])
    assert result.difference == Difference("outputs", 1, 2, 8, low, high)


def test_first_difference_prefers_wrong_to_missing():
    recorded = {"frames": [[0]], "outputs": [], "repeats": {},
                "stages": {"sums": [[[0, 1], [1, 2], [9, 5]]], "gates": [[[0, 7]]]}}
    golden = {"sums": [[[1, 2], [1, 2]]], "gates": [[[7, 7]]]}
    assert first_difference(recorded, golden) == Difference("sums", 0, 1, 0, 1, None)
    golden["gates"] = [[[8, 7]]]
    assert first_difference(recorded, golden) == Difference("gates", 0, 0, 0, 8, 7)
    assert first_difference(recorded, {}) is None


def test_outputs_of_tiles_side_by_side():
    """Two tiles, of two and one pixels, alternate row by row: a wrong element is counted within its own tile."""
    right = np.arange(9)
    golden = {"outputs": [np.split(right, (2, 3, 5, 6, 8))], "tiles": [[0, 1, 0, 1, 0, 1]]}

    def first(place, value):
        got = right.copy()
        got[place] = value
        return first_difference({"frames": [[0]], "outputs": [got], "repeats": {}, "stages": {}}, golden)

    assert first(0, 0) is None
    assert first(4, 9) == Difference("outputs", 0, 0, 3, 4, 9)
    assert first(5, 9) == Difference("outputs", 0, 1, 1, 5, 9)


@pytest.mark.parametrize(("by_columns", "row", "column"), [(False, 2, 1), (True, 1, 2)])
def test_place_of_a_wrong_element(by_columns, row, column):
    """The sixth pixel of lines of two pixels, which are rows or columns of the map."""
    scoreboard = Scoreboard(Job(steps=(), lanes=1, width=2, channels=1, by_columns=by_columns))
    beats = np.zeros((6, 1), np.uint8)
    scoreboard.expect([Frame(beats, beats)])
    scoreboard.close(beats + (np.arange(6) == 5)[:, None].astype(np.uint8), np.arange(6, dtype=np.uint8) // 5, True)
    assert [(first["row"], first["column"]) for first in scoreboard.first] == [(row, column)]


def test_values_that_come_more_than_once():
    """Two passes over two tiles of two values: each is held to its tile's, the missing ones are missed."""
    values = [[0, 1], [1, 2], [0, 1], [1, 2], [0, 3], [1, 4], [0, 3], [1, 4]]
    golden = {"means": [np.array([[1, 2], [3, 4]])]}

    def first(values, repeats):
        recorded = {"frames": [[0]], "outputs": [], "repeats": repeats, "stages": {"means": [values]}}
        return first_difference(recorded, golden)

    assert first(values, {"means": 2}) is None
    assert first(values, {}) == Difference("means", 0, 1, 0, 3, 1)
    assert first([*values[:2], [0, 1], [1, 9], *values[4:]], {"means": 2}) == Difference("means", 0, 0, 1, 2, 9)
    assert first(values[:-1], {"means": 2}) == Difference("means", 0, 1, 1, 4, None)


@pytest.mark.parametrize("kind", ["compiled", "per beat", "icarus"])
def test_waves(kind, tmp_path):
    """They change nothing, though Verilator's eval() is called for them, and else only the evaluation inside it."""
    job = _job(Send(_frames(0)), Reset(3), LOAD, Send(_frames(0, count=3)), stall_in=0.3, stall_out=0.4, occupancy=True)
    traced = simulate(_built(kind, waves=True), job, wave_file=tmp_path / "dump.vcd")
    assert traced.ok
    assert _facts(traced) == _facts(simulate(_built(kind), job))
    text = (tmp_path / "dump.vcd").read_text()
    assert "s_axis_tdata" in text
    # A cycle is 10 ns: clock edges are 5 ns apart.
    unit = {"1ps": 1, "1ns": 1000}[re.search(r"\$timescale\s+(\w+)\s+\$end", text)[1]]
    times = [int(time) * unit for time in re.findall(r"^#(\d+)$", text, re.M)]
    assert {b - a for a, b in zip(times[2:], times[3:], strict=False)} == {5000}
    listed = (tmp_path / "dump.gtkw").read_text().splitlines()
    block = "cosim_bench.cosim_dut" if kind == "compiled" else "faulty"
    assert {f"{block}.clk", f"{block}.m_axis_tdata[15:0]", f"{block}.tap.valid", "-sums"} <= set(listed)


def test_progress(built, monkeypatch):
    lines = []
    monkeypatch.setattr(run, "_QUIET_SECONDS", 0)
    monkeypatch.setattr(run, "_POLL_SECONDS", 0.001)
    # Some reports of the bench each, the first of them long before the end.
    count = 2 if built.per_beat else 200
    assert simulate(built, _job(Send(_frames(0, count, beats=10_000))), progress=lines.append).ok
    assert any(not line.startswith("sim: 100 %") for line in lines)
    assert all(re.fullmatch(r"sim: \d+ % of \d+ beats, \d+ cycles", line) for line in lines)


def test_bench_leaves_a_log_with_the_seed(built, tmp_path):
    simulate(built, _job(seed=77), folder=tmp_path / "job")
    assert "seed 77, stalls 0.0 in, 0.0 out" in (tmp_path / "job" / "simulation.log").read_text()


def test_crash_of_the_simulator_is_an_error(built, tmp_path, monkeypatch):
    monkeypatch.setenv("LIBPYTHON_LOC", os.fspath(tmp_path / "none.so"))
    with pytest.raises(SimulationError, match=r"(?s)the simulation left no result \(status .*none\.so"):
        simulate(built, _job())


def test_what_cannot_run(built, tmp_path):
    """Each is an error that says why; a design that ends the simulation has not passed."""
    gone = dataclasses.replace(built, executable=built.executable.with_name("gone"), simulator="verilator")
    for simulation, job, options, error, message in (
            (built, _job(lanes=4), {}, ValueError, "lanes=4 of uint8 are 32 bits: s_axis_tdata has 16"),
            (built, _job(), {"wave_file": tmp_path / "dump.vcd"}, ValueError, "built without waves"),
            (built, _job(taps=({**TAPS[0], "valid": "missing"},)), {}, SimulationError, "missing"),
            (built, _job(Send(_frames(18))), {}, SimulationError, r"(?s)the simulation left no result|tests ran and"),
            (built, _job(Idle(10**12)), {"timeout": 1}, SimulationError, "ended after 1 seconds"),
            (gone, _job(), {}, SimulationError, "gone: No such file or directory; it has to be built again")):
        with pytest.raises(error, match=message):
            simulate(simulation, job, **options)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: _job(stall_in=1), r"stall_in=1: must be at least 0 and less than 1"),
    (lambda: _job(Send((Frame(np.zeros((4, 3), np.uint8)),))), r"frames: 3 bytes a beat in beats; must be 2"),
    (lambda: _job(Idle(-1)), r"cycles=-1: must be at least 0"),
    (lambda: _job(drain_cycles=-1), r"drain_cycles=-1: must be at least 0"),
    (lambda: Load(np.zeros(0, np.uint32)), r"words: none; must be at least one"),
    (lambda: Frame(np.zeros((4, 2))), r"beats: shape \(4, 2\), float64; must be \(beats, bytes\) of uint8 or int8"),
    (lambda: Frame(np.zeros((4, 2), np.uint8), np.zeros((3, 2), np.uint8)),
     r"expected: 3 beats; must be as many as go in, 4"),
])
def test_bad_jobs(make, message):
    with pytest.raises(ValueError, match=message):
        make()
