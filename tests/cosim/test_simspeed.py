# SPDX-License-Identifier: Apache-2.0
"""`tiled-se simspeed`: four benches that notice what is wrong, what it writes, and its section of the page."""

import dataclasses
import json
import os
import pathlib

import numpy as np
import pytest

from tiled_se.cosim.job import Frame, Idle, Job, Load, Reset, Send
from tiled_se.cosim.run import SimulationError, simulate
from tiled_se.evaluate import page
from tiled_se.evaluate.bench.command import _write as write_bench
from tiled_se.evaluate.bench.plan import Plan
from tiled_se.evaluate.options import BenchOptions
from tiled_se.evaluate.simspeed import benches, command, rounds
from tiled_se.evaluate.simspeed.benches import BENCHES, Run
from tiled_se.evaluate.simspeed.cpp_loop import build_loop, run_loop, write_stimulus
from tiled_se.gen.block_spec import prepare
from tiled_se.gen.options import BlockOptions
from tiled_se.gen.simulation import bench_job, bench_taps
from tiled_se.gen.verilog import generate
from tiled_se.hdl.config import ConfigError

# Three lanes fill no word; the last tile is ragged.
BLOCK = dict(k=2, width=3, height=5, channels=6, lanes=3)
QUICK = ["--k=2", "--width=3", "--height=5", "--channels=6", "--lanes=3", "--seconds=0.01", "--repeats=2"]
FAULTY = (pathlib.Path(__file__).parent / "faulty.v").read_text()


@dataclasses.dataclass(frozen=True)
class Block:
    """A job with its design and cosim's Job."""

    job: object
    design: object
    base: object


@pytest.fixture(scope="module", params=[dict(loadable=True), dict(loadable=False, stall=0.3)],
                ids=["loadable", "baked, pauses"])
def block(request):
    job = prepare(BlockOptions(**BLOCK, **request.param))
    return Block(job, generate(job.config, job.baked), bench_job(job))


@pytest.fixture(scope="module")
def loop(block):
    return build_loop(block.design.verilog, block.design.top, block.job.config.lanes, block.job.config.loadable)


def changed(base, frame, **fields):
    """`base` with other fields of one frame."""
    frames = list(base.frames)
    frames[frame] = dataclasses.replace(frames[frame], **fields)
    return dataclasses.replace(base, steps=(*base.steps[:-1], Send(tuple(frames))))


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
    wrong = changed(base, 1, expected=expected)
    monkeypatch.setattr(benches, "bench_job", lambda job: wrong)
    with benches.made(block.job, block.design, [name]) as found:
        assert len(found[name](2).failures) == 1
        # The frames are sent in turn: the wrong one is not among a single frame.
        assert found[name](1).failures == ()


def test_loop_counts_as_our_bench_does(block, loop, tmp_path):
    """Cycles from the first beat offered to the last one out, where no pauses are drawn at random."""
    base = dataclasses.replace(block.base, stall_in=0.0, stall_out=0.0)
    built = benches.build_simulation(block.design.verilog, block.design.top, bench_taps(block.design), per_beat=True)
    result = simulate(built, base)
    counted = looped(loop, base, tmp_path)
    assert counted.failures == []
    assert counted.beats == sum(len(frame.beats) for frame in base.frames)
    assert counted.total_cycles == result.total_cycles
    assert counted.cycles == result.cycles


def test_loop_pauses(block, loop, tmp_path):
    """More pauses take more cycles; another seed other ones."""
    cycles = [looped(loop, dataclasses.replace(block.base, stall_in=stall, stall_out=stall, seed=seed),
                     tmp_path).total_cycles for stall, seed in ((0, 1), (0.5, 1), (0.5, 1), (0.5, 2), (0.9, 1))]
    assert cycles[0] < cycles[1] == cycles[2] != cycles[3]
    assert max(cycles[1], cycles[3]) < cycles[4]


# Faults of faulty.v that are no mere breach of protocol.
FAULTS = {"none": (0, 0), "dropped beat": (1, 0), "repeated beat": (2, 0.3), "swapped lanes": (3, 0),
          "data change under stall": (4, 0.5), "early tlast": (5, 0), "no tlast": (6, 0), "tready stuck": (8, 0),
          "wrong bit at the end": (9, 0.3), "beats behind the end": (10, 0), "output stops": (11, 0)}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("bench", ["cpp", "cocotbext_axi"])
def test_fault_is_found(tmp_path, bench, name):
    """What tests of our own bench have a block do wrong, the others notice, too."""
    fault, stall = FAULTS[name]
    data = np.random.default_rng(fault).integers(0, 256, (2, 24, 2), np.uint8)
    data[0, 0, 0] = fault
    steps = (Reset(), Load(np.arange(3, dtype=np.uint32)), Idle(4), Send(tuple(Frame(frame, frame) for frame in data)))
    job = Job(steps=steps, lanes=2, width=2, channels=4, hang_cycles=500, stall_in=stall, stall_out=stall, seed=3)
    if bench == "cpp":
        result = looped(build_loop(FAULTY, "faulty", 2, True), job, tmp_path)
    else:
        result = simulate(benches.build_simulation(FAULTY, "faulty", per_beat=True), job, module=benches.AXI_TEST)
    assert bool(result.failures) == bool(fault)


def test_parameters_that_are_not_taken(tmp_path):
    text = FAULTY.replace("assign w_axis_tready = 1;", "assign w_axis_tready = 0;")
    frame = Frame(np.zeros((4, 2), np.uint8), np.zeros((4, 2), np.uint8))
    job = Job(steps=(Reset(), Load(np.zeros(3, np.uint32)), Send((frame,))), lanes=2, width=2, channels=4,
              hang_cycles=500)
    assert looped(build_loop(text, "faulty", 2, True), job, tmp_path).failures == [
        "w_axis: the parameters were not taken"]
    built = benches.build_simulation(text, "faulty", per_beat=True)
    assert simulate(built, job, module=benches.AXI_TEST).failures == ["hang in step load, after 0 frames"]


def test_loop_that_cannot_run(block, loop, tmp_path):
    with pytest.raises(SimulationError, match=r"^the C\+\+ loop failed with status 2:\n.*none: No such file"):
        run_loop(loop, tmp_path / "none", block.base, 1)
    (tmp_path / "short").write_bytes(bytes(8))
    with pytest.raises(SimulationError, match=r"^the C\+\+ loop failed with status 2:\nloop: the file is too short"):
        run_loop(loop, tmp_path / "short", block.base, 1)


def test_repeated_frames_are_saved_once(block, tmp_path):
    sizes = []
    for count in (2, 200):
        job = benches._sending(block.base, count)
        job.save(tmp_path)
        sizes.append((tmp_path / "arrays.npz").stat().st_size)
        again = Job.load(tmp_path).frames
        assert len(again) == count
        assert all((a.beats == b.beats).all() and (a.expected == b.expected).all()
                   for a, b in zip(again, job.frames, strict=True))
    assert sizes[0] == sizes[1]


class TestRounds:
    @staticmethod
    def bench(pace, log):
        def run(frames):
            log.append(frames)
            return Run(frames, 100 * frames, pace * frames, ())
        return run

    def test_each_fills_its_time(self):
        """As many frames as take the time, found in few steps; one if that takes longer."""
        slow, fast = [], []
        found = rounds.measure({"slow": self.bench(7, slow), "fast": self.bench(0.001, fast)}, 2, 3, lambda text: None)
        assert slow == [1] * 4
        assert fast[-3:] == [2000] * 3
        assert len(fast) <= 3 + 4
        assert [sorted(turn) for turn in found] == [["fast", "slow"]] * 3

    def test_they_take_turns(self):
        log = []
        rounds.measure({"a": self.bench(1, log), "b": self.bench(0.5, log)}, 1, 2, lambda text: None)
        assert log[-4:] == [1, 2, 1, 2]

    def test_wrong_run_ends_it(self):
        with pytest.raises(rounds.Wrong, match=r"^b: two differ$"):
            rounds.measure({"b": lambda frames: Run(frames, 9, 1.0, ("two differ", "more"))}, 1, 2, lambda text: None)


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


class TestCommand:
    def test_figures(self, tiled_se):
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

    def test_wrong_output(self, tiled_se, monkeypatch):
        """Nothing is written but the line that says which bench saw it."""
        def wrong(job):
            base = bench_job(job)
            return changed(base, 0, expected=base.frames[0].expected ^ np.uint8(4))

        monkeypatch.setattr(benches, "bench_job", wrong)
        finished = tiled_se("simspeed", *QUICK, "--out=out")
        assert finished.status == 1
        assert finished.err.startswith("tiled-se: mismatch: fast: 90 of 90 elements differ")
        assert finished.err.count("\n") == 1
        assert not os.path.exists("out")

    def test_without_cocotbext_axi(self, tiled_se, monkeypatch):
        """Its entries are null, and the run says why."""
        def gone(name):
            raise ModuleNotFoundError(name)

        monkeypatch.setattr(benches.importlib.util, "find_spec", gone)
        finished = tiled_se.passes("simspeed", *QUICK, "--out=out")
        assert "cocotbext_axi is left out: cocotbext-axi is not installed" in finished.out
        found = json.loads(pathlib.Path("out/simspeed.json").read_text())
        assert found["cycles_per_cpu_second"]["cocotbext_axi"] is None
        assert found["ratios"]["to_cpp"]["cocotbext_axi"] is None
        assert found["cycles_per_cpu_second"]["cpp"] > 0
        assert not any("cocotbext_axi" in turn for turn in found["rounds"])

    def test_headline_by_default(self, tiled_se, monkeypatch):
        chosen = []

        def stop(options):
            chosen.append((options.k, options.width, options.channels))
            raise ConfigError("k", options.k, "stop")

        monkeypatch.setattr(command, "prepare", stop)
        tiled_se("simspeed", "--out=out")
        tiled_se("simspeed", "--width=8", "--out=out")
        assert chosen == [(7, 56, 64), (7, 8, None)]

    @pytest.mark.parametrize(("option", "line"), [
        ("--repeats=0", "REPEATS=0 (--repeats): must be an integer from 1 to 1000"),
        ("--seconds=0", "SECONDS=0 (--seconds): must be a number from 0.01 to 600"),
        ("--lanes=4", "LANES=4 (--lanes): must divide channels=6"),
        ("--docs=none", "DOCS=none (--docs): must be a folder with benchmarks.md, which make bench writes"),
        ("--docs=file", "DOCS=file (--docs): benchmarks.md can't be read: Not a directory"),
        ("--docs=half", f"DOCS=half (--docs): benchmarks.md must have the lines '{page.BEGIN}' and '{page.END}' once "
                        "each, in this order, or neither"),
    ])
    def test_refused(self, tiled_se, option, line):
        pathlib.Path("file").write_text("")
        os.mkdir("half")
        pathlib.Path("half/benchmarks.md").write_text(f"{page.BEGIN}\n")
        tiled_se.refuses(line, "simspeed", *QUICK, option, "--out=out")
        assert not os.path.exists("out")

    def test_page_that_cannot_be_written(self, tiled_se, monkeypatch):
        os.mkdir("pages")
        pathlib.Path("pages/benchmarks.md").write_text("")
        access = os.access
        monkeypatch.setattr(os, "access", lambda path, mode: path != "pages" and access(path, mode))
        tiled_se.refuses("DOCS=pages (--docs): must be writable", "simspeed", *QUICK, "--docs=pages", "--out=out")


class TestPage:
    def test_section_is_replaced_in_place(self):
        first = page.with_section("a\n\n", "one\n")
        assert first == f"a\n\n{page.BEGIN}\none\n{page.END}\n"
        between = f"{first}\nb\n"
        assert page.with_section(between, "two") == between.replace("one", "two")

    def test_only_whole_sections(self):
        for text in (page.BEGIN, page.END, f"{page.END}{page.BEGIN}", f"{page.BEGIN}{page.END}" * 2):
            with pytest.raises(ValueError, match="^must have the lines"):
                page.with_section(text, "")

    def test_bench_keeps_it(self, tmp_path):
        """`make bench` writes the page anew around the section, and leaves a page without one without."""
        path = tmp_path / "benchmarks.md"
        write_bench(Plan(), {}, {}, str(tmp_path), BenchOptions())
        fresh = path.read_text()
        assert page.BEGIN not in fresh
        path.write_text(page.with_section("# Old page\n", "## Speed\n\nfigures\n"))
        write_bench(Plan(), {}, {}, str(tmp_path), BenchOptions())
        assert path.read_text() == page.with_section(fresh, "## Speed\n\nfigures\n")
