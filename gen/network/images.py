# SPDX-License-Identifier: Apache-2.0
"""Calibration data: a folder of images or arrays, as inputs of a network."""

import dataclasses
import os

import numpy as np

from ...hdl.config import ConfigError
from .. import npz

__all__ = ["Images", "find_images"]

PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
ARRAYS = (".npy", ".npz")
FOLDER_HOLDS = "must be a folder with .png, .jpg or .bmp images, or .npy or .npz arrays (C, H, W) or (N, C, H, W)"
# Pixels of an image before it is made smaller.
MOST_PIXELS = 1 << 28


@dataclasses.dataclass(frozen=True)
class Images:
    """Files, and how they become inputs.

    Attributes
    ----------
    files : tuple of str
    dims : tuple of int
        Of one input: (1, C, H, W), or (1, H, W, C) where `channels_last`.
    channels_last, bgr : bool
    mean, std : tuple of float
        Of each channel of an image from 0 to 1: ``(image - mean) / std``. Arrays are taken as they are.
    """

    files: tuple
    dims: tuple
    channels_last: bool
    mean: tuple
    std: tuple
    bgr: bool

    def __iter__(self):
        """float32 arrays of the shape `dims`, one after the other; ConfigError ("calibration") for a damaged file."""
        for path in self.files:
            if path.lower().endswith(ARRAYS):
                yield from self._arrays(path)
            else:
                yield self._picture(path)

    def _picture(self, path):
        from PIL import Image, UnidentifiedImageError

        channels, height, width = self._sizes()
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
        pixels = pixels if self.channels_last else pixels.transpose(2, 0, 1)
        return np.ascontiguousarray(pixels[None], np.float32)

    def _sizes(self):
        """Channels, height, width."""
        _, *rest = self.dims
        return (rest[2], *rest[:2]) if self.channels_last else tuple(rest)

    def _arrays(self, path):
        array = _array(path)
        if array.ndim == 3:
            array = array[None]
        if array.ndim != 4 or array.shape[1:] != tuple(self.dims[1:]) or not len(array):
            raise ConfigError("calibration", path, f"has the shape {list(array.shape)}; must be {list(self.dims)[1:]}")
        for one in array:
            yield np.ascontiguousarray(one[None], np.float32)


def _array(path):
    """The array in a .npy file, or the first one in an .npz."""
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
    return npz.floats("calibration", path, "the array", np.asarray(array))


def find_images(options, network):
    """The :class:`Images` in folder ``options.calibration`` for `network`, ``options.limit`` of them at most.

    Raises
    ------
    ConfigError
        ("calibration") where there are none, or the network's input is none that images can be; ("mean", "std").
    """
    folder = options.calibration
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
    # Neighbours are often alike.
    chosen = np.unique(np.linspace(0, len(files) - 1, min(options.limit, len(files))).astype(int))
    dims = network.dims
    last = dims[3] in (1, 3) and dims[1] not in (1, 3)
    channels = dims[3] if last else dims[1]
    for name in ("mean", "std"):
        numbers = getattr(options, name)
        if len(numbers) not in (1, 3):
            raise ConfigError(name, ",".join(f"{n:g}" for n in numbers), "must be 1 or 3 numbers with commas between")
    if channels not in (1, 3) and any(not files[i].lower().endswith(ARRAYS) for i in chosen):
        raise ConfigError("calibration", folder, f"must hold arrays, as the network's input has {channels} channels")
    mean, std = (_of_channels(getattr(options, name), channels) for name in ("mean", "std"))
    return Images(tuple(files[i] for i in chosen), tuple(dims), last, mean, std, options.bgr)


def _of_channels(numbers, channels):
    """One number for each channel of a gray network from those of three: their mean."""
    return (sum(numbers) / len(numbers),) if channels == 1 else numbers
