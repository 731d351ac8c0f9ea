# SPDX-License-Identifier: Apache-2.0
"""Random streams through a small loadable block, step by step, so that hypothesis shrinks what fails to a few steps."""

import functools

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tiled_se.cosim.job import Job
from tiled_se.cosim.standalone import build_model
from tiled_se.gen.verilog import generate
from tiled_se.hdl.timing import Timing
from tiled_se.verify.configurations import quantised
from tiled_se.verify.soak.blocks import Block
from tiled_se.verify.soak.frames import Pool
from tiled_se.verify.soak.judge import judge
from tiled_se.verify.soak.script import Script

from . import examples

SHAPE = dict(k=3, width=4, channels=8, squeeze=3, lanes=2, macs=3, zero_point=-20, loadable=True)
STALLS = st.sampled_from((0.0, 0.3, 0.9))
# Of the pool, by number.
SAMPLES = st.lists(st.integers(0, 20), min_size=1, max_size=3)
SETS, CYCLES = st.integers(0, 1), st.integers(0, 80)


@functools.cache
def model_and_pool():
    """The compiled block, and frames for it with what comes out of them."""
    sets = tuple(quantised(seed=seed, **SHAPE) for seed in (1, 9))
    design = generate(sets[0][0], None)
    return build_model(design.verilog, design.top), Pool(Block(sets[0][0], sets), np.random.default_rng(3))


class Streams(RuleBasedStateMachine):
    """Steps of one job; what the block shows is judged when the last one is known."""

    @initialize(stall_in=STALLS, stall_out=STALLS, seed=st.integers(1, 1000), load=st.booleans())
    def begin(self, stall_in, stall_out, seed, load):
        self.model, pool = model_and_pool()
        self.stalls, self.seed = (stall_in, stall_out), seed
        self.script = Script(pool.block, pool)
        self.reset(1, False)
        if load:
            self.load(0, True)

    def samples(self, numbers):
        pool = self.script.pool
        return [pool.samples[number % len(pool.samples)] for number in numbers]

    @property
    def loaded(self):
        return self.script.loaded

    @rule(cycles=st.integers(1, 4), look=st.booleans())
    def reset(self, cycles, look):
        self.script.reset(cycles)
        self.endless = False
        if look:
            self.script.look()

    @precondition(lambda self: self.loaded)
    @rule(numbers=SAMPLES, back=st.integers(0, 30), cycles=st.integers(1, 3))
    def reset_while_frames_come(self, numbers, back, cycles):
        before = self.script.section.beats
        self.script.send(self.samples(numbers), wait=False)
        self.script.reset_after(max(self.script.section.beats - back, before + 1), cycles)
        self.endless = False

    @rule(cycles=CYCLES)
    def idle(self, cycles):
        self.script.idle(cycles)

    @rule()
    def look(self):
        self.script.look()

    @rule(numbers=SAMPLES, wait=st.booleans())
    def send(self, numbers, wait):
        """Without parameters, frames wait outside."""
        self.script.send(self.samples(numbers), wait=wait and self.loaded)

    @precondition(lambda self: self.loaded)
    @rule(numbers=SAMPLES, at=st.integers(1, 40), cycles=CYCLES)
    def pause_in_mid_frame(self, numbers, at, cycles):
        before = self.script.section.beats
        self.script.hold(before + at)
        self.script.send(self.samples(numbers), wait=False)
        self.script.idle(cycles)
        self.script.hold(None)

    @precondition(lambda self: self.loaded)
    @rule()
    def drain(self):
        self.script.drain()

    @precondition(lambda self: not self.endless)
    @rule(number=SETS, wait=st.booleans())
    def load(self, number, wait):
        self.script.load(number, wait)

    @precondition(lambda self: not self.endless)
    @rule(number=SETS, words=st.integers(1, 200), bit=st.none() | st.integers(0, 31))
    def load_badly(self, number, words, bit):
        """Cut short, too long, or foreign in a bit of the first word."""
        stream = self.resized(number, words)
        if bit is not None:
            stream[0] ^= 1 << bit
        if bit is not None or words != len(self.script.words(number)):
            self.script.load_badly(stream)

    @precondition(lambda self: not self.endless)
    @rule(number=SETS, words=st.integers(1, 200))
    def load_endlessly(self, number, words):
        """Only a reset helps."""
        self.script.load_endlessly(self.resized(number, words), refused=words >= len(self.script.words(number)))
        self.endless = True

    def resized(self, number, words):
        return np.resize(self.script.words(number), words)

    def teardown(self):
        if not hasattr(self, "script"):
            return
        if self.endless:
            self.reset(1, False)
        if not self.loaded:
            self.load(0, True)
        self.script.send(self.samples([0]), wait=True)
        self.script.finish()
        config = self.script.block.config
        job = Job(steps=self.script.steps, lanes=config.lanes, width=config.width, channels=config.channels,
                  signed=config.signed, stall_in=self.stalls[0], stall_out=self.stalls[1], seed=self.seed,
                  hang_cycles=2000 + 10 * Timing(config).tile_latency)
        verdict = judge(self.script, self.model.run(job), any(self.stalls))
        assert (verdict.faults, verdict.lost, verdict.wrong) == ([], 0, 0)


def test_streams():
    model_and_pool()
    run_state_machine_as_test(Streams, settings=examples(200, stateful_step_count=15))
