# SPDX-License-Identifier: Apache-2.0
"""The blocks that are mutated."""

from ...gen.block_spec import prepare
from ...gen.options import BlockOptions
from ...hdl.config import Context, Gate, GateKind, Mid
from ..configurations import NamedBlock
from ..options import MutateOptions

__all__ = ["BLOCKS", "blocks_of"]

# Small blocks that together have every component in each of its forms, and whose limits can be reached: a buffer for
# more tiles than can be under way is never full. All are loadable. A baked block is the same without the loader, and
# its constant parameters would leave most of the data path unused. Tiles of 5 and 7 rows have reciprocals of many bits
# for 3 rows and other numbers, so that a mean's low bits matter.
BLOCKS = {
    # Tables for mid and gate, sums in RAM, a tile buffer with a second register, lanes, several passes in both layers,
    # uint8 with a zero point.
    "lanes": BlockOptions(k=5, width=3, channels=10, squeeze=3, lanes=2, macs=2, mid=Mid.HARDSWISH, gate=Gate(),
                          dtype="uint8", zero_point=100, slack=12, loadable=True),
    # Sums in registers, one lane, no table, int8, the residual form; its tiles reach more limits.
    "one lane": BlockOptions(k=7, width=2, channels=3, squeeze=4, lanes=1, macs=2, mid=Mid.RELU,
                             gate=Gate(GateKind.HARDSIGMOID), residual=True, slack=4, loadable=True),
    # The other tables, no slack, as many MAC units as layer 1 has outputs.
    "one pass": BlockOptions(k=5, width=3, channels=8, squeeze=5, lanes=4, macs=5, mid=Mid.SILU, gate=Gate(),
                             residual=True, slack=0, loadable=True),
    # Running sums in RAM, whose first pixel of a tile is in step with the copy; a division; more rows than count.
    # 12-bit data, whose gates and hidden values come from parabolas; their tables have a second register. A factor
    # after the gates.
    "cumulative": BlockOptions(context=Context.CUMULATIVE, max_rows=11, k=2, width=3, channels=10, squeeze=3, lanes=2,
                               macs=4, mid=Mid.SILU, gate=Gate(), dtype="int12", y_scale=0.005, slack=9, loadable=True),
    # Tiles that are read before they have ended, with a prior; running sums in registers. Layer 2 has more inputs than
    # layer 1.
    "causal": BlockOptions(context=Context.CAUSAL, prior_rows=3, max_rows=6, k=1, width=3, channels=3, squeeze=4,
                           lanes=1, macs=2, mid=Mid.RELU, gate=Gate(GateKind.HARDSIGMOID), dtype="uint8",
                           zero_point=100, slack=6, loadable=True),
    # A frame is a tile; a row before the window, of which 3 rows have a reciprocal of many bits. Data and weights have
    # 4 bits.
    "window": BlockOptions(context=Context.WINDOW, window=(1, 5), width=2, channels=4, squeeze=3, lanes=2, macs=3,
                           mid=Mid.RELU, gate=Gate(GateKind.HARDSIGMOID), dtype="int4", weight_bits=4, slack=3,
                           loadable=True),
    # Patches of several rows, of which the rightmost is narrower. Outputs of another type and scale, which saturate.
    "patches": BlockOptions(tile_width=2, k=3, width=5, channels=8, squeeze=3, lanes=2, macs=4, mid=Mid.RELU,
                            gate=Gate(GateKind.HARDSIGMOID), y_dtype="uint6", y_scale=0.2, y_zero_point=40, slack=5,
                            loadable=True),
}


def blocks_of(options: MutateOptions) -> tuple[NamedBlock, ...]:
    """The block ``options.block`` if it is given, else those of ``BLOCKS``; ConfigError where its options are wrong."""
    specs = {name: prepare(block) for name, block in ({"block": options.block} if options.block else BLOCKS).items()}
    return tuple(NamedBlock(name, spec.config, spec.quantised.parameters) for name, spec in specs.items())
