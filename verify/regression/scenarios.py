# SPDX-License-Identifier: Apache-2.0
"""The regression's scenarios, each made by one method: frames, stalls, cuts and resets."""

import dataclasses
import functools
import itertools

import numpy as np

from ...cosim.job import Drain, Hold, Idle, Reset, ResetAfter, Send, Snapshot
from ...hdl.config import Context
from ...hdl.schedule import in_flight, predict
from ...hdl.timing import BANDS_UNDER_WAY, TILES_UNDER_WAY, Timing
from .scenario import Scenario
from .stimulus import Stimulus

__all__ = ["STALLS", "Scenarios"]

# Probabilities that the source and the sink pause in a cycle.
STALLS = ((0, 0), (0.3, 0.9), (0.9, 0.3))
# Cycles between reset or parameters and the first frame. A prediction counts from a first beat that is taken at once.
SETTLE = 4
# The most places within the first two pixels in which a frame is cut.
MOST_CUTS = 24
# Up to this height of a tile, frames end after each of its rows; in taller tiles after some.
ALL_ROWS = 8
# The most rows of a frame that has more rows than count.
MOST_TALL = 40
# The most places of a tile after which a source stops.
MOST_COUNTS = 64
# Tiles of one beat that are offered although no more fit in; and how many times a tile's latency a sink waits that
# takes nothing.
SPARE, NEVER = 3, 10_000
# About how many lengths of the gaps between frames are tried.
MOST_GAPS = 200
# The most places in a pixel, and lengths of pauses there.
MOST_STOPS = 8
# The most cycles after a tile in which a reset comes.
MOST_RESETS = 96
# Cycles from a beat that is taken to the change of the peak.
PEAK_LATENCY = 5


class Scenarios(Stimulus):
    """Makes the scenarios of one block."""

    @property
    def status(self):
        """Status ports after a scenario without errors."""
        loaded = {"status_loaded": 1, "status_load_error": 0} if self.config.loadable else {}
        return {"status_frame_error": 0, **loaded}

    def scenario(self, name, job, snapshots=None, **status):
        """A Scenario; `status` are ports whose values differ from those after a scenario without errors."""
        return Scenario(name, job, self.status | status, Timing(self.config).buffer_words, snapshots or {},
                        stages=self.stages(job))

    def timed(self, name, job, heights, pauses=()):
        """A scenario of whole frames without stalls, so that the beats inside are known in each cycle."""
        return dataclasses.replace(self.scenario(name, dataclasses.replace(job, occupancy=True)),
                                   prediction=predict(self.config, heights, pauses),
                                   occupancy=in_flight(self.config, heights, pauses))

    @functools.cached_property
    def whole(self):
        """Frames of many heights, some ragged, some of one row, and frames of extreme values."""
        k, window = self.config.tile_rows, self.config.window
        heights = (1, 2 * k + 1, 3 * k, 1, 1, k, k + 2) if k < 40 else (k - 1, 1, k, 7)
        # Last tiles of each number of rows, since each number has its own reciprocal.
        heights += tuple(range(3, k)) if k <= ALL_ROWS else (k // 2 + 1,)
        if self.tall > 2 * k + 1:
            heights += (self.tall,)
        if window is not None and window[0]:
            # A frame that ends just before the window.
            heights += (window[0],)
        return tuple(self.random(height) for height in heights) + tuple(self.extremes())

    @property
    def tall(self):
        """Rows of a frame of several tiles; of more than count, where these are few."""
        several, most = 2 * self.config.tile_rows + 1, self.config.max_rows + 2
        return max(several, most) if self.config.context.running and most <= MOST_TALL else several

    def extremes(self):
        """Frames at both ends of the range, alternating between them, and driving the first hidden unit either way."""
        data, shape = self.config.data, (self.tall, self.config.width, self.config.channels)
        sign = (self.parameters.layer1.weight[0] > 0).astype(np.int64)
        values = (np.full(shape, data.low), np.full(shape, data.high), data.low + data.steps * (
            np.indices(shape).sum(0) % 2), *(np.broadcast_to(data.low + data.steps * ends, shape)
                                             for ends in (sign, 1 - sign)))
        return [self.frame(np.ascontiguousarray(value)) for value in values]

    def frames(self, stalls, beats):
        """Frames back to back, tall ones after short ones, in an order that is new in each round."""
        whole = self.whole
        rounds = max(1, -(-beats // sum(len(frame.beats) for frame in whole)))
        sent = whole + tuple(whole[i] for _ in range(rounds - 1) for i in self.rng.permutation(len(whole)))
        name, job = f"frames, stalls {stalls}", self.job(Send(sent), stalls=stalls, idle=SETTLE)
        if any(stalls):
            return self.scenario(name, job)
        return self.timed(name, job, [len(frame.beats) // self.row for frame in sent])

    def cuts(self, stalls):
        """Frames that don't end at a row's end, each followed by a whole frame; then many of them in a row."""
        row, k = self.row, self.config.tile_rows
        # In each place of the first two pixels, where not all sums have arrived.
        first = np.unique(np.linspace(1, 2 * self.config.groups + 1, MOST_CUTS, dtype=int)).tolist()
        lengths = [n for n in (*first, row - 1, row + 1, k * row - 1, k * row + 2, (k + 1) * row - 2) if n > 0]
        if self.config.tiles_across > 1:
            # Around the end of a patch, in a band's first row and in its last one.
            lengths += [start + self.segment + n for start in (0, (k - 1) * row, k * row) for n in (-1, 0, 1)]
        crowd = [n for n in (1, 1, 1, 2, 1, row - 1, 1, row + 1, 1, 1, k * row + 1, 2, 2, 1) if n > 0]
        frames = [frame for n in lengths for frame in (self.cut(n), self.random(1 + n % 2))]
        frames += [self.cut(n) for n in crowd] + [self.random(k + 1)]
        cut = any(len(frame.beats) % row for frame in frames)
        steps = (Send((self.random(k + 1),)), Drain(), Snapshot("before"), Send(tuple(frames)))
        return self.scenario(f"cut frames, stalls {stalls}", self.job(*steps, stalls=stalls),
                             snapshots={"before": {"status_frame_error": 0}}, status_frame_error=int(cut))

    def pauses(self):
        """A source that stops at the ends of rows and tiles until everything that can come out has come out."""
        tile, timing = self.config.tile_words, Timing(self.config)
        # The last beat that is taken before any beat is read, as far as is certain.
        unread = timing.tile_latency if self.config.context is Context.CAUSAL else timing.waiting_words + 1
        long = 3 * tile + 2 * self.config.tiles_across * timing.output_latency
        frame = self.random(2 * self.config.tile_rows + 1)
        steps, snapshots = [Snapshot("empty")], {"empty": {"status_peak_words": 0, "accepted": 0}}
        for at in sorted({1, self.row - 1, self.row, tile - 1, tile, tile + 1, 2 * tile} - {0}):
            # A hold counts beats since the last reset.
            name = f"held at {at}"
            steps += [*self.start(), Hold(at), Send((frame,), wait=False),
                      Idle(long), Snapshot(name), Hold(None), Drain()]
            snapshots[name] = {"accepted": at, "delivered": self._delivered(at)}
            if at <= unread:
                snapshots[name]["status_peak_words"] = min(at, timing.buffer_words)
        return self.scenario("paused source", self.job(*steps), snapshots=snapshots)

    def _delivered(self, at):
        """How many of a frame's first `at` beats come out if no more come."""
        tile, context = self.config.tile_words, self.config.context
        if context.streams:
            # Tiles are read before they have ended, once there are gates.
            return 0 if context is Context.WINDOW and at < tile else at
        # Of patches, those that have ended also have the first row read.
        last_row = at % tile - (tile - self.row)
        return at // tile * tile + max(0, last_row // self.segment * self.segment)

    def blocked(self):
        """A sink that takes next to nothing, until no more beats fit in."""
        frame = self.random(TILES_UNDER_WAY * self.config.tile_rows + 1)
        return self.scenario("blocked sink", self.job(Send((frame, self.random(1))), stalls=(0, 0.98)))

    def counted(self):
        """A source that stops after each of a tile's beats, or after many of them: the status ports count them."""
        if self.config.context is Context.CAUSAL:
            return self._counted_behind()
        timing = Timing(self.config)
        waiting, depth = timing.waiting_words, timing.buffer_words
        places = np.unique(np.linspace(1, waiting, MOST_COUNTS, dtype=int)).tolist()
        frame = self.random(self.config.tile_rows + 1)
        steps, snapshots = [Hold(0), Send((frame,), wait=False)], {}
        for before, at in zip([0, *places], places, strict=False):
            steps += [Hold(at), Idle(at - before + PEAK_LATENCY), Snapshot(f"{at} beats")]
            snapshots[f"{at} beats"] = {"accepted": at, "delivered": 0, "status_peak_words": min(at, depth)}
        return self.scenario("counted beats", self.job(*steps, Hold(None), Drain()), snapshots=snapshots)

    def _counted_behind(self):
        """The same where no beat waits for its tile's end: behind so many beats that the sink doesn't take.

        Each of these goes as far as it can before the next one comes. They are no longer in the buffer.
        """
        tile, timing = self.config.tile_words, Timing(self.config)
        out = timing.credits
        most = min(out + timing.buffer_words, (out // tile + TILES_UNDER_WAY) * tile)
        more = np.unique(np.linspace(out + 1, most, MOST_COUNTS, dtype=int)).tolist()
        steps, snapshots = [Hold(0), Send((self.random(most // self.row + 1),), wait=False)], {}
        for at in range(1, out + 1):
            steps += [Hold(at), Idle(2 * timing.tile_latency)]
        for before, at in zip([out, *more], more, strict=False):
            # A tile's end may have to wait for excite.
            wait = 2 * timing.tile_latency * (at // tile - before // tile)
            steps += [Hold(at), Idle(at - before + PEAK_LATENCY + wait), Snapshot(f"{at} beats")]
            snapshots[f"{at} beats"] = {"accepted": at, "delivered": 0, "status_peak_words": at - out}
        job = self.job(*steps, Reset(), stalls=(0, 1 - 1 / (NEVER * timing.tile_latency)))
        return self.scenario("counted beats", job, snapshots, **self._unloaded)

    @property
    def _unloaded(self):
        """Status ports that differ after a reset."""
        return {"status_loaded": 0} if self.config.loadable else {}

    def crowded(self):
        """Tiles of one beat pile up while the sink takes nothing, until no more tiles can be under way.

        Each tile is sent once the one before it has gone as far as it can; then comes a whole row, whose sums excite
        takes at once, so that only the number of tiles delays the tile that follows it.
        """
        timing = Timing(self.config)
        banded = self.config.banded
        others = (BANDS_UNDER_WAY if banded else TILES_UNDER_WAY) - 1
        few = timing.credits + min(others, timing.buffer_words)
        most = timing.credits + min(others + (self.row if banded else self.segment), timing.buffer_words)
        pause = Idle(2 * timing.tile_latency)
        steps = [step for _ in range(few) for step in (Send((self.cut(1),)), pause)]
        steps += [Send((self.random(1), *(self.cut(1) for _ in range(SPARE))), wait=False),
                  Idle(self.row + pause.cycles), Reset()]
        # The beats inside never come out.
        job = self.job(*steps, stalls=(0, 1 - 1 / (NEVER * timing.tile_latency)))
        return dataclasses.replace(self.scenario("crowd", job, **self._unloaded), in_flight=most)

    def resets(self, stalls):
        """Resets in the middle of frames, which must leave nothing of what was before."""
        lost = self.random(2 * self.config.tile_rows + 2)
        kept = tuple(self.random(height) for height in (1, self.config.tile_rows + 1))
        places = np.unique(np.linspace(1, len(lost.beats) - 1, 24, dtype=int)).tolist()
        steps = [Send((self.cut(self.row + 1),)), Drain()]
        for number, beats in enumerate(places):
            again = self.start()[1:]
            steps += [Reset(), *again, Send((lost,), wait=False), ResetAfter(beats, cycles=1 + number % 4), *again,
                      Send(kept), Drain()]
        return self.scenario(f"resets, stalls {stalls}", self.job(*steps, stalls=stalls))

    def spaced(self):
        """Pairs of short frames after gaps of growing length: their sums wait for the tiles before, or just don't."""
        # If a pair comes while both layers are busy, its second tile waits for two tiles.
        longest, steps, heights, pauses = 2 * Timing(self.config).tile_latency, [], [], []
        gaps = range(0, longest, max(1, longest // MOST_GAPS))
        for before, gap in zip([0, *gaps], gaps, strict=False):
            steps += [Send((self.random(1), self.random(1))), Idle(gap)]
            heights += [1, 1]
            pauses += [before, 0]
        return self.timed("frames with gaps", self.job(*steps, idle=SETTLE), heights, pauses)

    def out_of_step(self):
        """A source that stops in the first pixel of a frame's second tile, for up to as long as sums are copied out.

        A beat that comes in step with the copy is taken at once, any other one after the copy.
        """
        tile, groups = self.config.tile_words, self.config.groups
        frame, steps, snapshots, before = self.random(2 * self.config.tile_rows), [], {}, 0
        places, waits = (np.unique(np.linspace(0, most, MOST_STOPS, dtype=int)).tolist() for most in (
            groups - 1, groups + 1))
        for place, wait in itertools.product(places, waits):
            at, name = tile + place, f"stopped at {place} for {wait}"
            steps += [Hold(before + at), Send((frame,), wait=False), Idle(at + wait), Hold(None), Idle(groups + 1),
                      Snapshot(name), Drain()]
            refused = max(0, groups - place - wait) if wait else 0
            snapshots[name] = {"accepted": before + at + min(groups + 1 - refused, tile - place)}
            before += len(frame.beats)
        return self.scenario("out of step", self.job(*steps, idle=SETTLE), snapshots)

    def resets_after_a_tile(self):
        """A reset of one cycle at any point of excite's work on a tile, which must leave nothing of that."""
        again, steps = self.start()[1:], []
        for wait in np.unique(np.linspace(0, Timing(self.config).tile_latency, MOST_RESETS, dtype=int)).tolist():
            steps += [Send((self.random(1),)), Idle(wait), Reset(1), *again, Send((self.random(1),)), Drain()]
        return self.scenario("resets after a tile", self.job(*steps))
