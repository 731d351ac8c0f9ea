# SPDX-License-Identifier: Apache-2.0
"""`tiled-se simspeed`: four benches that notice what is wrong, and what the command writes."""

import dataclasses
import json
import os
import pathlib
import types

import numpy as np
import pytest

from tests.cosim.test_bench import FAULTS, VERILOG, _frames, _job
from tests.unit.evaluate.test_simspeed import QUICK
from tiled_se.cosim.job import Frame, Idle, Send
from tiled_se.cosim.run import SimulationError, simulate
from tiled_se.evaluate.simspeed import benches
from tiled_se.evaluate.simspeed.benches import BENCHES
from tiled_se.evaluate.simspeed.cpp_loop import build_loop, run_loop, write_stimulus
from tiled_se.gen.block_spec import prepare
from tiled_se.gen.options import BlockOptions
from tiled_se.gen.simulation import bench_job
from tiled_se.gen.verilog import generate

# Three lanes fill no word; the last tile is ragged.
BLOCK = dict(k=2, width=3, height=5, channels=6, lanes=3)


@pytest.fixture(scope="module", params=[dict(loadable=True), dict(loadable=False, stall=0.3)],
                ids=["loadable", "baked, pauses"])
def block(request):
    """A job with its design and cosim's Job."""
    job = prepare(BlockOptions(**BLOCK, **request.param))
    return types.SimpleNamespace(job=job, design=generate(job.config, job.baked), base=bench_job(job))


@pytest.fixture(scope="module")
def loop(block):
    return build_loop(block.design.verilog, block.design.top)


def looped(loop, base, folder, frames=2):
    write_stimulus(folder / "stimulus.bin", base)
    return run_loop(loop, folder / "stimulus.bin", base, frames)


@pytest.mark.parametrize("name", BENCHES)
def test_right_and_wrong(block, monkeypatch, name):
    """Each bench passes with what the golden model says, and fails where one byte of it is another."""
    base = block.base
    with benches.made(block.job, block.design, [name]) as found:
        run = found[name](3)
    assert (run.frames, run.failures) == (3, ())
    assert run.cycles > 3 * len(base.frames[0].beats)
    assert run.cpu_seconds > 0
    expected = base.frames[1].expected.copy()
    expected[-1, 1] ^= 1
    frames = (base.frames[0], dataclasses.replace(base.frames[1], expected=expected), *base.frames[2:])
    wrong = dataclasses.replace(base, steps=(*base.steps[:-1], Send(frames)))
    monkeypatch.setattr(benches, "bench_job", lambda job: wrong)
    with benches.made(block.job, block.design, [name]) as found:
        assert len(found[name](2).failures) == 1
        # The frames are sent in turn: the wrong one is not among a single frame.
        assert found[name](1).failures == ()


def test_loop_counts_as_our_bench_does(block, loop, tmp_path):
    """Cycles from the first beat offered to the last one out, where no pauses are drawn at random."""
    base = dataclasses.replace(block.base, stall_in=0.0, stall_out=0.0)
    built = benches.build_simulation(block.design.verilog, block.design.top, block.design.taps, per_beat=True)
    result = simulate(built, base)
    counted = looped(loop, base, tmp_path)
    assert counted.failures == []
    assert counted.beats == sum(len(frame.beats) for frame in base.frames)
    assert counted.total_cycles == result.total_cycles
    assert counted.cycles == result.cycles


def test_loop_pauses(block, loop, tmp_path):
    cycles = [looped(loop, dataclasses.replace(block.base, stall_in=stall, stall_out=stall, seed=seed),
                     tmp_path).total_cycles for stall, seed in ((0, 1), (0.5, 1), (0.5, 1), (0.5, 2), (0.9, 1))]
    assert cycles[0] < cycles[1] == cycles[2] != cycles[3]
    assert max(cycles[1], cycles[3]) < cycles[4]


# Number of a fault of faulty.v to probability of pauses, but for faults that are mere breaches of protocol.
STALLS = {0: 0} | {fault: stall for fault, stall, _ in FAULTS.values() if fault not in (7, 12, 16)}


@pytest.mark.parametrize(("fault", "stall"), STALLS.items())
@pytest.mark.parametrize("bench", ["cpp", "cocotbext_axi"])
def test_fault_is_found(tmp_path, bench, fault, stall):
    """What tests of our own bench have a block do wrong, the others notice, too."""
    job = _job(Idle(4), Send(_frames(fault)), stall_in=stall, stall_out=stall, seed=3)
    if bench == "cpp":
        result = looped(build_loop(VERILOG, "faulty"), job, tmp_path)
    else:
        result = simulate(benches.build_simulation(VERILOG, "faulty", per_beat=True), job, module=benches.AXI_TEST)
    assert bool(result.failures) == bool(fault)


def test_parameters_that_are_not_taken(tmp_path):
    text = VERILOG.replace("assign w_axis_tready = 1;", "assign w_axis_tready = 0;")
    frame = Frame(np.zeros((4, 2), np.uint8), np.zeros((4, 2), np.uint8))
    job = _job(Send((frame,)))
    assert looped(build_loop(text, "faulty"), job, tmp_path).failures == [
        "w_axis: the parameters were not taken"]
    built = benches.build_simulation(text, "faulty", per_beat=True)
    assert simulate(built, job, module=benches.AXI_TEST).failures == ["hang in step load, after 0 frames"]


def test_loop_that_cannot_run(block, loop, tmp_path):
    with pytest.raises(SimulationError, match=r"^the C\+\+ loop failed with status 2:\n.*none: No such file"):
        run_loop(loop, tmp_path / "none", block.base, 1)
    (tmp_path / "short").write_bytes(bytes(8))
    with pytest.raises(SimulationError, match=r"^the C\+\+ loop failed with status 2:\nloop: the file is too short"):
        run_loop(loop, tmp_path / "short", block.base, 1)


def test_fast_is_fast(tmp_path, figure):
    """CPU seconds are those that the processes took, and nobody made the fast path slow; the aim is 40 and 0.6."""
    from resource import RUSAGE_CHILDREN, getrusage

    job = prepare(BlockOptions(k=7, width=28, channels=64, height=14, frames=2))
    rates = {}
    with benches.made(job, generate(job.config, job.baked, "tiled_se"), ["fast", "per_beat", "cpp"]) as found:
        for name, frames in (("fast", 400), ("per_beat", 12), ("cpp", 400)):
            before = getrusage(RUSAGE_CHILDREN)
            run = found[name](frames)
            after = getrusage(RUSAGE_CHILDREN)
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            assert 0.3 * spent - 1.5 < run.cpu_seconds <= spent, name
            if name == "cpp":
                assert 0.7 * spent < run.cpu_seconds
            rates[name] = run.rate
    figure(f"simulation of K=7 W=28 C=64: {rates['fast'] / rates['cpp']:.2f} x a C++ loop, "
           f"{rates['fast'] / rates['per_beat']:.1f} x drivers in Python")
    assert rates["fast"] > 0.4 * rates["cpp"]
    assert rates["fast"] > 20 * rates["per_beat"]


def test_command(tiled_se):
    """All four, in the file and in the page; ratios are those of the rates, rates those of the best round."""
    os.mkdir("pages")
    pathlib.Path("pages/benchmarks.md").write_text("# Page\n")
    finished = tiled_se.passes("simspeed", *QUICK, "--out=out", "--docs=pages")
    found = json.loads(pathlib.Path("out/simspeed.json").read_text())
    rates, ratios = found["cycles_per_cpu_second"], found["ratios"]
    assert list(rates) == list(BENCHES)
    assert len(found["rounds"]) == 2
    for name, rate in rates.items():
        assert rate == max(turn[name]["cycles"] / turn[name]["cpu_seconds"] for turn in found["rounds"]) > 0
        assert ratios["to_cpp"][name] == rate / rates["cpp"]
        assert ratios["to_per_beat"][name] == rate / rates["per_beat"]
    assert found["missing"] == {}
    assert found["tools"]["cocotbext-axi"]
    text = pathlib.Path("pages/benchmarks.md").read_text()
    assert text.startswith("# Page\n")
    assert "    make simspeed K=2 W=3 C=6 H=5 LANES=3 REPEATS=2 SECONDS=0.01\n" in text
    for name, rate in rates.items():
        assert any(line.startswith(name) and f"{rate:,.0f} " in line for line in finished.out.splitlines())
        assert any(line.startswith(f"| `{name}` |") and f" {rate:,.0f} |" in line for line in text.splitlines())
