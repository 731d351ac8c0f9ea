# SPDX-License-Identifier: Apache-2.0
"""The networks whose squeeze-and-excite blocks are measured: those of networks.json, or a user's own."""

import dataclasses
import importlib.resources
import json
import os
import re

from ..hdl.config import ConfigError

__all__ = ["Block", "Network", "chosen_blocks", "load_networks"]

BLOCKS_ARE = "must be blocks as HxWxCxCR, like 56x56x64x16, with commas between them"
FILE_HOLDS = 'must hold {"networks": {NAME: {"input": [H, W], "source": TEXT, "blocks": [[H, W, C, CR, COUNT], ...]}}}'


@dataclasses.dataclass(frozen=True, order=True)
class Block:
    """A squeeze-and-excite block: height, width and channels of its feature map, and squeezed channels."""

    height: int
    width: int
    channels: int
    squeeze: int

    def __str__(self):
        return f"{self.height}x{self.width}x{self.channels}x{self.squeeze}"


@dataclasses.dataclass(frozen=True)
class Network:
    """A network: the height and width of its input, where its blocks were read from, and each block with its count."""

    name: str
    input: tuple
    source: str
    blocks: tuple


def load_networks(wanted=None):
    """The networks that `wanted` names: names of shipped ones with commas between, or a .json file; None is all.

    Raises
    ------
    ConfigError
        ("network") where there is no such network, or the file isn't one.
    """
    if wanted is not None and wanted.endswith(".json"):
        if os.path.exists(wanted) and not os.path.isfile(wanted):
            raise ConfigError("network", wanted, "is not a regular file; must be a .json file")
        try:
            with open(wanted, encoding="utf-8") as file:
                return _parse(wanted, file.read())
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "is no text"
            raise ConfigError("network", wanted, f"can't be read: {reason}") from None
    shipped = _parse("networks.json", importlib.resources.files(__package__).joinpath("networks.json").read_text())
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


def _network(name, input, source, blocks):
    pairs = tuple((Block(*block), count) for *block, count in blocks)
    numbers = [*input, *(n for block, count in pairs for n in (*dataclasses.astuple(block), count))]
    # Names are shown, in tables and in plots.
    shown = name and name.isprintable()
    if not shown or not pairs or len(input) != 2 or any(type(n) is not int or n < 1 for n in numbers):
        raise ValueError(name)
    return Network(name, tuple(input), str(source), pairs)


def chosen_blocks(text):
    """The blocks that `text` lists, each once; ConfigError ("blocks") says what is wrong with it."""
    found = {}
    for item in text.split(","):
        if not re.fullmatch(r"[1-9]\d{0,4}(x[1-9]\d{0,4}){3}", item):
            raise ConfigError("blocks", item, BLOCKS_ARE)
        found[Block(*map(int, item.split("x")))] = True
    return tuple(found)
