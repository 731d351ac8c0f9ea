# SPDX-License-Identifier: Apache-2.0
"""The frames of a soak test: some dozens for a block, whole ones and cut ones, sent over and over in random order."""

import dataclasses

import numpy as np

from ...cosim.packing import pack
from ...golden.integer import IntegerModel
from ...hdl.timing import Timing

__all__ = ["Pool", "Sample"]

# Beats of the longest frame but for those of a tile and a row, and frames of each kind.
MOST_BEATS = 3000
WHOLE, CUT, JOINED = 14, 10, 4


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """A frame that can be sent: its integers (B, lanes), and its beats as a Frame of cosim has them.

    ``rows`` is the number of rows that have begun; ``cut`` tells whether it ends within a row; ``cost`` is about how
    many cycles it takes.
    """

    values: np.ndarray
    beats: np.ndarray
    rows: int
    cut: bool
    cost: int


class Pool:
    """Frames for `block`, and what the golden model makes of them.

    Beside whole frames of many heights there are frames whose ``tlast`` came early or late, and frames that run
    together because it is missing: two whole ones, or what a cut one and another one make.
    """

    def __init__(self, block, rng):
        self.block, self.rng = block, rng
        self._models = [IntegerModel(*given) for given in block.sets]
        self._expected = {}
        config, row, k = block.config, block.row, block.config.tile_rows
        most = max(MOST_BEATS // row, k + 1)
        heights = {1, 2, k, k + 1, 2 * k + 1, 3 * k, *rng.integers(1, 4 * k + 2, 8)}
        if config.window is not None and config.window[0]:
            heights.add(config.window[0])
        self.samples = [self._of(self._values(int(min(height, most)) * row)) for height in sorted(heights)[:WHOLE]]
        if config.context.running and config.max_rows < most:
            self.samples.append(self._of(self._values((config.max_rows + 1) * row)))
        tile = min(k, most) * row
        lengths = {1, 2, row - 1, row + 1, tile - 1, tile + 1, *rng.integers(1, 2 * tile + 2, 6)}
        self.samples += [self._of(self._values(int(beats))) for beats in sorted(lengths)[:CUT] if beats > 0]
        self.samples += [self._joined() for _ in range(JOINED)]
        # What takes long comes seldom, so that each kind gets as many cycles.
        weights = np.array([1 / sample.cost for sample in self.samples])
        self._chances = weights / weights.sum()
        self._whole = [sample for sample in self.samples if not sample.cut]
        self.single = next(sample for sample in self.samples if len(sample.beats) == 1)

    def draw(self):
        """A random one."""
        return self.samples[self.rng.choice(len(self.samples), p=self._chances)]

    def draw_whole(self):
        """A random one that isn't cut; all are as likely."""
        return self._whole[self.rng.integers(len(self._whole))]

    def expected(self, sample, number):
        """The beats that come out of `sample` under the block's set of parameters `number`."""
        if (sample, number) not in self._expected:
            y = self._models[number].run_beats(sample.values).y.numpy()
            self._expected[sample, number] = pack(y, self.block.config.outputs)
        return self._expected[sample, number]

    def _joined(self):
        chosen = self.rng.choice(len(self.samples), 2)
        return self._of(np.concatenate([self.samples[index].values for index in chosen])[:MOST_BEATS + self.block.row])

    def _of(self, values):
        config, row, count = self.block.config, self.block.row, len(values)
        rows = -(-count // row)
        cost = max(count, len(config.strips(rows)) * Timing(config).excite_cycles)
        return Sample(values, pack(values, config.data), rows, bool(count % row), cost)

    def _values(self, count):
        """Integers (count, lanes): random over all values or few of them, or what drives hidden units to their ends."""
        config, rng = self.block.config, self.rng
        low, shape = config.data.low, (count, config.lanes)
        kind = rng.choice(["any", "any", "near", "ends", "sides"])
        if kind == "any":
            values = rng.integers(low, low + config.data.steps + 1, shape)
        elif kind == "near":
            values = np.clip(config.zero_point + rng.integers(-3, 4, shape), low, config.data.high)
        elif kind == "ends":
            high = rng.integers(0, 2, shape) if rng.random() < 0.5 else np.full(shape, rng.integers(2))
            values = low + config.data.steps * high
        else:
            # Every channel at the end that raises a hidden unit, or that lowers it.
            unit = self.block.sets[0][1].layer1.weight[rng.integers(config.squeeze)] > 0
            pixels = np.tile(low + config.data.steps * (unit ^ rng.integers(0, 2)), -(-count // config.groups))
            values = pixels.reshape(-1, config.lanes)[:count]
        return values
