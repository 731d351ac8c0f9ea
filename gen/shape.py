# SPDX-License-Identifier: Apache-2.0
"""The shape of block and data, from options and files, which must not contradict each other."""

import dataclasses
from collections.abc import Iterator, Sequence

from ..hdl.config import ConfigError
from .data import MOST_ELEMENTS, MOST_WEIGHTS, Input, Weights
from .options import BlockOptions

__all__ = ["Shape", "resolve"]

# Most elements of a tile.
MOST_TILE = 1 << 28


@dataclasses.dataclass(frozen=True)
class Shape:
    """Every dimension, resolved; `height` and `frames` are of the data and don't enter the hardware."""

    width: int
    channels: int
    squeeze: int
    lanes: int
    height: int
    frames: int

    def check_frames(self) -> None:
        """Raise ConfigError ("height") where the frames are more than a machine holds."""
        product = self.frames * self.height * self.width * self.channels
        _limit("height", self.height, "FRAMES*H*W*C", product, MOST_ELEMENTS)


def resolve(options: BlockOptions, weights: Weights | None, data: Input | None) -> Shape:
    """The :class:`Shape` of `options` with the contents of the files, if there are any.

    Raises ConfigError where something is missing, too large, or given twice and differently; the message names both.
    """
    claims = list(_claims(weights, data))
    width = _needed("width", options, claims)
    channels = _needed("channels", options, claims)
    squeeze = _or(_one("squeeze", options, claims), max(1, channels // 4))
    height = _or(_one("height", options, claims), width)
    frames = _or(_one("frames", options, claims), 2)
    lanes = _or(options.lanes, max(n for n in range(1, 9) if channels % n == 0))
    _limit("k", options.k, "K*W*C", options.k * width * channels, MOST_TILE)
    _limit("squeeze", squeeze, "C*CR", channels * squeeze, MOST_WEIGHTS)
    shape = Shape(width, channels, squeeze, lanes, height, frames)
    # Frames that nobody asked for must not stop the Verilog of a wide block.
    if options.height is not None or options.frames is not None:
        shape.check_frames()
    return shape


def _claims(weights: Weights | None, data: Input | None) -> Iterator[tuple[str, int, str]]:
    """Dimensions that the files have: (dimension, value, place in the file)."""
    if weights:
        squeeze, channels = weights.arrays["w1"].shape
        where = f"w1 of WEIGHTS={weights.path} is {[squeeze, channels]}"
        yield from (("squeeze", squeeze, where), ("channels", channels, where))
    if data:
        where = f"{data.name} of INPUT={data.path} is {list(data.x.shape)}"
        for name, value in zip(("frames", "height", "width", "channels"), data.x.shape, strict=True):
            yield name, value, where


def _one(name: str, options: BlockOptions, claims: Sequence[tuple[str, int, str]]) -> int | None:
    """The one value that options and files give dimension `name`, None if they give none."""
    given = getattr(options, name)
    stored = [(value, where) for claimed, value, where in claims if claimed == name]
    for value, where in stored:
        if given not in (None, value):
            raise ConfigError(name, given, f"must be {value}, as {where}")
        if value != stored[0][0]:
            raise ConfigError(name, value, f"must be {stored[0][0]}, as {stored[0][1]}; but {where}")
    return stored[0][0] if stored else given


def _needed(name: str, options: BlockOptions, claims: Sequence[tuple[str, int, str]]) -> int:
    value = _one(name, options, claims)
    if value is None:
        raise ConfigError(name, "", "is needed, where no file tells it; must be from 1 to 65536")
    if not 1 <= value <= 1 << 16:
        raise ConfigError(name, value, "must be from 1 to 65536")
    return value


def _or(value: int | None, default: int) -> int:
    return default if value is None else value


def _limit(name: str, value: int, formula: str, product: int, most: int) -> None:
    if product > most:
        raise ConfigError(name, value, f"must be smaller: {formula} = {product} may be {most} at most")
