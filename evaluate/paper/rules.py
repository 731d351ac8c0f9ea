# SPDX-License-Identifier: Apache-2.0
"""How the paper must have counted: rules under which its printed figures come out, each from a network's shapes.

They were found by recomputing the tables; the paper states only the metric. Where a rule counts other maps than the
network's own, the real figures differ from the printed ones, and the report has both.
"""

import dataclasses
import fractions
import math
from collections.abc import Callable

from ..metric import WHOLE, Tile

__all__ = ["RULES", "TILES_TEXT", "Rule", "mflops", "patches"]

# The rule of Table 1, in short.
TILES_TEXT = "N is H * W over a tile's elements, CR is C / 4, biases count once; a 9x9 tile has 81 elements on any map"

# The one tile of Table 1 that is counted whole where the map is smaller.
NOT_CLIPPED = Tile(9, 9)


def stem_at_least(network):
    """Blocks of stage 1 have the stem's channels where those are more."""
    return tuple(dataclasses.replace(block, channels=max(block.channels, network.stem_width))
                 if block.stage == 1 else block for block in network.blocks)


def widest_of_stage(network):
    """Blocks have the channels of their stage's widest one, and maps are the input divided by all strides, floored.

    A network's own strided convolutions round up instead.
    """
    widest, counted = {}, []
    for block in network.blocks:
        widest[block.stage] = max(block.channels, widest.get(block.stage, 0))
    # Of the stem, whose output is the first block's input.
    stride = math.ceil(network.input[0] / network.blocks[0].height_in)
    for block in network.blocks:
        stride *= block.stride
        counted.append(dataclasses.replace(block, channels=widest[block.stage], height=network.input[0] // stride,
                                           width=network.input[1] // stride))
    return tuple(counted)


def before_stride(network):
    """Maps are those before the block's own stride, in the network with output stride 32.

    For segmentation the strides of some layers are set to 1; here they are 2 again, for the layers after them.
    """
    counted = []
    for block in network.blocks:
        shrunk = 2 ** sum(layer < block.stage for layer in network.strides_set_to_1)
        counted.append(dataclasses.replace(block, height=block.height_in // shrunk, width=block.width_in // shrunk))
    return tuple(counted)


@dataclasses.dataclass(frozen=True)
class Rule:
    """A way to count Buffer in Tables 4 to 6.

    ``text`` describes the rule. ``blocks`` is a function from a network to the maps that it counts.
    ``along_short_side`` tells whether strips lie along the short side, the height.
    """

    text: str
    blocks: Callable
    along_short_side: bool = False

    def strip(self, size):
        """The tile of `size` rows, or of `size` columns."""
        return Tile(columns=size) if self.along_short_side else Tile(rows=size)


# By the name that paper.json gives each.
RULES = {
    "stem_at_least": Rule("stage 1 has at least the stem's channels", stem_at_least),
    "widest_of_stage": Rule("each block has the channels of its stage's widest, and map sizes are floored",
                            widest_of_stage),
    "before_stride": Rule("maps are those before the block's stride, at output stride 32; strips lie along the short "
                          "side", before_stride, along_short_side=True),
}


def patches(block, tile):
    """Rows and columns of `tile` as Table 1 counts them: no more than the map has, but for 9x9, which counts 81."""
    return (tile.rows, tile.columns) if tile == NOT_CLIPPED else tile.within(block.height, block.width)


def mflops(network, tile):
    """MACs as Table 1 counts them, a Fraction.

    Those of the network without squeeze-and-excite, and of the blocks as pycls counts them: a bias is a MAC. With the
    whole map as the tile, layers are the network's own. With others, every block squeezes to C / 4, the number of tiles
    is H * W over the tile's elements, not rounded up, and biases are counted once.
    """
    total = fractions.Fraction(network.macs_without_se)
    for block in network.blocks:
        if tile == WHOLE:
            total += block.count * (2 * block.channels * block.squeeze + block.channels + block.squeeze)
            continue
        squeeze, (rows, columns) = fractions.Fraction(block.channels, 4), patches(block, tile)
        number = fractions.Fraction(block.height * block.width, rows * columns)
        total += block.count * (number * 2 * block.channels * squeeze + block.channels + squeeze)
    return total
