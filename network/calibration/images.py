# SPDX-License-Identifier: Apache-2.0
"""Calibration data: a folder of images or arrays, as inputs of a network."""

import dataclasses
import os

import numpy as np

from ...gen import npz
from ...hdl.config import ConfigError
from ..read.shapes import input_of
from .session import numpy_type

__all__ = ["Images", "find_images", "picture_of"]

PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
ARRAYS = (".npy", ".npz")
FOLDER_HOLDS = "must be a folder with .png, .jpg or .bmp images, or .npy or .npz arrays (C, H, W) or (N, C, H, W)"
# Pixels of an image before it is made smaller.
MOST_PIXELS = 1 << 28
# What images are normalised by where nobody says: as for ImageNet's networks; not at all for those that take integers.
NORMALISED = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
AS_THEY_ARE = {"mean": (0.0,), "std": (1 / 255,)}


@dataclasses.dataclass(frozen=True)
class Images:
    """Inputs of a network in files; its length is their number.

    Attributes
    ----------
    picked : tuple of (str, tuple of int)
        Files, and which of the inputs in each are used: an array may hold many, an image is one.
    dims : tuple of int
        Of one input: (1, C, H, W) or (1, H, W, C).
    mean, std : tuple of float
        Of each channel of an image from 0 to 1: ``(image - mean) / std``. Arrays are taken as they are.
    bgr : bool
        Whether channels are blue, green, red.
    """

    picked: tuple
    dims: tuple
    mean: tuple
    std: tuple
    bgr: bool

    def __len__(self):
        return sum(len(numbers) for _, numbers in self.picked)

    def __iter__(self):
        """``(path, input)``, a float32 array of the shape `dims`; ConfigError ("calibration") for a damaged file."""
        for path, numbers in self.picked:
            if not path.lower().endswith(ARRAYS):
                yield path, self._picture(path)
                continue
            array = _array(path, self.dims)
            for number in numbers:
                one = npz.floats("calibration", path, "the array", np.asarray(array[number]))
                yield path, np.ascontiguousarray(one[None], np.float32)

    def _picture(self, path):
        from PIL import Image, UnidentifiedImageError

        channels, height, width, last = picture_of(self.dims)
        try:
            with Image.open(path) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise ConfigError("calibration", path, f"has {image.width} x {image.height} pixels; must have "
                                      f"{MOST_PIXELS:,} at most")
                image = image.convert("L" if channels == 1 else "RGB")
                image = image.resize((width, height), Image.Resampling.BILINEAR)
                pixels = np.asarray(image, np.float32).reshape(height, width, channels) / 255
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError("calibration", path, "can't be read as an image") from None
        if self.bgr:
            pixels = pixels[:, :, ::-1]
        pixels = (pixels - np.float32(self.mean)) / np.float32(self.std)
        pixels = pixels if last else pixels.transpose(2, 0, 1)
        return np.ascontiguousarray(pixels[None], np.float32)


def picture_of(dims):
    """``(channels, height, width, channels_last)`` of an input of four dimensions, which are those of a picture."""
    _, *sizes = dims
    last = sizes[2] in (1, 3) and sizes[0] not in (1, 3)
    return (sizes[2], *sizes[:2], True) if last else (*sizes, False)


def _array(path, dims):
    """The array in a .npy file, not read as yet, or the first one in an .npz: inputs of `dims`, one after the other."""
    if path.lower().endswith(".npz"):
        found = npz.read("calibration", path, npz.members("calibration", path)[:1])
        if not found:
            raise ConfigError("calibration", path, "holds no array")
        (array,) = found.values()
    else:
        try:
            array = np.load(path, allow_pickle=False, mmap_mode="r")
        except (OSError, ValueError, EOFError):
            raise ConfigError("calibration", path, "can't be read as an array") from None
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4 or array.shape[1:] != tuple(dims[1:]) or not len(array):
        raise ConfigError("calibration", path, f"has the shape {list(array.shape)}; must be {list(dims)[1:]}")
    return array


def find_images(options, network):
    """The :class:`Images` in folder ``options.calibration`` for `network`, ``options.limit`` of them at most.

    Raises
    ------
    ConfigError
        ("calibration") where there are none, or the network's input is none that images can be; ("mean", "std").
    """
    if network.dims is None:
        raise ConfigError("model", network.path, "has an input that is no image of four dimensions")
    # Inputs are one by one here, whatever batch the network takes.
    dims = (1, *network.dims[1:])
    channels, *_ = picture_of(dims)
    default = AS_THEY_ARE if numpy_type(input_of(network.graph)).kind in "iu" else NORMALISED
    normal = {name: getattr(options, name) or default[name] for name in default}
    for name, numbers in normal.items():
        if len(numbers) not in (1, 3):
            raise ConfigError(name, ",".join(f"{n:g}" for n in numbers), "must be 1 or 3 numbers with commas between")
    files = _spread(_files(options.calibration), options.limit)
    if channels not in (1, 3) and any(not path.lower().endswith(ARRAYS) for path in files):
        raise ConfigError("calibration", options.calibration,
                          f"must hold arrays, as the network's input has {channels} channels")
    normal = {name: _of_channels(numbers, channels) for name, numbers in normal.items()}
    return Images(_picked(files, dims, options.limit), dims, bgr=options.bgr, **normal)


def _files(folder):
    """Images and arrays in `folder`, in the order of their names."""
    if not folder:
        raise ConfigError("calibration", "", f"is needed; {FOLDER_HOLDS}")
    if not os.path.isdir(folder):
        raise ConfigError("calibration", folder, f"is no folder; {FOLDER_HOLDS}")
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise ConfigError("calibration", folder, f"can't be read: {error.strerror}") from None
    files = [os.path.join(folder, name) for name in names if name.lower().endswith(PICTURES + ARRAYS)]
    files = [path for path in files if os.path.isfile(path)]
    if not files:
        raise ConfigError("calibration", folder, f"has no images; {FOLDER_HOLDS}")
    return files


def _picked(files, dims, limit):
    """Of the inputs in all `files` so many: (file, their numbers in it)."""
    counts = [len(_array(path, dims)) if path.lower().endswith(ARRAYS) else 1 for path in files]
    chosen, start, picked = np.array(_spread(range(sum(counts)), limit)), 0, []
    for path, count in zip(files, counts, strict=True):
        numbers = chosen[(chosen >= start) & (chosen < start + count)] - start
        picked.append((path, tuple(numbers.tolist())))
        start += count
    return tuple((path, numbers) for path, numbers in picked if numbers)


def _spread(items, limit):
    """`limit` of the sequence `items` at most, from its beginning to its end."""
    # Neighbours are often alike.
    return [items[i] for i in np.unique(np.linspace(0, len(items) - 1, min(limit, len(items))).astype(int))]


def _of_channels(numbers, channels):
    """One number for each channel of a gray network from those of three: their mean."""
    return (sum(numbers) / len(numbers),) if channels == 1 else numbers
