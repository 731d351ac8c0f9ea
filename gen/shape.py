# SPDX-License-Identifier: Apache-2.0
"""The shape of block and data, from options and files, which must not contradict each other."""

import dataclasses

from ..hdl.config import ConfigError

__all__ = ["Shape", "resolve"]

# What a machine can still hold: elements of all frames, elements of a tile, weights of one layer.
MOST_ELEMENTS = 1 << 28
MOST_TILE = 1 << 28
MOST_WEIGHTS = 1 << 24


@dataclasses.dataclass(frozen=True)
class Shape:
    """Every dimension, resolved; `height` and `frames` are of the data and don't enter the hardware."""

    width: int
    channels: int
    squeeze: int
    lanes: int
    height: int
    frames: int

    def check_frames(self):
        """Raise ConfigError ("height") where frames are more than a machine holds; only who makes them needs that."""
        product = self.frames * self.height * self.width * self.channels
        _limit("height", self.height, "FRAMES*H*W*C", product, MOST_ELEMENTS)


def resolve(options, weights, data):
    """The :class:`Shape` of `options` with the files `weights` and `data` (:mod:`tiled_se.gen.data`, or None).

    Raises
    ------
    ConfigError
        Where something is missing, too large, or said twice and differently; the message names both.
    """
    claims = list(_claims(weights, data))
    width = _one("width", options, claims)
    channels = _one("channels", options, claims)
    for name, value in (("width", width), ("channels", channels)):
        if value is None:
            raise ConfigError(name, "", "is needed, where no file tells it; must be from 1 to 65536")
        if not 1 <= value <= 1 << 16:
            raise ConfigError(name, value, "must be from 1 to 65536")
    squeeze = _or(_one("squeeze", options, claims), max(1, channels // 4))
    height = _or(_one("height", options, claims), width)
    frames = _or(_one("frames", options, claims), 2)
    lanes = _or(options.lanes, max(n for n in range(1, 9) if channels % n == 0))
    _limit("k", options.k, "K*W*C", options.k * width * channels, MOST_TILE)
    _limit("squeeze", squeeze, "C*CR", channels * squeeze, MOST_WEIGHTS)
    shape = Shape(width, channels, squeeze, lanes, height, frames)
    # Nobody who wants the Verilog of a wide block has asked for square frames.
    if options.height is not None or options.frames is not None:
        shape.check_frames()
    return shape


def _claims(weights, data):
    """What the files say: (dimension, value, where it says so)."""
    if weights:
        squeeze, channels = weights.arrays["w1"].shape
        where = f"w1 of WEIGHTS={weights.path} is {[squeeze, channels]}"
        yield from (("squeeze", squeeze, where), ("channels", channels, where))
    if data:
        where = f"{data.name} of INPUT={data.path} is {list(data.x.shape)}"
        for name, value in zip(("frames", "height", "width", "channels"), data.x.shape, strict=True):
            yield name, value, where


def _one(name, options, claims):
    """The one value that options and files give dimension `name`, None where nobody says."""
    given = getattr(options, name)
    said = [(value, where) for claimed, value, where in claims if claimed == name]
    for value, where in said:
        if given not in (None, value):
            raise ConfigError(name, given, f"must be {value}, as {where}")
        if value != said[0][0]:
            raise ConfigError(name, value, f"must be {said[0][0]}, as {said[0][1]}; but {where}")
    return said[0][0] if said else given


def _or(value, default):
    return default if value is None else value


def _limit(name, value, formula, product, most):
    if product > most:
        raise ConfigError(name, value, f"must be smaller: {formula} = {product} may be {most} at most")
