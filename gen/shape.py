# SPDX-License-Identifier: Apache-2.0
"""The dimensions of a block and of its frames, from options and files, which must agree."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from ..hdl.config import ConfigError, Order
from ..hdl.sizing import lanes_within
from .data import MOST_ELEMENTS, MOST_WEIGHTS, Input, Weights
from .options import BlockOptions

__all__ = ["Shape", "limit", "resolve"]


@dataclasses.dataclass(frozen=True)
class Shape:
    """Every dimension of the feature map, resolved; and the block's lanes.

    `frames` and the number of the stream's lines don't enter the hardware: that is `height`, or `width` of a stream by
    columns.
    """

    width: int
    channels: int
    squeeze: int
    lanes: int
    height: int
    frames: int

    def line(self, order: Order) -> int:
        """The length of the stream's lines."""
        return self.height if order is Order.COLUMNS else self.width

    def check_frames(self) -> None:
        """Raise ConfigError ("height") where the frames are more than a machine holds."""
        product = self.frames * self.height * self.width * self.channels
        limit("height", self.height, "FRAMES*H*W*C", product, MOST_ELEMENTS)


def resolve(options: BlockOptions, weights: Weights | None, data: Input | None) -> Shape:
    """The :class:`Shape` of `options` with the contents of the files, if there are any.

    Raises ConfigError where something is missing, too large, or given twice and differently; the message names both.
    """
    claims = list(_claims(weights, data))
    height, width = _map_size(options, claims)
    channels = _needed("channels", options, claims)
    squeeze = _one("squeeze", options, claims, max(1, channels // 4))
    frames = _one("frames", options, claims, 2)
    lanes = _one("lanes", options, [], lanes_within(channels))
    limit("squeeze", squeeze, "C*CR", channels * squeeze, MOST_WEIGHTS)
    return Shape(width, channels, squeeze, lanes, height, frames)


def _map_size(options: BlockOptions, claims: Sequence[tuple[str, int, str]]) -> tuple[int, int]:
    """Height and width of the map: one is the hardware's and needed, the other one is by default the same."""
    if options.order is Order.COLUMNS:
        height = _needed("height", options, claims, _one("width", options, claims))
        return height, _one("width", options, claims, height)
    width = _needed("width", options, claims)
    return _one("height", options, claims, width), width


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


def _one(name: str, options: BlockOptions, claims: Sequence[tuple[str, int, str]], default: Any = None) -> Any:
    """The one value that options and files give dimension `name`; `default` if they give none."""
    given = getattr(options, name)
    stored = [(value, where) for claimed, value, where in claims if claimed == name]
    for value, where in stored:
        if given not in (None, value):
            raise ConfigError(name, given, f"must be {value}, as {where}")
        if value != stored[0][0]:
            raise ConfigError(name, value, f"must be {stored[0][0]}, as {stored[0][1]}; but {where}")
    return stored[0][0] if stored else default if given is None else given


def _needed(name: str, options: BlockOptions, claims: Sequence[tuple[str, int, str]],
            default: int | None = None) -> int:
    value = _one(name, options, claims, default)
    if value is None:
        raise ConfigError(name, "", "is needed, as no file gives it; must be from 1 to 65536")
    if not 1 <= value <= 1 << 16:
        raise ConfigError(name, value, "must be from 1 to 65536")
    return value


def limit(name: str, value: int | str, formula: str, product: int, most: int) -> None:
    """Raise ConfigError for option `name` and its `value` if `product`, which `formula` describes, is over `most`."""
    if product > most:
        raise ConfigError(name, value, f"must be smaller: {formula} = {product} may be {most} at most")
