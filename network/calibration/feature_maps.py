# SPDX-License-Identifier: Apache-2.0
"""The feature maps that reach a network's blocks, for calibration data."""

import contextlib
import itertools
import os
import tempfile

import numpy as np

from ...hdl.config import ConfigError
from ..network import naming
from ..read.sandbox import guarded
from ..read.shapes import input_of
from .session import numpy_type, open_session

__all__ = ["feature_maps"]

# What the process has for one image, and to begin with.
SECONDS_EACH, SECONDS_START = 60, 120
# Images that a network takes at once.
MOST_AT_ONCE = 1024
# Bytes of all feature maps.
MOST_BYTES = 32 << 30


@contextlib.contextmanager
def feature_maps(network, model, sized, images):
    """Run `model` on `images`; the feature maps, on disk while the context lasts.

    Parameters
    ----------
    network : Network
    model : onnx.ModelProto
        `network`'s, or that with tiled blocks.
    sized : list of Sized
        Blocks with known sizes.
    images : Images

    Yields
    ------
    dict of str to float32 array (N, H, W, C)
        By block's name, memory-mapped.

    Raises
    ------
    ConfigError
        ("calibration") where an image can't be read or leads to numbers that aren't finite, ("model") where the network
        can't be run, ("limit") where that would take too much room.
    """
    batch = network.dims[0]
    if batch > MOST_AT_ONCE:
        raise ConfigError("model", network.path, f"takes a batch of {batch:,}; must be {MOST_AT_ONCE:,} at most")
    needs = 4 * len(images) * sum(item.height * item.width * item.channels for item in sized)
    if needs > MOST_BYTES:
        raise ConfigError("limit", len(images), f"must be less: feature maps of {needs >> 30} GiB would have to be "
                          f"kept, more than {MOST_BYTES >> 30}")
    with tempfile.TemporaryDirectory(prefix="tiled-se-") as folder:
        value = input_of(network.graph)
        wanted = [(item.block.x, item.block.channels_last, os.path.join(folder, str(index)))
                  for index, item in enumerate(sized)]
        with naming(network.path):
            shapes = guarded(_capture, model.SerializeToString(), value.name, numpy_type(value), wanted, images,
                             batch, what="it can't be run on the images",
                             seconds=SECONDS_START + SECONDS_EACH * max(len(images), batch))
        yield {item.name: np.memmap(path, np.float32, "r", shape=shape)
               for item, (_, _, path), shape in zip(sized, wanted, shapes, strict=True)}


def _capture(content, name, kind, wanted, images, batch):
    """Append every map to its file; their shapes (N, H, W, C). The network takes `batch` inputs at once."""
    tensors = [tensor for tensor, _, _ in wanted]
    session = open_session(content, taps=tensors)
    shapes, named = [None] * len(wanted), iter(images)
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(open(path, "wb")) for _, _, path in wanted]
        while group := list(itertools.islice(named, batch)):
            paths, inputs = zip(*group, strict=True)
            # The last one over again, until the batch is full.
            full = np.concatenate([*inputs, *inputs[-1:] * (batch - len(inputs))])
            found = session.run(tensors, {name: _typed(full, kind, paths)})
            for index, (array, file, (tensor, last, _)) in enumerate(zip(found, files, wanted, strict=True)):
                array = _maps(array, tensor, last, batch, paths)
                shapes[index] = array.shape[1:]
                file.write(array.tobytes())
    return [(len(images), *shape) for shape in shapes]


def _typed(inputs, kind, paths):
    """The inputs (N, ...) from `paths` in the network's type `kind`, integers rounded."""
    if kind.kind not in "iu":
        return inputs.astype(kind)
    # Beyond 2**24, float32 has no single integers any more: its own steps decide.
    low, high = np.iinfo(kind).min, np.iinfo(kind).max
    fits = ((inputs >= low) & (inputs <= high)).all(axis=tuple(range(1, inputs.ndim)))
    if not fits.all():
        raise ConfigError("calibration", paths[min(int(fits.argmin()), len(paths) - 1)],
                          f"has numbers that the network's input can't hold, {kind} from {low} to {high}")
    return np.rint(inputs).astype(kind)


def _maps(array, tensor, last, batch, paths):
    """float32 (N, H, W, C) of the `array` that a run gave for `tensor`: the maps of the images in `paths`."""
    if len(array) != batch:
        raise ConfigError("model", tensor, f"has {len(array)} maps for a batch of {batch}; must have one an image")
    array = array[:len(paths)]
    array = np.ascontiguousarray(array if last else array.transpose(0, 2, 3, 1), np.float32)
    finite = np.isfinite(array).all(axis=(1, 2, 3))
    if not finite.all():
        raise ConfigError("calibration", paths[int(finite.argmin())], f"leads to a tensor that isn't finite: {tensor}")
    return array
