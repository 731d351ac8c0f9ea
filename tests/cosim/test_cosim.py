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
from tests.helpers.nightly import seldom
from tiled_se.cosim.build import build_simulation
from tiled_se.cosim.job import Drain, Frame, Idle, Job, Load, Reset, Send
from tiled_se.cosim.run import simulate
from tiled_se.gen.verilog import generate
from tiled_se.golden.integer import IntegerModel
from tiled_se.hdl.config import Context, GateKind
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
        kind = self.config.data.numpy
        y = expected(self.config, parameters or self.parameters, x)
        return Frame.of(x.astype(kind), y.astype(kind), lanes=self.config.lanes)

    def frames(self, heights, rng):
        return tuple(self.frame(random_frame(self.config, height, rng)) for height in heights)


def built(**shape):
    config, parameters = quantised(**shape)
    design = generate(config, None if config.loadable else parameters)
    return Block(config, parameters, build_simulation(design.verilog, design.top, design.taps))


@pytest.mark.parametrize("name", seldom(
    CONFIGS, "causal, tiles of one beat, MAX_ROWS=5, loadable", "cumulative, K=1, sums in RAM",
    "patches, int16 to int5", "requantised, loadable"))
def test_bit_exact(name):
    """The regression's whole frames, at length. Its other scenarios are in test_crosscheck.py, for all these blocks."""
    block = built(**CONFIGS[name])
    for scenario in suite(block.config, block.parameters, seed=11, beats=BEATS, indices=range(len(STALLS))):
        result = simulate(block.simulation, scenario.job)
        assert scenario.failures(result) == [], scenario.name
        assert result.compared == block.config.lanes * sum(len(frame.beats) for frame in scenario.job.frames)
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


@pytest.mark.parametrize("name", ["requantised", "requantised, loadable"])
def test_outputs_saturate(name):
    """These configurations do have outputs beyond both ends of their type, and others within it."""
    config, parameters = quantised(**CONFIGS[name])
    job = suite(config, parameters, indices=(0,))[0].job
    y = np.concatenate([job.elements(frame.expected) for frame in job.frames])
    assert (y.min(), y.max()) == (config.outputs.low, config.outputs.high)
    assert 0.05 < (y == config.outputs.low).mean() < 0.5
    assert 0.05 < (y == config.outputs.high).mean() < 0.5


def test_headline_takes_a_beat_every_cycle():
    """The default configuration: full rate over frames back to back, ragged ones too, and the cycles that were said."""
    headline = built(**HEADLINE)
    config, timing = headline.config, Timing(headline.config)
    frames = headline.frames((21, 24, 7), np.random.default_rng(1))
    result = simulate(headline.simulation, headline.job(Idle(4), Send(frames)))
    assert result.ok, result.failures
    assert result.in_stall_cycles == 0
    assert result.total_cycles == predict(config, (21, 24, 7)).total_cycles
    assert result.steady_throughput == 1.0
    assert result.first_output_latency == config.tile_words - 1 + timing.output_latency
    assert result.status["status_peak_words"] == config.tile_words + timing.tile_latency - 1


@pytest.mark.parametrize("tiling", seldom([
    {}, dict(tile_width=3), dict(context=Context.CUMULATIVE), dict(context=Context.CAUSAL, prior_rows=1)],
    {}, dict(context=Context.CAUSAL, prior_rows=1)),
    ids=["tile", "patches", "cumulative", "causal"])
def test_a_mismatch_names_the_stage(tiling):
    """Golden values that are wrong from some stage on: the report names the first element and that stage.

    The block of the causal context has imaginary rows, so no tap for sums.
    """
    small = built(**dict(k=3, width=4, channels=8, squeeze=3, lanes=2, macs=3, zero_point=33) | tiling)
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
