# SPDX-License-Identifier: Apache-2.0
"""What a quantised network clips between a block's mean and its gates, where the hardware clips nothing."""

import numpy as np

from ...gen.text_table import percent
from ...golden.block import DataFormat
from ...golden.reference import descriptors, excite
from ...hdl.tiling import Order, Tiling
from ..match.match import NetworkBlock
from ..match.ranges import STAGES

__all__ = ["clip_warning", "clipped"]


def clipped(block: NetworkBlock, maps: np.ndarray, tiling: Tiling, outputs: DataFormat) -> dict:
    """What the network's quantisers clip inside of the float `block` in this `tiling`, on `maps`: (N, H, W, C).

    ``stages`` has for each stage of STAGES the share of its numbers that are more than half a step beyond an end of the
    range: those nearer to it are rounded to it. Stages of which nothing is clipped are left out. ``moved`` is how far
    the clips move an output at most, in steps of the format `outputs`.
    """
    form, moved = block.float_block, 0
    counters = {stage: _Counter(*ends, max((one.format.scale * one.factor
                                            for one in block.ranges.roundings.get(stage, ())), default=0.0))
                for stage, ends in block.ranges.stages.items()}
    prior = np.zeros(block.channels) if form.prior is None else form.prior
    for one in maps.swapaxes(1, 2) if tiling.order is Order.COLUMNS else maps:
        frame = one.astype(np.float64)
        means, index = descriptors(frame, prior, tiling)
        plain, cut = (outputs.quantise(frame * (excite(means, form.w1, form.b1, form.w2, form.b2, form.mid, form.gate,
                                                       roundings=functions)[1] + form.residual)[index])
                      for functions in ({}, {stage: (counter,) for stage, counter in counters.items()}))
        moved = max(moved, int(abs(cut - plain).max()))
    return {"stages": {stage: counters[stage].share for stage in STAGES
                       if stage in counters and counters[stage].clipped}, "moved": moved}


class _Counter:
    """Clips numbers to the range from `low` to `high` of integers with this `step`, and counts them."""

    def __init__(self, low, high, step):
        self.numbers, self.clipped = 0, 0
        self._low, self._high, self._margin = low, high, step / 2

    def __call__(self, numbers):
        self.numbers += numbers.size
        self.clipped += int(((numbers < self._low - self._margin) | (numbers > self._high + self._margin)).sum())
        return np.clip(numbers, self._low, self._high)

    @property
    def share(self):
        """Of all numbers, those that were clipped."""
        return self.clipped / self.numbers


def clip_warning(name: str, found: dict) -> list[str]:
    """A line on what :func:`clipped` found in the block `name`; none if no output moves by more than a step."""
    if found["moved"] <= 1:
        return []
    shares = [f"{percent(share)} of {STAGES[stage]}" for stage, share in found["stages"].items()]
    listed = " and ".join(filter(None, (", ".join(shares[:-1]), shares[-1])))
    return [f"{name}: the network's quantisers clip {listed}, and the hardware clips none of them: its outputs are "
            f"up to {found['moved']:,} steps from the network's, and nearer to the float network's"]
