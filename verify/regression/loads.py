# SPDX-License-Identifier: Apache-2.0
"""The regression's scenarios of parameter streams, for loadable blocks."""

import dataclasses

import numpy as np

from ...cosim.job import Drain, Idle, Load, Reset, Send, Snapshot
from ...golden.integer import IntegerModel
from ...hdl.parameters import ZERO_POINT_BITS
from ...hdl.timing import Timing
from .parameters import centred, pinned, segments, spread
from .scenarios import MOST_CUTS, NEVER, Scenarios

__all__ = ["LoadScenarios"]

# Sets of parameters that a block is loaded with, one after the other.
KINDS_OF_PARAMETERS = 24
# Cycles from a stream's last word to the change of the status ports.
LOAD_LATENCY = 3
# Cycles after which no frame begins any more where a stream waits. A frame of one beat may have ended in the first.
CLOSED = 3
# Cycles after which a frame has begun at the latest if a frame of one beat comes before it: its sum must land first.
LATEST_BEGIN = 20


def _ones(bits):
    return (1 << bits) - 1


class LoadScenarios(Scenarios):
    """Makes the scenarios of one loadable block."""

    def many_parameters(self):
        """Two frames each with parameters of many kinds, which make more bits of the data path matter."""
        steps = []
        for seed in range(KINDS_OF_PARAMETERS):
            parameters = (pinned, spread, pinned, centred)[seed % 4](self.config, self.parameters, 1000 + seed)
            model = IntegerModel(self.config, parameters)
            frames = self.random(1, model), self.random(self.config.tile_rows + 1, model)
            steps += [self.load(parameters), Send(frames)]
        return self.scenario("many parameters", self.job(*steps))

    def segmented(self):
        """Parameters that reach every segment of the tables; the block's own where nothing is tabulated."""
        steps = []
        for parameters in segments(self.config, self.parameters) or (self.parameters,):
            model = IntegerModel(self.config, parameters)
            steps += [self.load(parameters), Send((self.random(1, model),))]
        return self.scenario("segments of tables", self.job(*steps))

    def reloads(self):
        """Streams that come during frames wait for their end; each frame is scaled by the parameters of its time."""
        (parameters, model), height, steps = self.other, self.config.tile_rows + 1, []
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

    def reloads_at_once(self):
        """A stream waits for a frame whose first beat is taken in one of the first two cycles of its first word.

        In the second one the loader already waits, but the block is still ready.
        """
        (parameters, model), steps = self.other, []
        for later in (0, 1):
            for height in (1, self.config.tile_rows + 1):
                steps += [Idle(LATEST_BEGIN), dataclasses.replace(self.load(parameters), wait=False), Idle(later),
                          Send((self.random(height),)), Idle(CLOSED), Send((self.random(1, model),)), Drain(),
                          self.load(self.parameters)]
        return self.scenario("reloads at once", self.job(*steps, Send((self.random(1),))))

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
        for beats in sorted(place for place in places if self._last_tile(place) + timing.scale_latency >= timing.lead):
            steps += [Send((*before, self.cut(beats)), wait=False), Idle(beats + LATEST_BEGIN),
                      self.load(parameters), Send((self.random(1, model),)), self.load(self.parameters)]
        return self.scenario("reloads after two frames", self.job(*steps), status_frame_error=int(self.row > 1))

    def _last_tile(self, beats):
        """Beats that are read with the last gates, in a frame of at most a tile or a band of tiles."""
        return (beats - 1) % self.segment + 1 if beats <= self.row else beats

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
        config = self.config
        y_bits, factor = config.outputs.bits if config.requantised else 0, [config.factor_bits + 1] * config.rescales
        masks = [_ones(32), _ones(config.data.bits) | _ones(y_bits) << ZERO_POINT_BITS, *map(_ones, factor)]
        # The prior is above layer 2's records.
        weights, record = config.weight_bits * config.macs, config.record_bits
        stored = record + config.prior_bits
        for count, kept, bits in ((config.weight_depth, weights, weights),
                                  (config.squeeze, record, stored), (config.channels, stored, stored)):
            masks += [_ones(min(32, max(0, kept - i))) for i in range(0, bits, 32)] * count
        noise = self.rng.integers(0, 1 << 32, len(words), dtype=np.uint64)
        words |= (noise & ~np.array(masks, np.uint64)).astype(np.uint32)
        frames = tuple(self.random(height) for height in (1, 2 * self.config.tile_rows, self.config.tile_rows + 1))
        return self.scenario("padded stream", self.job(Load(words), Send(frames)))
