# SPDX-License-Identifier: Apache-2.0
"""The block in Verilator under cocotb, bit for bit against the golden model: a short list of named configurations.

Each is there for what its name says. All take the regression's scenarios (``verify/regression``) of whole frames: of
many heights back to back, some ragged, some of one row, tall after short in many orders, with pauses on neither side,
and on both with 0.3 against 0.9.
"""

import dataclasses

import numpy as np
import pytest

from tests.helpers.blocks import expected, quantised, random_frame
from tiled_se.cosim.build import build_simulation
from tiled_se.cosim.job import Drain, Frame, Hold, Idle, Job, Load, Reset, ResetAfter, Send, Snapshot
from tiled_se.cosim.run import simulate
from tiled_se.gen.verilog import generate
from tiled_se.golden.integer import IntegerModel
from tiled_se.hdl.config import GateKind
from tiled_se.hdl.parameters import stream_words
from tiled_se.hdl.schedule import predict
from tiled_se.hdl.timing import Timing
from tiled_se.verify.configurations import CONFIGS, HEADLINE
from tiled_se.verify.regression import STALLS, suite

# Of each run of `test_bit_exact`, in three runs of each configuration.
BEATS = 60_000


@dataclasses.dataclass(frozen=True)
class Block:
    """A built block with what belongs to it."""

    config: object
    parameters: object
    simulation: object

    def start(self):
        """Steps from any state to that of a block that waits for frames."""
        return (Reset(), self.load(self.parameters)) if self.config.loadable else (Reset(),)

    def job(self, *steps, **options):
        return Job.of(self.config, (*self.start(), *steps), **options)

    def in_turn(self, runs, **options):
        """One job of several runs, each of which starts anew: starting a simulator takes longer than most of them."""
        return self.job(*(step for run in runs for step in (*self.start(), *run, Drain(), Idle(50))), **options)

    def load(self, parameters, **options):
        return Load(np.array(stream_words(self.config, parameters), np.uint32), **options)

    def frame(self, x, parameters=None):
        """A frame of (H, W, C) and what the golden model gives for it."""
        kind = np.int8 if self.config.signed else np.uint8
        y = expected(self.config, parameters or self.parameters, x)
        return Frame.of(x.astype(kind), y.astype(kind), lanes=self.config.lanes)

    def frames(self, heights, rng):
        return tuple(self.frame(random_frame(self.config, height, rng)) for height in heights)


def built(**shape):
    config, parameters = quantised(**shape)
    design = generate(config, None if config.loadable else parameters)
    return Block(config, parameters, build_simulation(design.verilog, design.top, design.taps))


@pytest.mark.parametrize("shape", CONFIGS.values(), ids=CONFIGS)
def test_bit_exact(shape):
    """The regression's whole frames, at length. Its other scenarios are in test_crosscheck.py, for all these blocks."""
    block = built(**shape)
    for scenario in suite(block.config, block.parameters, seed=11, beats=BEATS, indices=range(len(STALLS))):
        result = simulate(block.simulation, scenario.job)
        assert scenario.failures(result) == [], scenario.name
        assert result.compared == sum(frame.beats.size for frame in scenario.job.frames)
        # What the buffer holds is in flight; beyond it, beats can only be on their way out.
        assert 0 <= result.peak_in_flight - result.status["status_peak_words"] <= Timing(block.config).credits + 1


@pytest.mark.parametrize(("name", "ends"), [
    ("identity, loud weights that saturate the gate", (-8192, 8191)),
    ("silu, loud, hard sigmoid x/6 + 1/2", (0, 4096)),
    ("residual, hard sigmoid of slope 0.2", (2048, 4096)),
])
def test_gates_saturate(name, ends):
    """These configurations do reach both ends of the gate's range: else the list would not test that."""
    config, parameters = quantised(**CONFIGS[name])
    frames = suite(config, parameters, indices=(0,))[0].job.frames[-5:]
    x = np.stack([frame.beats.view(np.int8) for frame in frames]).astype(np.int64)
    run = IntegerModel(config, parameters).run(x.reshape(5, -1, config.width, config.channels))
    values = run.logits if config.gate.kind is GateKind.SIGMOID else run.gates
    assert (values.min(), values.max()) == ends


@pytest.fixture(scope="module")
def headline():
    return built(**HEADLINE)


def test_headline_takes_a_beat_every_cycle(headline):
    """The default configuration: full rate over frames back to back, ragged ones too, and the cycles that were said."""
    config, timing = headline.config, Timing(headline.config)
    frames = headline.frames((21, 24, 7), np.random.default_rng(1))
    result = simulate(headline.simulation, headline.job(Idle(4), Send(frames)))
    assert result.ok, result.failures
    assert result.in_stall_cycles == 0
    assert result.total_cycles == predict(config, (21, 24, 7)).total_cycles
    assert result.steady_throughput == 1.0
    assert result.first_output_latency == config.tile_words - 1 + timing.output_latency
    assert result.status["status_peak_words"] == config.tile_words + timing.tile_latency - 1


def test_parameters_are_reloaded_between_frames(headline):
    """Streams that come while frames are under way wait for them; each frame is scaled by its time's parameters."""
    rng = np.random.default_rng(2)
    _, other = quantised(seed=5, **HEADLINE)
    assert not np.array_equal(other.layer1.weight, headline.parameters.layer1.weight)
    x = random_frame(headline.config, 9, rng)
    first, second = headline.frame(x), headline.frame(x, other)
    assert not np.array_equal(first.expected, second.expected)
    # A stream that waits comes before a frame that has not begun.
    steps = (Send((first,), wait=False), Idle(40), headline.load(other), Send((second,), wait=False), Idle(40),
             headline.load(headline.parameters), Send((first,)))
    result = simulate(headline.simulation, headline.job(*steps, stall_in=0.2, stall_out=0.3))
    assert result.ok, result.failures
    assert result.status == {**result.status, "status_loaded": 1, "status_load_error": 0}


LOADABLE = dict(k=3, width=4, channels=8, squeeze=3, lanes=2, macs=3, zero_point=-20, loadable=True)


@pytest.fixture(scope="module")
def loadable():
    """A small loadable block and a second set of parameters for it."""
    return built(**LOADABLE), quantised(seed=9, **LOADABLE)[1]


@pytest.mark.parametrize("foreign", [0, 1])
def test_a_stream_of_one_word_unloads_at_once(loadable, foreign):
    """Its only word says whose it is, and ends it: no beat gets in behind it until a whole stream has come."""
    block, _ = loadable
    frame = block.frame(random_frame(block.config, 4, np.random.default_rng(6)))
    word = stream_words(block.config, block.parameters)[0] ^ foreign
    runs = [(Send((frame,)), Drain(), Load(np.array([word], np.uint32)), Idle(wait), Send((frame,), wait=False),
             Idle(30), Snapshot(f"{wait} behind"), block.load(block.parameters)) for wait in range(30)]
    result = simulate(block.simulation, block.in_turn(runs))
    assert result.ok, result.failures
    assert len(result.snapshots) == len(runs)
    for wait, behind in result.snapshots.items():
        assert not behind["status_loaded"], wait
        assert behind["accepted"] == len(frame.beats), wait


def test_load_waits_for_the_last_output():
    """Parameters are not touched, and the zero point is that of the frame, while the last outputs wait to be taken."""
    shape = dict(k=3, width=16, channels=8, squeeze=3, lanes=2, macs=3, loadable=True)
    block = built(**shape, zero_point=-20)
    # Other parameters of the same formats, for another zero point.
    others = (quantised(seed=seed, **shape, zero_point=55) for seed in range(30))
    config, parameters = next(other for other in others if other[0].fingerprint == block.config.fingerprint)
    x = random_frame(block.config, 3, np.random.default_rng(12))
    after = Frame.of(x.astype(np.int8), expected(config, parameters, x).astype(np.int8), lanes=2)
    steps = (Send((block.frame(x),)), block.load(parameters, wait=False), Drain(), Idle(400), Send((after,)))
    result = simulate(block.simulation, block.job(*steps, stall_out=0.95, seed=3))
    assert result.ok, result.failures


def test_load_waits_for_a_frame_that_pauses(loadable):
    """A frame stops between two tiles until all that came is delivered: a stream still has to wait for its end."""
    block, other = loadable
    config = block.config
    tile = config.tile_words
    x = random_frame(config, 2 * config.k, np.random.default_rng(13))
    steps = (Hold(tile), Send((block.frame(x),), wait=False), Idle(20 + 2 * tile + Timing(config).output_latency),
             Snapshot("paused"), block.load(other, wait=False), Idle(50), Snapshot("waiting"), Hold(None), Drain(),
             Send((block.frame(x, other),)))
    result = simulate(block.simulation, block.job(*steps))
    assert result.ok, result.failures
    assert result.snapshots["paused"]["delivered"] == tile
    assert result.snapshots["waiting"]["loaded"] == result.snapshots["paused"]["loaded"]


@pytest.mark.parametrize("delay", [1, 9, 17, 26])
def test_load_among_short_frames(loadable, delay):
    """Frames of a beat or a row come all the time: outputs are of the old parameters, then of the new ones."""
    block, other = loadable
    config = block.config
    rng = np.random.default_rng(14)
    models = [IntegerModel(config, p) for p in (block.parameters, other)]
    frames, wanted = [], []
    for i in range(60):
        x = rng.integers(-128, 128, (1 if i % 3 else config.width * config.groups, config.lanes))
        frames.append(Frame(x.astype(np.int8)))
        wanted.append([model.run_beats(x).y.numpy().astype(np.int8).view(np.uint8) for model in models])
    steps = (Send(tuple(frames), wait=False), Idle(delay), block.load(other, wait=False), Drain())
    result = simulate(block.simulation, block.job(*steps, seed=delay))
    assert result.ok, result.failures
    fits = [[np.array_equal(got, y) for y in ys] for got, ys in zip(result.outputs, wanted, strict=True)]
    assert any(all(old for old, _ in fits[:i]) and all(new for _, new in fits[i:]) for i in range(1, 60)), fits


def test_reset_unloads(headline):
    """After a reset a loadable block takes nothing until it is loaded again."""
    lost, kept = (headline.frames((2,), np.random.default_rng(seed)) for seed in (5, 6))
    job = headline.job(Send(lost, wait=False), ResetAfter(100), Snapshot("reset"), Send(kept, wait=False), Idle(50),
                       Snapshot("waiting"), headline.load(headline.parameters), Drain())
    result = simulate(headline.simulation, job)
    assert result.ok, result.failures
    assert result.snapshots["reset"]["status_loaded"] == 0
    assert result.snapshots["waiting"]["accepted"] == 0


def test_a_mismatch_names_the_stage():
    """Golden values that are wrong from some stage on: the report names the first element and that stage."""
    small = built(k=3, width=4, channels=8, squeeze=3, lanes=2, macs=3, zero_point=33)
    config = small.config
    x = random_frame(config, 4, np.random.default_rng(8))
    run = IntegerModel(config, small.parameters).run(x)
    stages = {name: [getattr(run, name).numpy()[0]] for name in ("sums", "means", "hidden", "logits", "gates")}
    frame = small.frame(x)
    wrong = frame.expected.copy()
    wrong[-1, -1] ^= 1
    job = small.job(Send((dataclasses.replace(frame, expected=wrong),)))
    stages["hidden"][0] = stages["hidden"][0].copy()
    stages["hidden"][0][1, 2] += 1
    result = simulate(small.simulation, job, golden_stages=stages)
    assert result.mismatches == 1
    first, = result.first_mismatches
    assert (first["frame"], first["row"], first["column"]) == (0, 3, config.width - 1)
    assert first["channel"] == config.channels - 1
    difference = result.difference
    assert (difference.stage, difference.frame, difference.tile, difference.index) == ("hidden", 0, 1, 2)
    assert difference.expected == difference.got + 1
