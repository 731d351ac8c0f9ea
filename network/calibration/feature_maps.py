# SPDX-License-Identifier: Apache-2.0
"""Captures the feature maps that reach a network's blocks on calibration images."""

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx

from ...cosim.scratch import scratch, told
from ...hdl.config import ConfigError, Tiling
from ..match.match import NetworkBlock
from ..network import Network
from ..read.model import model_errors
from ..read.sandbox import sandboxed
from ..read.shapes import input_of, numpy_type, open_session
from .images import Images

__all__ = ["MOST_AT_ONCE", "SECONDS_EACH", "SECONDS_START", "batches", "feature_maps", "with_prior", "with_priors"]

# Time limit of the sandbox: for each image, and to start.
SECONDS_EACH, SECONDS_START = 60, 120
# Images that a network takes at once.
MOST_AT_ONCE = 1024
# Bytes of all feature maps on disk.
MOST_BYTES = 32 << 30


@contextlib.contextmanager
def feature_maps(network: Network, model: onnx.ModelProto, blocks: Sequence[NetworkBlock],
                 images: Images) -> Iterator[dict]:
    """Run `model`, the network's own or the one with tiled blocks, on `images`.

    Yields the maps that reach `blocks`, which must have known sizes: float32 arrays (N, H, W, C) by block's name,
    memory-mapped from files that exist while the context lasts. Raises ConfigError: (``images.option``) if an image
    can't be read or leads to numbers that are not finite, ("model") if the network can't be run, ("limit") if the maps
    would take more than MOST_BYTES.
    """
    batch = network.dims[0]
    if batch > MOST_AT_ONCE:
        raise ConfigError("model", network.path, f"takes a batch of {batch:,}; must be {MOST_AT_ONCE:,} at most")
    needed = 4 * len(images) * sum(block.height * block.width * block.channels for block in blocks)
    if needed > MOST_BYTES:
        raise ConfigError("limit", len(images), f"must be less: feature maps of {needed >> 30} GiB would have to be "
                          f"kept, more than {MOST_BYTES >> 30}")
    with scratch() as folder:
        value = input_of(network.graph)
        taps = [(block.x, block.channels_last, os.path.join(folder, str(index))) for index, block in enumerate(blocks)]
        with model_errors(network.path):
            shapes = sandboxed(_capture, model.SerializeToString(), value.name, numpy_type(value), taps, images, batch,
                               not network.quantised, what="it can't be run on the images",
                               seconds=SECONDS_START + SECONDS_EACH * max(len(images), batch))
        yield {block.name: np.memmap(path, np.float32, "r", shape=shape)
               for block, (_, _, path), shape in zip(blocks, taps, shapes, strict=True)}


def with_priors(network: Network, blocks: Sequence[NetworkBlock], images: Images,
                tilings: Mapping[str, Tiling] | None = None) -> list[NetworkBlock]:
    """`blocks`, which must have known sizes, with the mean of their maps on `images` as the prior of ``float_block``.

    Blocks whose tiling by name counts no row of a prior stay as they are; without `tilings` there is none of these. The
    maps are those of the original network. Raises ConfigError as :func:`feature_maps`.
    """
    counted = [block for block in blocks if tilings is None or tilings[block.name].prior_rows]
    with feature_maps(network, network.model, counted, images) as maps:
        return [with_prior(block, maps[block.name]) if block in counted else block for block in blocks]


def with_prior(block: NetworkBlock, maps: np.ndarray) -> NetworkBlock:
    """`block` with the mean of `maps`, float32 (N, H, W, C), as the prior of its ``float_block``."""
    prior = maps.mean(axis=(0, 1, 2), dtype=np.float64)
    return dataclasses.replace(block, float_block=dataclasses.replace(block.float_block, prior=prior))


def batches(images: Images, batch: int, kind: np.dtype) -> Iterator[tuple[list[str], np.ndarray]]:
    """``(paths, inputs)`` of `images`, so many at a time as the network takes; `kind` is its input's type.

    The last one is repeated to fill the batch. Raises ConfigError where an image has numbers that `kind` can't hold.
    """
    remaining = iter(images)
    while group := list(itertools.islice(remaining, batch)):
        paths, inputs = zip(*group, strict=True)
        full = np.concatenate([*inputs, *inputs[-1:] * (batch - len(inputs))])
        yield list(paths), _typed(full, kind, paths, images.option)


def _capture(content, name, kind, taps, images, batch, optimise):
    """Append every map to the file of its tap; returns the shapes (N, H, W, C). A run takes `batch` inputs."""
    tensors = [tensor for tensor, _, _ in taps]
    session = open_session(content, taps=tensors, optimise=optimise)
    shapes = [None] * len(taps)
    with told(os.path.dirname(taps[0][2])), contextlib.ExitStack() as stack:
        files = [stack.enter_context(open(path, "wb")) for _, _, path in taps]
        for paths, inputs in batches(images, batch, kind):
            arrays = session.run(tensors, {name: inputs})
            for index, (array, file, (tensor, channels_last, _)) in enumerate(zip(arrays, files, taps, strict=True)):
                maps = _maps(array, tensor, channels_last, batch, paths, images.option)
                shapes[index] = maps.shape[1:]
                file.write(maps.tobytes())
    return [(len(images), *shape) for shape in shapes]


def _typed(inputs, kind, paths, option):
    """The inputs (N, ...) from `paths` in the network's type `kind`, rounded if that is an integer type."""
    if kind.kind not in "iu":
        return inputs.astype(kind)
    # float32 holds integers exactly up to 2**24; beyond that, rounding does nothing.
    low, high = np.iinfo(kind).min, np.iinfo(kind).max
    fits = ((inputs >= low) & (inputs <= high)).all(axis=tuple(range(1, inputs.ndim)))
    if not fits.all():
        raise ConfigError(option, paths[min(int(fits.argmin()), len(paths) - 1)],
                          f"has numbers that the network's input can't hold, {kind} from {low} to {high}")
    return np.rint(inputs).astype(kind)


def _maps(array, tensor, channels_last, batch, paths, option):
    """float32 (N, H, W, C): what a run returned for `tensor`, without the maps that only filled the batch."""
    if len(array) != batch:
        raise ConfigError("model", tensor, f"has {len(array)} maps for a batch of {batch}; must have one an image")
    array = array[:len(paths)]
    array = np.ascontiguousarray(array if channels_last else array.transpose(0, 2, 3, 1), np.float32)
    finite = np.isfinite(array).all(axis=(1, 2, 3))
    if not finite.all():
        raise ConfigError(option, paths[int(finite.argmin())], f"leads to a tensor that isn't finite: {tensor}")
    return array
