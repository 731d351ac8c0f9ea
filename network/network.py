# SPDX-License-Identifier: Apache-2.0
"""An ONNX network with its squeeze-and-excite blocks and their sizes, which every command on a network starts from."""

import dataclasses
import os
import time
from collections.abc import Iterable

import onnx

from ..hdl.config import ConfigError
from .check.blocks import LARGEST, differing
from .match.match import NetworkBlock, match
from .read.graph import Graph
from .read.model import load_model, model_errors
from .read.sandbox import allow_memory_for, sandboxed
from .read.shapes import SHAPE_FORMAT, InputShape, infer, inferred, input_dims, map_size, measured
from .read.validation import short
from .tile import LAST_WITH_INPUTS

__all__ = ["Network", "find_blocks", "open_network"]

# The largest networks take seconds to read, and their blocks seconds to run.
READING_SECONDS, CHECKING_SECONDS = 60, 240
# Bytes of the largest map that a block is run on.
CHECKING_BYTES = 4 * LARGEST
# Each block gets its own weights when the network is tiled. Real networks have a hundred blocks.
MOST_BLOCKS = 256
# Reasons in the message about a network without blocks, and names in a line about inputs.
MOST_LISTED = 3


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """An ONNX network.

    ``blocks`` are those that compute what they were recognised as when they are run, unless that was not checked.
    ``unsupported`` maps the name of everything else that averages a map and multiplies a map by what follows to the
    reason why it is no block. ``dims`` is the shape of the input with a batch of one, unless the file declares another;
    None if it is open.
    """

    path: str
    graph: Graph
    blocks: tuple[NetworkBlock, ...]
    unsupported: dict
    dims: list | None
    seconds: dict[str, float]

    @property
    def model(self) -> onnx.ModelProto:
        """The model with its functions inlined and all its weights."""
        return self.graph.model

    @property
    def quantised(self) -> bool:
        """Whether anything in the network is an integer for a real number.

        onnxruntime then rounds in other places when it optimises, as it computes with the integers.
        """
        return any(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in self.model.graph.node)

    @property
    def left_out(self) -> list[str]:
        """A line for each of ``unsupported``."""
        return [f"left out: {name}: {reason}" for name, reason in self.unsupported.items()]

    def require_blocks(self) -> None:
        """Raise ConfigError ("model") with the first reasons if the network has no block."""
        if self.blocks:
            return
        reasons = [f"{short(name)}: {reason}" for name, reason in self.unsupported.items()]
        if len(reasons) > MOST_LISTED:
            reasons[MOST_LISTED:] = [f"{len(reasons) - MOST_LISTED} more"]
        raise ConfigError("model", self.path, "has no squeeze-and-excite block" +
                          (f"; left out: {'; '.join(reasons)}" if reasons else ""))

    def require_sizes(self) -> None:
        """Raise ConfigError ("input_shape") if the size of a block's map is open."""
        if _any_open(self.blocks):
            raise ConfigError("input_shape", "", f"is needed, as the model leaves its input's size open; "
                                                 f"{SHAPE_FORMAT}")

    def notes(self, blocks: Iterable[NetworkBlock]) -> list[str]:
        """A line, if there are any, about inputs of the network that will be constants in `blocks` once they are tiled.

        Those are weights that a caller may replace by others, as some exporters declare all of them. Before version 4
        of the format all constants are listed as inputs, and it can't be told which of them are to be replaced.
        """
        names = {value.name for value in self.model.graph.input} & self.graph.initializers.keys()
        if not names or self.model.ir_version <= LAST_WITH_INPUTS:
            return []
        read = set().union(*(self.graph.constants_between(block.x, block.y) for block in blocks))
        found = [value.name for value in self.model.graph.input if value.name in names & read]
        if not found:
            return []
        more = f" and {len(found) - MOST_LISTED} more" if len(found) > MOST_LISTED else ""
        which = f"inputs {', '.join(map(short, found[:MOST_LISTED]))}{more} of the network are constants"
        if len(found) == 1:
            which = f"input {short(found[0])} of the network is a constant"
        return [f"note: {which} in its tiled blocks"]

    def selected(self, skip: Iterable[str] = ()) -> list[NetworkBlock]:
        """The blocks except those named in `skip`; ConfigError ("skip") for a name that no block has."""
        names = [block.name for block in self.blocks]
        for name in skip:
            if name not in names:
                raise ConfigError("skip", name, f"must be a block's name; there are {', '.join(names) or 'none'}")
        return [block for block in self.blocks if block.name not in skip]


def find_blocks(model: onnx.ModelProto, check: bool = True) -> list[NetworkBlock]:
    """The blocks of `model` in the graph's order; with `check` those that compute their recognised form when run.

    Shapes are inferred, and blocks are run, in this process: :func:`open_network` reads untrusted files.
    """
    try:
        model = inferred(model)
    except (onnx.shape_inference.InferenceError, ValueError):
        # The model may be too large for inference. The declared shapes mostly suffice.
        pass
    graph = Graph(model)
    blocks, _ = match(graph)
    return differing(graph, blocks)[0] if check else blocks


def open_network(path: str | None, shape: InputShape | str | None = None, need_sizes: bool = False,
                 check: bool = True) -> Network:
    """Read the ONNX file `path`, which may be hostile, and find its blocks.

    `shape` is the size of the input, such as "3x640x640", for a network that leaves it open. With `need_sizes` a
    network without blocks or with a block of open size is refused. With `check` each block is run on random maps, and
    one that does not compute what it was recognised as is left out. Raises ConfigError: ("model") if the file is wrong,
    ("input_shape") if the shape is wrong or missing.
    """
    if not path:
        raise ConfigError("model", "", "is needed: an .onnx file")
    shape = InputShape.parse(shape) if isinstance(shape, str) and shape else shape or None
    size = os.path.getsize(path) if os.path.isfile(path) else 0
    content, shapes, blocks, unsupported, dims, seconds = sandboxed(
        _read, path, shape, check, what=path, seconds=READING_SECONDS + check * CHECKING_SECONDS, reads=size)
    with model_errors(path):
        # The model was read once in the sandbox: reading it again takes no more memory than there.
        graph = Graph(onnx.ModelProto.FromString(content))
        graph.dims = shapes
        if shape is not None and _any_open(blocks):
            shapes = measured(graph, [block.x for block in blocks], dims)
            sizes_of = [map_size(shapes[block.x], block.channels_last) for block in blocks]
            blocks = [dataclasses.replace(block, height=height, width=width)
                      for block, (height, width) in zip(blocks, sizes_of, strict=True)]
    network = Network(path, graph, tuple(blocks), unsupported, dims, seconds)
    if need_sizes:
        network.require_blocks()
        network.require_sizes()
    return network


def _any_open(blocks):
    return any(None in (block.height, block.width) for block in blocks)


def _read(path, shape, check):
    """The model as bytes, the shapes of its tensors, its blocks, why others are left out, its dims, seconds."""
    with model_errors(path):
        times = [time.perf_counter()]
        graph = load_model(path)
        dims = input_dims(graph, shape)
        # The matcher asks for shapes that many files don't declare.
        graph.dims = infer(graph, dims)
        times.append(time.perf_counter())
        blocks, unsupported = match(graph)
        if len(blocks) > MOST_BLOCKS:
            raise ConfigError("model", f"{len(blocks):,} blocks", f"must be {MOST_BLOCKS} at most")
        times.append(time.perf_counter())
        if check:
            allow_memory_for(CHECKING_BYTES)
            blocks, reasons = differing(graph, blocks)
            unsupported |= reasons
        times.append(time.perf_counter())
        seconds = {"reading": times[1] - times[0], "checking": times[3] - times[2]}
        return graph.model.SerializeToString(), graph.dims, blocks, unsupported, dims, seconds
