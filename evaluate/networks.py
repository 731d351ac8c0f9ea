# SPDX-License-Identifier: Apache-2.0
"""The networks whose squeeze-and-excite blocks are measured: those of networks.json, or a user's own."""

import dataclasses
import importlib.resources
import json
import re

from ..gen.files import decoded, read_bytes
from ..hdl.config import ConfigError, Tiling

__all__ = ["BlockShape", "Network", "chosen_blocks", "load_networks"]

BLOCKS_ARE = "must be blocks as HxWxCxCR, like 56x56x64x16, with commas between them"
FILE_HOLDS = 'must hold {"networks": {NAME: {"input": [H, W], "source": TEXT, "blocks": [[H, W, C, CR, COUNT], ...]}}}'


@dataclasses.dataclass(frozen=True, order=True)
class BlockShape:
    """A squeeze-and-excite block of a network. Blocks of one shape are equal, whatever else is known of them.

    Attributes
    ----------
    height, width, channels, squeeze : int
        H, W, C and CR.
    count : int
        How many such blocks the network has.
    stage, stride, height_in, width_in : int, optional
        The stage from 1, which of MobileNetV3 is the layer; stride and input of the convolution in front of the block.
    name : str, optional
        In its model's file.
    form : tuple of (str, value)
        Those of mid, gate and residual that are known, as :class:`~tiled_se.gen.options.BlockOptions` names them.
    tiling : Tiling, optional
        The block's own, where blocks differ in it.
    """

    height: int
    width: int
    channels: int
    squeeze: int
    count: int = dataclasses.field(default=1, compare=False)
    stage: int | None = dataclasses.field(default=None, compare=False)
    stride: int | None = dataclasses.field(default=None, compare=False)
    height_in: int | None = dataclasses.field(default=None, compare=False)
    width_in: int | None = dataclasses.field(default=None, compare=False)
    name: str | None = dataclasses.field(default=None, compare=False)
    form: tuple = dataclasses.field(default=(), compare=False)
    tiling: Tiling | None = dataclasses.field(default=None, compare=False)

    def __str__(self):
        return f"{self.height}x{self.width}x{self.channels}x{self.squeeze}"


@dataclasses.dataclass(frozen=True)
class Network:
    """A network and its blocks.

    Attributes
    ----------
    name : str
    input : tuple of int, or None
        Height and width, if they are known.
    source : str
        Where the blocks were read from.
    blocks : tuple of BlockShape
    stem_width, macs_without_se : int, optional
        Channels of the stem; MACs of a frame.
    strides_set_to_1 : tuple of int
        The layers whose stride is 1 in segmentation and 2 in classification.
    """

    name: str
    input: tuple | None
    source: str
    blocks: tuple
    stem_width: int | None = None
    macs_without_se: int | None = None
    strides_set_to_1: tuple = ()


def load_networks(wanted=None, staged=False):
    """The networks that `wanted` names: names of shipped ones with commas between, or a .json file; None is all.

    Equal blocks of a shipped network are one with their count, unless it is `staged`. ConfigError ("network") where
    there is no such network, or the file isn't one.
    """
    if wanted is not None and wanted.endswith(".json"):
        try:
            return _parse(wanted, decoded(read_bytes("network", wanted, "a .json file")))
        except UnicodeDecodeError:
            raise ConfigError("network", wanted, "can't be read: is no text") from None
    shipped = _parse("networks.json", importlib.resources.files(__package__).joinpath("networks.json").read_text())
    if not staged:
        shipped = tuple(dataclasses.replace(network, blocks=_merged(network.blocks)) for network in shipped)
    if wanted is None:
        return shipped
    known = {network.name: network for network in shipped}
    names = wanted.split(",")
    for name in names:
        if name not in known:
            raise ConfigError("network", name, f"must be a .json file or one of {', '.join(known)}")
    return tuple(known[name] for name in dict.fromkeys(names))


def _parse(path, text):
    """The networks in a file's text."""
    try:
        networks = json.loads(text)["networks"]
        found = tuple(_network(name, **about) for name, about in networks.items())
        if not found:
            raise ValueError(path)
        return found
    except RecursionError:
        raise ConfigError("network", path, "is nested too deeply for a file of networks") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError("network", path, FILE_HOLDS) from None


def _network(name, input, source, blocks, **more):
    # Of a block all is given, or shape and count.
    read = tuple(BlockShape(height, width, channels, squeeze, count, *place)
                 for height, width, channels, squeeze, count, *place in blocks)
    numbers = [*input, *(number for block in blocks for number in block)]
    # Names are shown, in tables and in plots.
    shown = name and name.isprintable()
    if not shown or not read or len(input) != 2 or any(type(number) is not int or number < 1 for number in numbers):
        raise ValueError(name)
    return Network(name, tuple(input), str(source), read, **more)


def _merged(blocks):
    counts = {}
    for block in blocks:
        counts[block] = counts.get(block, 0) + block.count
    return tuple(dataclasses.replace(block, count=count) for block, count in counts.items())


def chosen_blocks(text):
    """The blocks that `text` lists, each once; ConfigError ("blocks") says what is wrong with it."""
    items = text.split(",")
    for item in items:
        if not re.fullmatch(r"[1-9]\d{0,4}(x[1-9]\d{0,4}){3}", item):
            raise ConfigError("blocks", item, BLOCKS_ARE)
    return tuple(dict.fromkeys(BlockShape(*map(int, item.split("x"))) for item in items))
