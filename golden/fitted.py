# SPDX-License-Identifier: Apache-2.0
"""The integers of a block for each length of its maps' lines, kept while its weights and formats stay as they are."""

import dataclasses
from typing import Any

import numpy as np

from ..hdl.config import Config, ConfigError, Tiling
from .block import DataFormat, FloatBlock
from .block_formats import BlockFormats
from .integer import IntegerModel
from .quantise import quantise_within_error
from .quantised import Quantised, attempt

__all__ = ["Fitted", "Fits", "block_config"]

# So many lengths are kept: a network that takes maps of any size meets many.
MOST_LENGTHS = 16


def block_config(block: FloatBlock, tiling: Tiling, length: int, formats: BlockFormats, x: DataFormat,
                 y: DataFormat | None) -> Config:
    """The config of a baked block for lines of this `length`, before its widths are chosen; None is x's format for y.
    """
    squeeze, channels = block.w1.shape
    if tiling.tile_width is not None and tiling.tile_width >= length:
        tiling = dataclasses.replace(tiling, tile_width=None)
    own: dict[str, Any] = {}
    if y is not None:
        own = {"y_data": y.data, "y_zero_point": y.zero_point, "y_ratio": x.scale / y.scale}
    return Config(**vars(tiling), width=length, channels=channels, squeeze=squeeze, data=x.data,
                  zero_point=x.zero_point, weight_bits=formats.weight_bits, mid=block.mid, gate=block.gate,
                  residual=block.residual, **own)


@dataclasses.dataclass(frozen=True, eq=False)
class Fitted:
    """A quantised block, its integer model, the formats of its data, and the float block that it is for.

    ``fresh`` tells whether its widths are the least for these weights; others keep the error bound as well.
    """

    block: FloatBlock
    quantised: Quantised
    model: IntegerModel
    x: DataFormat
    y: DataFormat
    fresh: bool

    @property
    def config(self) -> Config:
        """The complete config."""
        return self.quantised.config


class Fits:
    """The :class:`Fitted` blocks of one module, by the length of a line and the formats."""

    def __init__(self) -> None:
        self._known: dict[tuple, Fitted] = {}

    def get(self, block: FloatBlock, tiling: Tiling, length: int, formats: BlockFormats, x: DataFormat,
            y: DataFormat | None, keep_widths: bool) -> Fitted:
        """The block for lines of this `length`; see :func:`block_config`.

        The widths are the least that keep ``formats.error_lsb``. With `keep_widths` they are those of the last weights
        as long as these keep it, which takes far less time. ConfigError if no widths keep it.
        """
        key = tiling, length, formats, x, y
        last = self._known.pop(key, None)
        if last is None or not _equal(last.block, block) or not (last.fresh or keep_widths):
            last = self._again(last, block, formats) if keep_widths and last is not None else None
            last = last or self._anew(block, block_config(block, tiling, length, formats, x, y), formats, x, y)
        # The last one that was used is the last one to go.
        self._known[key] = last
        if len(self._known) > MOST_LENGTHS:
            del self._known[next(iter(self._known))]
        return last

    def _again(self, last: Fitted, block: FloatBlock, formats: BlockFormats) -> Fitted | None:
        """The `block` with the widths and shifts of the last one; None where these don't do."""
        try:
            block.check(last.config)
            quantised = attempt(last.config, block, last.x.scale)
            if quantised.error_bound_lsb > formats.error_lsb:
                return None
            # It refuses biases that these widths have no room for.
            return Fitted(block, quantised, IntegerModel(last.config, quantised.parameters), last.x, last.y, False)
        except ConfigError:
            return None

    def _anew(self, block: FloatBlock, config: Config, formats: BlockFormats, x: DataFormat,
              y: DataFormat | None) -> Fitted:
        config, quantised = quantise_within_error(config, block, x.scale, formats.error_lsb)
        y = y or dataclasses.replace(x, scale=x.scale / config.ratio)
        return Fitted(block, quantised, IntegerModel(config, quantised.parameters), x, y, True)


def _equal(one: FloatBlock, other: FloatBlock) -> bool:
    """Whether two blocks have the same weights, functions and prior."""
    return all(np.array_equal(*pair) if isinstance(pair[0], np.ndarray) else pair[0] == pair[1] for pair in (
        (getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(FloatBlock)))
