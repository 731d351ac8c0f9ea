# SPDX-License-Identifier: Apache-2.0
"""Which blocks are mutated."""

import dataclasses

from ...gen.options import FIELDS, from_texts
from ...gen.prepare import prepare

__all__ = ["BLOCKS", "Block", "blocks_of", "shares"]

# Small blocks that together have every component in every form it takes, and whose limits can be reached: a buffer for
# more tiles than can be under way is never full. All are loadable: a baked block is the same less the loader, with
# parameters that never change, and these leave most of the data path one thing to do. Tiles of 5 and 7 rows
# have reciprocals of many bits, for 3 rows and others, so that a mean's low bits matter.
BLOCKS = {
    # A table in mid and sigmoid's, RAM for sums, a tile buffer with a second register, lanes, several passes in both
    # layers, uint8 with a zero point.
    "lanes": dict(k=5, width=3, channels=10, squeeze=3, lanes=2, macs=2, mid="hardswish", gate="sigmoid",
                  dtype="uint8", zero_point=100, slack=12, loadable=1),
    # Registers for sums, one lane, no table, int8, the residual form; more limits that its tiles reach.
    "one lane": dict(k=7, width=2, channels=3, squeeze=4, lanes=1, macs=2, mid="relu", gate="hardsigmoid",
                     residual=1, slack=4, loadable=1),
    # The other tables, no slack, as many MAC units as layer 1 has outputs.
    "one pass": dict(k=5, width=3, channels=8, squeeze=5, lanes=4, macs=5, mid="silu", gate="sigmoid", residual=1,
                     slack=0, loadable=1),
}
# Where an option that says what is built is given, it is about one block.
_GROUPS, _OTHERS = ("shape", "hardware", "network", "data"), ("seed", "height", "frames")


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
    """The blocks that `options` ask for: one where an option of a block is given, else those of ``BLOCKS``.

    Raises
    ------
    ConfigError
        Where an option is wrong, or some of a block's are missing.
    """
    if any(getattr(options, name) != field.default for name, field in FIELDS.items()
           if field.metadata["group"] in _GROUPS and name not in _OTHERS):
        job = prepare(options)
        return (Block("block", job.config, job.quantised.parameters),)
    found = []
    for name, about in BLOCKS.items():
        job = prepare(from_texts({key: str(value) for key, value in about.items()}))
        found.append(Block(name, job.config, job.quantised.parameters))
    return tuple(found)


def shares(total, count):
    """`total` as `count` numbers that are as equal as can be, the larger first."""
    return tuple(total // count + (i < total % count) for i in range(count))
