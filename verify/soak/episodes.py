# SPDX-License-Identifier: Apache-2.0
"""Random episodes, from one reset to the next: frames and faults of their streams, in random order."""

import numpy as np

from ...hdl.timing import Timing
from .script import SETTLE

__all__ = ["Episodes"]

# Frames of one step, and the cycles that they take, about.
MOST_FRAMES, CHUNK = 60, 600
# Words that a parameter stream may be too long.
MOST_SURPLUS = 300


class Episodes:
    """Puts random steps into `script`; `pace` is the least cycles that a beat takes, with the pauses of the run."""

    def __init__(self, script, rng, pace):
        self.script, self.rng, self.pace = script, rng, pace
        self.pool, self.block = script.pool, script.block
        self.timing = Timing(self.block.config)
        # Loading parameters must not be most of what a block does.
        self.chunk = max(CHUNK, len(script.words[0]) // 4)

    def timed(self, beats):
        """At least `beats` of whole frames, back to back, without any other event."""
        self._begin()
        self._ready()
        self.script.idle(SETTLE)
        samples = []
        while sum(len(sample.beats) for sample in samples) < beats:
            samples.append(self.pool.draw_whole())
        self.script.section.timed = True
        self.script.send(samples, wait=True)
        self.script.finish()

    def random(self, beats):
        """Episodes of all kinds until at least `beats` must have come out; no reset cuts the last one short."""
        done = 0
        while done < beats:
            done += self._episode()
        if not self.script.section.complete:
            self._episode(peaceful=True)

    def _episode(self, peaceful=False):
        """Returns the beats that must come out of the episode."""
        self._begin()
        if self.rng.random() < 0.2:
            self._reset_early()
        self._ready()
        for _ in range(self.rng.integers(1, 7)):
            self._act()
        if peaceful or self.rng.random() < 0.6:
            self._ready()
            self._send(wait=True)
            self.script.finish()
            return self.script.section.beats
        self._break_off()
        return 0

    def _chance(self, *choices):
        return choices[self.rng.integers(len(choices))]()

    # Resets.

    def _begin(self):
        self.script.reset(int(self.rng.integers(1, 5)))
        while self.rng.random() < 0.2:
            self.script.idle(self.rng.integers(4))
            self.script.reset(int(self.rng.integers(1, 3)))
        if self.rng.random() < 0.5:
            self.script.look()

    def _reset_early(self):
        """A reset before the block is loaded; a baked one already takes frames."""
        self._send(wait=False)
        self.script.idle(self.rng.integers(60))
        self.script.reset(1)

    def _break_off(self):
        """The end of an episode that a reset cuts short; that reset begins the next episode."""
        self.script.counts["resets in mid stream"] += 1
        choices = [self._break_after, self._break_anywhere]
        if self.block.config.loadable:
            choices += [self._break_load, self._break_endless]
        self._chance(*choices)

    def _break_after(self):
        self._ready()
        before = self.script.section.beats
        self._send(wait=False)
        after = int(self.rng.integers(before + 1, self.script.section.beats + 1))
        self.script.reset_after(after, int(self.rng.integers(1, 4)))

    def _break_anywhere(self):
        self._send(wait=False)
        self.script.idle(self._while(self.timing.output_latency + self.timing.excite_cycles))
        if self.rng.random() < 0.5:
            self.script.look()

    def _break_load(self):
        """The reset comes before the stream's end, or shortly after it."""
        number = self._set()
        if self.rng.random() < 0.5:
            self._send(wait=False)
        self.script.load(number, wait=False)
        self.script.idle(self._while(len(self.script.words[number]) + SETTLE))

    def _break_endless(self):
        words = self.script.words[self._set()]
        count = int(self.rng.integers(1, 2 * len(words)))
        self.script.load_endlessly(self._resized(words, count), refused=count >= len(words))
        if self.rng.random() < 0.5:
            before = self.script.look()
            self._send(wait=False)
            self.script.idle(30)
            self.script.look(as_before=before)

    def _while(self, cycles):
        """A random time, about as long as something that takes `cycles`."""
        return self.rng.integers(1, int(1.5 * cycles * self.pace) + 2)

    # Events between resets.

    def _act(self):
        choices = [self._stream, self._stream, self._burst, self._pause, self.script.look]
        if self.block.config.loadable:
            choices += [self._reload, self._meet, self._bad]
        self._chance(*choices)

    def _send(self, wait):
        self.script.send(self._samples(), wait)

    def _samples(self):
        """Frames, some with another tlast on the next beat, or on several."""
        samples, cost, most = [], 0, self.rng.uniform(0.1, 2) * self.chunk
        while not samples or (cost < most and len(samples) < MOST_FRAMES):
            samples.append(self.pool.draw())
            if self.rng.random() < 0.15:
                again = 1 if self.rng.random() < 0.7 else int(self.rng.integers(2, 7))
                samples += again * [self.pool.single]
                self.script.counts["doubled tlast"] += 1
            cost = sum(sample.cost for sample in samples)
        return samples

    def _stream(self):
        if not self.script.loaded:
            self._ready()
        self._send(wait=self.rng.random() < 0.5)

    def _burst(self):
        """The source stops within a frame, for about as long as a tile takes."""
        before = self.script.section.beats
        samples = self._samples()
        self.script.hold(before + int(self.rng.integers(1, sum(len(sample.beats) for sample in samples) + 1)))
        self.script.send(samples, wait=False)
        self.script.idle(self._while(self.timing.output_latency))
        self.script.hold(None)

    def _pause(self):
        """All output comes out; the block is then idle."""
        self._ready()
        self.script.drain()
        if self.rng.random() < 0.5:
            self.script.look()

    # Parameters.

    def _set(self):
        return int(self.rng.integers(len(self.block.sets)))

    def _ready(self):
        """Load the block unless it is loaded, perhaps after some bad streams."""
        if self.script.loaded:
            return
        while self.rng.random() < 0.2:
            self._refuse()
        self.script.load(self._set())

    def _reload(self):
        """Parameters arrive during frames or after them."""
        if self.rng.random() < 0.6:
            self._send(wait=self.rng.random() < 0.3)
            self.script.idle(self._while(self.timing.output_latency))
        self.script.load(self._set(), wait=self.rng.random() < 0.7)

    def _meet(self):
        """Parameters and a frame arrive at an idle block at about the same time; either may be first."""
        self.script.drain()
        self.script.idle(SETTLE)
        self.script.load(self._set(), wait=False)
        self.script.idle(self.rng.integers(5))
        self._send(wait=False)

    def _bad(self):
        """Some bad streams; no frame is taken before a right one has arrived."""
        if self.rng.random() < 0.5:
            self._send(wait=False)
            self.script.idle(self._while(self.timing.output_latency))
        for _ in range(self.rng.integers(1, 3)):
            self._refuse()
        before = self.script.look()
        if self.rng.random() < 0.5:
            self._send(wait=False)
            self.script.idle(30)
            self.script.look(as_before=before)
        self.script.load(self._set())

    def _refuse(self):
        """A stream that is cut short, too long, of another configuration, or both."""
        words = self.script.words[self._set()]
        count = len(words)
        kind = self.rng.integers(5)
        if kind < 2:
            words = self._resized(words, int(self.rng.integers(1, count)))
        elif kind == 2:
            words = self._resized(words, count + int(self.rng.choice([1, 2, self.rng.integers(3, MOST_SURPLUS)])))
        else:
            words = self._resized(words, count if kind == 3 else int(self.rng.integers(1, 2 * count)))
            words[0] ^= 1 << int(self.rng.integers(32))
        self.script.load_badly(words)

    def _resized(self, words, count):
        """A copy of `count` words, with random ones after the last where that is more."""
        more = self.rng.integers(0, 1 << 32, max(count - len(words), 0), dtype=words.dtype)
        return np.concatenate([words[:count], more])
