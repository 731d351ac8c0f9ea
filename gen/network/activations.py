# SPDX-License-Identifier: Apache-2.0
"""The feature maps that reach a network's blocks, for calibration data."""

import contextlib
import itertools
import os
import tempfile

import numpy as np
import onnx

from ...hdl.config import ConfigError
from .guard import guarded
from .shapes import input_of

__all__ = ["feature_maps"]

# What the process has for one image, and to begin with.
SECONDS_EACH, SECONDS_START = 60, 120
# Bytes of all feature maps.
MOST_BYTES = 32 << 30


@contextlib.contextmanager
def feature_maps(network, model, sized, images, most):
    """Run `model` on `images`; the feature maps, on disk while the context lasts.

    Parameters
    ----------
    network : Network
    model : onnx.ModelProto
        `network`'s, or that with tiled blocks.
    sized : list of Sized
        Blocks with known sizes.
    images : Images
    most : int
        How many inputs are used.

    Yields
    ------
    dict of str to float32 array (N, H, W, C)
        By block's name, memory-mapped.

    Raises
    ------
    ConfigError
        ("calibration") where an image can't be read, ("model") where the network can't be run.
    """
    needs = 4 * min(most, len(images.files)) * sum(item.height * item.width * item.channels for item in sized)
    if needs > MOST_BYTES:
        raise ConfigError("limit", most, f"must be less: feature maps of {needs >> 30} GiB would have to be kept, "
                          f"more than {MOST_BYTES >> 30}")
    with tempfile.TemporaryDirectory(prefix="tiled-se-") as folder:
        value = input_of(network.graph)
        wanted = [(item.block.x, item.block.channels_last, os.path.join(folder, str(index)))
                  for index, item in enumerate(sized)]
        shapes = guarded(_capture, model.SerializeToString(), value.name, value.type.tensor_type.elem_type, wanted,
                         images, most, what="it can't be run on the images",
                         seconds=SECONDS_START + SECONDS_EACH * most)
        yield {item.name: np.memmap(path, np.float32, "r", shape=shape)
               for item, (_, _, path), shape in zip(sized, wanted, shapes, strict=True)}


def _capture(content, name, kind, wanted, images, most):
    """Append every map to its file; their shapes (N, H, W, C)."""
    from .session import open_session

    tensors = [tensor for tensor, _, _ in wanted]
    session = open_session(content, taps=tensors)
    kind = onnx.helper.tensor_dtype_to_np_dtype(kind)
    shapes, count = [None] * len(wanted), 0
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(open(path, "wb")) for _, _, path in wanted]
        for image in itertools.islice(images, most):
            found = session.run(tensors, {name: image.astype(kind)})
            for index, (array, file, (_, last, _)) in enumerate(zip(found, files, wanted, strict=True)):
                array = np.ascontiguousarray(array if last else array.transpose(0, 2, 3, 1), np.float32)
                if not np.isfinite(array).all():
                    raise ConfigError("calibration", images.files[0], f"leads to a tensor that isn't finite: "
                                      f"{tensors[index]}")
                shapes[index] = array.shape[1:]
                file.write(array.tobytes())
            count += 1
    return [(count, *shape) for shape in shapes]
