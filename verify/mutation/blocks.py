# SPDX-License-Identifier: Apache-2.0
"""Which blocks are mutated."""

import dataclasses

from ...gen.options import BlockOptions
from ...gen.prepare import prepare
from ...hdl.config import Gate, GateKind, Mid

__all__ = ["BLOCKS", "Block", "blocks_of", "shares"]

# Small blocks that together have every component in every form it takes, and whose limits can be reached: a buffer for
# more tiles than can be under way is never full. All are loadable: a baked block is the same less the loader, with
# parameters that never change, and these leave most of the data path one thing to do. Tiles of 5 and 7 rows
# have reciprocals of many bits, for 3 rows and others, so that a mean's low bits matter.
BLOCKS = {
    # A table in mid and sigmoid's, RAM for sums, a tile buffer with a second register, lanes, several passes in both
    # layers, uint8 with a zero point.
    "lanes": dict(k=5, width=3, channels=10, squeeze=3, lanes=2, macs=2, mid=Mid.HARDSWISH, gate=Gate(),
                  dtype="uint8", zero_point=100, slack=12, loadable=True),
    # Registers for sums, one lane, no table, int8, the residual form; more limits that its tiles reach.
    "one lane": dict(k=7, width=2, channels=3, squeeze=4, lanes=1, macs=2, mid=Mid.RELU,
                     gate=Gate(GateKind.HARDSIGMOID),
                     residual=True, slack=4, loadable=True),
    # The other tables, no slack, as many MAC units as layer 1 has outputs.
    "one pass": dict(k=5, width=3, channels=8, squeeze=5, lanes=4, macs=5, mid=Mid.SILU, gate=Gate(), residual=True,
                     slack=0, loadable=True),
}


@dataclasses.dataclass(frozen=True)
class Block:
    """A block to mutate: a name, its Config, and the Parameters that it is loaded with or that are baked in."""

    name: str
    config: object
    parameters: object

    @property
    def baked(self):
        """What is built into the hardware; None for a loadable block."""
        return None if self.config.loadable else self.parameters


def blocks_of(options):
    """The blocks of :class:`~tiled_se.verify.options.MutateOptions`: ``block`` if it is given, else those of BLOCKS.

    Raises
    ------
    ConfigError
        Where an option is wrong, or some of a block's are missing.
    """
    chosen = {"block": options.block} if options.block else {
        name: BlockOptions(**about) for name, about in BLOCKS.items()}
    specs = {name: prepare(block) for name, block in chosen.items()}
    return tuple(Block(name, spec.config, spec.quantised.parameters) for name, spec in specs.items())


def shares(total, count):
    """`total` as `count` numbers that are as equal as can be, the larger first."""
    return tuple(total // count + (i < total % count) for i in range(count))
