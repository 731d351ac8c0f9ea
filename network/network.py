# SPDX-License-Identifier: Apache-2.0
"""An ONNX network with its squeeze-and-excite blocks and their sizes: what every command on a network begins with."""

import contextlib
import dataclasses
import os
import re
import struct

import numpy as np
import onnx
from google.protobuf.message import Error

from ..hdl.config import ConfigError
from .match.match import Block, recognise
from .read.graph import Graph
from .read.model import load_model
from .read.sandbox import guarded
from .read.shapes import InputShape, infer, maps, resolved

__all__ = ["Network", "Sized", "naming", "open_network", "parse_shape", "require_sizes"]

# Reading takes seconds for the largest networks.
READING_SECONDS = 60
# Each has weights of its own when it is tiled; networks have a hundred.
MOST_BLOCKS = 256
SHAPES_ARE = "must be CxHxW, like 3x640x640"


@dataclasses.dataclass(frozen=True, eq=False)
class Sized:
    """A block of a network with its feature map's height and width, None where the input's size leaves them open."""

    block: Block
    height: int | None
    width: int | None
    count: int = 1

    @property
    def name(self):
        """Unique in the network."""
        return self.block.name

    @property
    def channels(self):
        """C."""
        return self.block.channels

    @property
    def squeeze(self):
        """CR."""
        return self.block.squeeze


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """A network that was read.

    Attributes
    ----------
    path : str
    graph : Graph
    blocks : tuple of Sized
    others : dict of str to str
        What is like a block but isn't supported, and why.
    dims : list of int, or None
        Of the input, a batch of one; None where that is open.
    """

    path: str
    graph: Graph
    blocks: tuple
    others: dict
    dims: list | None

    @property
    def model(self):
        """The onnx.ModelProto."""
        return self.graph.model

    def chosen(self, skip=()):
        """The blocks but for those named in `skip`; ConfigError ("skip") for a name that is none's."""
        names = [sized.name for sized in self.blocks]
        for name in skip:
            if name not in names:
                raise ConfigError("skip", name, f"must be a block's name; there are {', '.join(names) or 'none'}")
        return [sized for sized in self.blocks if sized.name not in skip]


@contextlib.contextmanager
def naming(path):
    """Have errors about the model name its file `path`."""
    try:
        # Weights may be any numbers.
        with np.errstate(all="ignore"):
            yield
    except ConfigError as error:
        if error.option == "model" and error.value != path:
            raise ConfigError("model", path, f"{error.value}: {error.allowed}") from None
        if error.option == "input_shape":
            raise ConfigError("input", error.value, error.allowed) from None
        raise
    except MemoryError:
        raise ConfigError("model", path, "takes too much memory") from None
    except (ArithmeticError, AttributeError, Error, LookupError, RuntimeError, TypeError, ValueError,
            struct.error) as error:
        # Attributes of another type, nodes that lack inputs, axes out of range: onnx and numpy have many words for it.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:100]
        raise ConfigError("model", path, f"is inconsistent ({reason})") from None


def parse_shape(text):
    """The :class:`InputShape` of a text like 3x640x640; ConfigError ("input") where it is none."""
    match = re.fullmatch(r"([1-9][0-9]{0,3})x([1-9][0-9]{0,5})x([1-9][0-9]{0,5})", text)
    if not match:
        raise ConfigError("input", text, SHAPES_ARE)
    return InputShape(*map(int, match.groups()))


def open_network(path, shape=None):
    """The :class:`Network` in the ONNX file `path`, for an input of `shape` (an :class:`InputShape`, or None).

    Raises
    ------
    ConfigError
        What is wrong with the file ("model"), or with the shape ("input").
    """
    if not path:
        raise ConfigError("model", "", "is needed: an .onnx file")
    size = os.path.getsize(path) if os.path.isfile(path) else 0
    content, shapes, found, dims = guarded(_read, path, shape, what=path, seconds=READING_SECONDS, reads=size)
    with naming(path):
        # Of what has been read there, this takes less.
        graph = Graph(onnx.ModelProto.FromString(content))
        graph.dims = shapes
        sizes = maps(graph, found.blocks, dims, measure=shape is not None)
    return Network(path, graph, tuple(Sized(block, *sizes[block.name]) for block in found.blocks), found.others, dims)


def _read(path, shape):
    """``(content, shapes, found, dims)``: the model as bytes, without functions and with all weights, sizes of its
    tensors, its :class:`~.recognise.Found`, and the dimensions of its input."""
    with naming(path):
        graph = load_model(path)
        dims = resolved(graph, shape)
        # Recognition asks for shapes that many files don't declare.
        graph.dims = infer(graph, dims)
        found = recognise(graph)
        if len(found.blocks) > MOST_BLOCKS:
            raise ConfigError("model", f"{len(found.blocks):,} blocks", f"must be {MOST_BLOCKS} at most")
        return graph.model.SerializeToString(), graph.dims, found, dims


def require_sizes(network):
    """ConfigError ("input") unless every block of `network` has a height and a width."""
    if any(None in (sized.height, sized.width) for sized in network.blocks):
        raise ConfigError("input", "", f"is needed, as the model leaves its input's size open; {SHAPES_ARE}")
