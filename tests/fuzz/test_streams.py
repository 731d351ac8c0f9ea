# SPDX-License-Identifier: Apache-2.0
"""Random streams through a small loadable block, step by step, so that hypothesis shrinks what fails to a few steps."""

import functools

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tiled_se.cosim.job import Job
from tiled_se.cosim.standalone import build_model
from tiled_se.gen.verilog import generate
from tiled_se.verify.configurations import quantised
from tiled_se.verify.soak.blocks import BlockWithSets
from tiled_se.verify.soak.frames import Pool
from tiled_se.verify.soak.judge import judge
from tiled_se.verify.soak.script import Script

from . import examples

SHAPE = dict(k=3, width=4, channels=8, squeeze=3, lanes=2, macs=3, zero_point=-20, loadable=True)
STALLS = st.sampled_from((0.0, 0.3, 0.9))
# Of the pool, by number.
FRAMES = st.lists(st.integers(0, 20), min_size=1, max_size=3)
SETS, CYCLES, WORDS = st.integers(0, 1), st.integers(0, 80), st.integers(1, 200)


@functools.cache
def model_and_pool():
    """The compiled block, and frames for it with their outputs."""
    sets = tuple(quantised(seed=seed, **SHAPE) for seed in (1, 9))
    design = generate(sets[0][0], None)
    return build_model(design.verilog, design.top), Pool(BlockWithSets(sets[0][0], sets), np.random.default_rng(3))


class Streams(RuleBasedStateMachine):
    """Steps of one job; what the block shows is judged when the last one is known."""

    # Whether only a reset helps.
    endless = False

    loaded = precondition(lambda self: self.script.loaded)
    ending = precondition(lambda self: not self.endless)

    @initialize(stalls=st.tuples(STALLS, STALLS), seed=st.integers(1, 1000), load=st.booleans())
    def begin(self, stalls, seed, load):
        self.model, pool = model_and_pool()
        self.stalls, self.seed = stalls, seed
        self.script = Script(pool.block, pool)
        self.reset(1)
        if load:
            self.load(0, True)

    def send_now(self, numbers, wait=False):
        """Send frames; the section's beats before them."""
        before, samples = self.script.section.beats, self.script.pool.samples
        self.script.send([samples[number % len(samples)] for number in numbers], wait=wait)
        return before

    @rule(cycles=st.integers(1, 4))
    def reset(self, cycles):
        self.script.reset(cycles)
        self.endless = False

    @loaded
    @rule(numbers=FRAMES, back=st.integers(0, 30), cycles=st.integers(1, 3))
    def reset_while_frames_come(self, numbers, back, cycles):
        before = self.send_now(numbers)
        self.script.reset_after(max(self.script.section.beats - back, before + 1), cycles)
        self.endless = False

    @rule(cycles=CYCLES)
    def idle(self, cycles):
        self.script.idle(cycles)

    @rule()
    def look(self):
        self.script.look()

    @rule(numbers=FRAMES, wait=st.booleans())
    def send(self, numbers, wait):
        """Without parameters, frames wait outside."""
        self.send_now(numbers, wait and self.script.loaded)

    @loaded
    @rule(numbers=FRAMES, at=st.integers(1, 40), cycles=CYCLES)
    def pause_in_mid_frame(self, numbers, at, cycles):
        self.script.hold(self.script.section.beats + at)
        self.send_now(numbers)
        self.script.idle(cycles)
        self.script.hold(None)

    @loaded
    @rule()
    def drain(self):
        self.script.drain()

    @ending
    @rule(number=SETS, wait=st.booleans())
    def load(self, number, wait):
        self.script.load(number, wait)

    @ending
    @rule(number=SETS, words=WORDS, bit=st.none() | st.integers(0, 31))
    def load_badly(self, number, words, bit):
        """Cut short, too long, or foreign in a bit of the first word."""
        good = self.script.words[number]
        stream = np.resize(good, words)
        stream[0] ^= 0 if bit is None else 1 << bit
        if not np.array_equal(stream, good):
            self.script.load_badly(stream)

    @ending
    @rule(number=SETS, words=WORDS)
    def load_endlessly(self, number, words):
        good = self.script.words[number]
        self.script.load_endlessly(np.resize(good, words), refused=words >= len(good))
        self.endless = True

    def teardown(self):
        if not hasattr(self, "script"):
            return
        if self.endless:
            self.reset(1)
        if not self.script.loaded:
            self.load(0, True)
        self.send_now([0], wait=True)
        self.script.finish()
        job = Job.of(self.script.block.config, self.script.steps, stall_in=self.stalls[0], stall_out=self.stalls[1],
                     seed=self.seed)
        verdict = judge(self.script, self.model.run(job), any(self.stalls))
        assert (verdict.faults, verdict.lost, verdict.wrong) == ([], 0, 0)


def test_streams():
    model_and_pool()
    run_state_machine_as_test(Streams, settings=examples(200, stateful_step_count=15))
