# SPDX-License-Identifier: Apache-2.0
"""Small images with textures that a network learns in seconds, as files for `tiled-se study`."""

import gzip
import pathlib

import numpy as np
from PIL import Image

__all__ = ["CLASSES", "textures", "write_folders", "write_idx"]

CLASSES = 4


def textures(count, seed, size=12):
    """Images uint8 (count, size, size) of grey stripes one way, the other way, a board and a plain, and their classes.

    The classes are in turn, so that all have as many images.
    """
    rng = np.random.default_rng(seed)
    row, column = np.indices((size, size))
    patterns = np.stack([row % 2, column % 2, (row + column) % 2, np.full((size, size), 0.5)])
    labels = np.arange(count) % CLASSES
    images = 80 + 100 * patterns[labels] + rng.normal(0, 20, (count, size, size))
    return images.clip(0, 255).astype(np.uint8), labels.astype(np.uint8)


def idx(array):
    """The contents of an .idx file of a uint8 array."""
    return bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def write_idx(folder, train=640, test=200, size=12, shuffled=False, zipped=False):
    """Write the four files of MNIST and return `folder`; labels are `shuffled` so that nothing can be learnt."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, count) in enumerate({"train": train, "t10k": test}.items()):
        images, labels = textures(count, seed, size)
        if shuffled:
            labels = np.random.default_rng(seed).permutation(labels)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            path = folder / f"{name}-{kind}-ubyte"
            if zipped:
                path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(idx(array)))
            else:
                path.write_bytes(idx(array))
    return folder


def write_folders(folder, count=240, size=12, mode="L"):
    """Write images as .png in a folder for each class, and return `folder`."""
    folder = pathlib.Path(folder)
    for number, (image, label) in enumerate(zip(*textures(count, 0, size), strict=True)):
        place = folder / f"class{label}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).convert(mode).save(place / f"{number:04}.png")
    return folder
