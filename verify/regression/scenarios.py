# SPDX-License-Identifier: Apache-2.0
"""The regression's scenarios, each made by one method: frames, stalls, cuts, resets and parameter streams."""

import dataclasses
import functools

import numpy as np

from ...cosim.job import Drain, Hold, Idle, Load, Reset, ResetAfter, Send, Snapshot
from ...golden.integer import IntegerModel
from ...hdl.schedule import in_flight, predict
from ...hdl.timing import TILES_UNDER_WAY, Timing
from .parameters import centred, pinned, segments, spread
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
# The most places of a tile after which a source stops.
MOST_COUNTS = 64
# Tiles of one beat that are offered although no more fit in; and how many times a tile's latency a sink waits that
# takes nothing.
SPARE, NEVER = 3, 10_000
# About how many lengths of the gaps between frames are tried.
MOST_GAPS = 200
# The most cycles after a tile in which a reset comes.
MOST_RESETS = 96
# Sets of parameters that a block is loaded with, one after the other.
KINDS_OF_PARAMETERS = 24
# Cycles from a stream's last word to the change of the status ports.
LOAD_LATENCY = 3
# Cycles from a beat that is taken to the change of the peak.
PEAK_LATENCY = 5
# Cycles after which a frame has begun at the latest if a frame of one beat comes before it: its sum must land first.
LATEST_BEGIN = 20


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
        k = self.config.k
        heights = (1, 2 * k + 1, 3 * k, 1, 1, k, k + 2) if k < 40 else (k - 1, 1, k, 7)
        # Last tiles of each number of rows, since each number has its own reciprocal.
        heights += tuple(range(3, k)) if k <= ALL_ROWS else (k // 2 + 1,)
        return tuple(self.random(height) for height in heights) + tuple(self.extremes())

    def extremes(self):
        """Frames at both ends of the range, alternating between them, and driving the first hidden unit either way."""
        low, shape = self.low, (2 * self.config.k + 1, self.config.width, self.config.channels)
        sign = (self.parameters.layer1.weight[0] > 0).astype(np.int64)
        values = (np.full(shape, low), np.full(shape, low + 255), low + 255 * (np.indices(shape).sum(0) % 2),
                  np.broadcast_to(low + 255 * sign, shape), np.broadcast_to(low + 255 * (1 - sign), shape))
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
        row, k = self.row, self.config.k
        # In each place of the first two pixels, where not all sums have arrived.
        first = np.unique(np.linspace(1, 2 * self.config.groups + 1, MOST_CUTS, dtype=int)).tolist()
        lengths = [n for n in (*first, row - 1, row + 1, k * row - 1, k * row + 2, (k + 1) * row - 2) if n > 0]
        crowd = [n for n in (1, 1, 1, 2, 1, row - 1, 1, row + 1, 1, 1, k * row + 1, 2, 2, 1) if n > 0]
        frames = [frame for n in lengths for frame in (self.cut(n), self.random(1 + n % 2))]
        frames += [self.cut(n) for n in crowd] + [self.random(k + 1)]
        cut = any(len(frame.beats) % row for frame in frames)
        steps = (Send((self.random(k + 1),)), Drain(), Snapshot("before"), Send(tuple(frames)))
        return self.scenario(f"cut frames, stalls {stalls}", self.job(*steps, stalls=stalls),
                             snapshots={"before": {"status_frame_error": 0}}, status_frame_error=int(cut))

    def pauses(self):
        """A source that stops at the ends of rows and tiles until everything that can come out has come out."""
        tile, depth = self.config.tile_words, Timing(self.config).buffer_words
        frame = self.random(2 * self.config.k + 1)
        steps, snapshots = [Snapshot("empty")], {"empty": {"status_peak_words": 0, "accepted": 0}}
        for at in sorted({1, self.row - 1, self.row, tile - 1, tile, tile + 1, 2 * tile} - {0}):
            # A hold counts beats since the last reset.
            name = f"held at {at}"
            steps += [*self.start(), Hold(at), Send((frame,), wait=False),
                      Idle(3 * tile + 2 * Timing(self.config).output_latency), Snapshot(name), Hold(None), Drain()]
            snapshots[name] = {"accepted": at, "delivered": at // tile * tile}
            if at <= tile + 1:
                # Nothing has been read yet when the last of these beats is taken.
                snapshots[name]["status_peak_words"] = min(at, depth)
        return self.scenario("paused source", self.job(*steps), snapshots=snapshots)

    def blocked(self):
        """A sink that takes next to nothing, until no more beats fit in."""
        frame = self.random(TILES_UNDER_WAY * self.config.k + 1)
        return self.scenario("blocked sink", self.job(Send((frame, self.random(1))), stalls=(0, 0.98)))

    def counted(self):
        """A source that stops after each of a tile's beats, or after many of them: the status ports count them."""
        tile, depth = self.config.tile_words, Timing(self.config).buffer_words
        places = np.unique(np.linspace(1, tile, MOST_COUNTS, dtype=int)).tolist()
        frame = self.random(self.config.k + 1)
        steps, snapshots = [Hold(0), Send((frame,), wait=False)], {}
        for before, at in zip([0, *places], places, strict=False):
            steps += [Hold(at), Idle(at - before + PEAK_LATENCY), Snapshot(f"{at} beats")]
            snapshots[f"{at} beats"] = {"accepted": at, "delivered": 0, "status_peak_words": min(at, depth)}
        return self.scenario("counted beats", self.job(*steps, Hold(None), Drain()), snapshots=snapshots)

    def crowded(self):
        """Tiles of one beat pile up while the sink takes nothing, until no more tiles can be under way.

        Each tile is sent once the one before it has gone as far as it can; then comes a whole row, whose sums excite
        takes at once, so that only the number of tiles delays the tile that follows it.
        """
        timing = Timing(self.config)
        few = timing.credits + min(TILES_UNDER_WAY - 1, timing.buffer_words)
        most = timing.credits + min(TILES_UNDER_WAY - 1 + self.row, timing.buffer_words)
        pause = Idle(2 * timing.tile_latency)
        steps = [step for _ in range(few) for step in (Send((self.cut(1),)), pause)]
        steps += [Send((self.random(1), *(self.cut(1) for _ in range(SPARE))), wait=False),
                  Idle(self.row + pause.cycles), Reset()]
        # The beats inside never come out.
        job = self.job(*steps, stalls=(0, 1 - 1 / (NEVER * timing.tile_latency)))
        unloaded = {"status_loaded": 0} if self.config.loadable else {}
        return dataclasses.replace(self.scenario("crowd", job, **unloaded), in_flight=most)

    def many_parameters(self):
        """Two frames each with parameters of many kinds, which make more bits of the data path matter."""
        steps = []
        for seed in range(KINDS_OF_PARAMETERS):
            parameters = (pinned, spread, pinned, centred)[seed % 4](self.config, self.parameters, 1000 + seed)
            model = IntegerModel(self.config, parameters)
            steps += [self.load(parameters), Send((self.random(1, model), self.random(self.config.k + 1, model)))]
        return self.scenario("many parameters", self.job(*steps))

    def segmented(self):
        """Parameters that reach every segment of the tables; the block's own where nothing is tabulated."""
        steps = []
        for parameters in segments(self.config, self.parameters) or (self.parameters,):
            model = IntegerModel(self.config, parameters)
            steps += [self.load(parameters), Send((self.random(1, model),))]
        return self.scenario("segments of tables", self.job(*steps))

    def resets(self, stalls):
        """Resets in the middle of frames, which must leave nothing of what was before."""
        lost, kept = self.random(2 * self.config.k + 2), tuple(self.random(height) for height in (1, self.config.k + 1))
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

    def resets_after_a_tile(self):
        """A reset of one cycle at any point of excite's work on a tile, which must leave nothing of that."""
        again, steps = self.start()[1:], []
        for wait in np.unique(np.linspace(0, Timing(self.config).tile_latency, MOST_RESETS, dtype=int)).tolist():
            steps += [Send((self.random(1),)), Idle(wait), Reset(1), *again, Send((self.random(1),)), Drain()]
        return self.scenario("resets after a tile", self.job(*steps))

    def reloads(self):
        """Streams that come during frames wait for their end; each frame is scaled by the parameters of its time."""
        (parameters, model), height, steps = self.other, self.config.k + 1, []
        # A waiting stream goes before a frame that has not begun. These frames have begun.
        for wait in (20, 27, 43, 60):
            steps += [Send((self.random(height),), wait=False), Idle(wait), self.load(parameters),
                      Send((self.random(height, model),), wait=False), Idle(wait), self.load(self.parameters),
                      Send((self.random(1),)), Drain()]
        return self.scenario("reloads", self.job(*steps, stalls=(0.2, 0.3)))

    def reloads_in_time(self):
        """A stream right after a frame of one tile changes nothing that excite still reads, whenever it comes."""
        parameters, model = self.other
        steps = []
        for wait in range(0, Timing(self.config).tile_latency, 3):
            steps += [Send((self.random(1),)), Idle(wait), self.load(parameters), Send((self.random(1, model),)),
                      self.load(self.parameters)]
        return self.scenario("reloads right after a tile", self.job(*steps, Send((self.random(1),))))

    def reload_after_beats(self):
        """No word of a stream is taken until the sink has taken the last beat."""
        parameters, _ = self.other
        stream, wait = self.load(parameters), 2 * Timing(self.config).tile_latency
        steps = [Send((self.cut(1),)), dataclasses.replace(stream, wait=False), Idle(wait), Snapshot("stuck"), Reset()]
        job = self.job(*steps, stalls=(0, 1 - 1 / (NEVER * wait)))
        # The count is that of the earlier stream.
        stuck = {"accepted": 1, "delivered": 0, "loaded": len(stream.words)}
        return self.scenario("reload after beats", job, snapshots={"stuck": stuck}, status_loaded=0)

    def reloads_after_two(self):
        """A stream waits for two frames, also when all of the first has come out and nothing of the second.

        Then the tile buffer holds only the second frame's beats, if all of them have come by then: as many as the
        cycles that a tile takes. Where the buffer has one word, there is only the second frame.
        """
        (parameters, model), timing, most = self.other, Timing(self.config), self.config.tile_words
        before = (self.cut(1),) if timing.buffer_words > 1 else ()
        places = {1 << bit for bit in range(most.bit_length())}
        places |= set(np.linspace(1, most, MOST_CUTS, dtype=int).tolist())
        steps = []
        # A tile of fewer beats has come out before its last gates are computed, which nothing reads.
        for beats in sorted(place for place in places if place + timing.scale_latency >= timing.lead):
            steps += [Send((*before, self.cut(beats)), wait=False), Idle(beats + LATEST_BEGIN),
                      self.load(parameters), Send((self.random(1, model),)), self.load(self.parameters)]
        return self.scenario("reloads after two frames", self.job(*steps), status_frame_error=int(self.row > 1))

    def refused(self):
        """Streams that are foreign, too short or too long; the frame after each must wait for a right stream."""
        words = self.load(self.parameters).words
        bad = {"one word": words[:1], "two words": words[:2], "one short": words[:-1], "half": words[:len(words) // 2],
               "one long": np.append(words, words[:1]), "twice": np.concatenate([words, words]),
               "foreign": self._foreign(31)}
        frame, steps, snapshots = self.random(2), [], {}
        for name, stream in bad.items():
            steps += [*self.start(), Send((frame,)), Drain(), Snapshot(f"before {name}"), Load(stream),
                      Idle(LOAD_LATENCY), Send((frame,), wait=False), Idle(20), Snapshot(name),
                      self.load(self.parameters), Drain()]
            snapshots[f"before {name}"] = {"status_loaded": 1, "status_load_error": 0}
            snapshots[name] = {"status_loaded": 0, "status_load_error": 1, "accepted": len(frame.beats)}
        return self.scenario("refused streams", self.job(*steps), snapshots=snapshots, status_load_error=1)

    def _foreign(self, bit):
        """The stream of a configuration whose fingerprint differs in one bit."""
        words = self.load(self.parameters).words
        words[0] ^= np.uint32(1 << bit)
        return words

    def foreign(self):
        """Streams with a fingerprint that is wrong in one bit, each bit in turn."""
        steps, snapshots = [], {}
        for bit in range(32):
            steps += [Load(self._foreign(bit)), Idle(LOAD_LATENCY), Snapshot(f"bit {bit}")]
            snapshots[f"bit {bit}"] = {"status_loaded": 0, "status_load_error": 1}
        job = self.job(*steps, self.load(self.parameters), Send((self.random(1),)))
        return self.scenario("foreign streams", job, snapshots=snapshots, status_load_error=1)

    def padded(self):
        """Bits of a stream's words that no memory keeps may have any value."""
        words = self.load(self.parameters).words
        used = [32, 8]
        for count, bits in ((self.config.weight_depth, 8 * self.config.macs),
                            (self.config.squeeze + self.config.channels, self.config.record_bits)):
            used += [min(32, bits - i) for i in range(0, bits, 32)] * count
        noise = self.rng.integers(0, 1 << 32, len(words), dtype=np.uint64)
        words |= (noise >> np.array(used, np.uint64) << np.array(used, np.uint64)).astype(np.uint32)
        frames = tuple(self.random(height) for height in (1, 2 * self.config.k, self.config.k + 1))
        return self.scenario("padded stream", self.job(Load(words), Send(frames)))
