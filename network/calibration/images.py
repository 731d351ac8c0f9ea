# SPDX-License-Identifier: Apache-2.0
"""Calibration data: a folder of images or arrays as inputs of a network."""

import dataclasses
import os
from collections.abc import Iterator, Sequence

import numpy as np

from ...gen import npz
from ...hdl.config import ConfigError
from ...hdl.errors import reason
from ..commands.options import ImageOptions
from ..network import Network
from ..read.shapes import input_of, numpy_type

__all__ = ["Images", "find_images", "image_files", "images_of", "picture_of", "spread"]

PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
ARRAYS = (".npy", ".npz")
FOLDER_HOLDS = "must be a folder with .png, .jpg or .bmp images, or .npy or .npz arrays (C, H, W) or (N, C, H, W)"
# Pixels of an image before it is resized.
MOST_PIXELS = 1 << 28
# The default normalisation: ImageNet's for networks that take floats; for those that take integers, pixels as they are.
NORMALISED = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
UNCHANGED = {"mean": (0.0,), "std": (1 / 255,)}


@dataclasses.dataclass(frozen=True)
class Images:
    """Inputs of a network in files. Its length is the number of inputs.

    ``picked`` has each file with the indices of its inputs that are used: an array may hold many, an image is one.
    ``dims`` is the shape of one input: (1, C, H, W) or (1, H, W, C). Each channel of an image from 0 to 1 becomes
    ``(image - mean) / std``; arrays are not normalised. With ``bgr`` channels are blue, green, red. ``option`` is what
    a ConfigError about a file names.
    """

    picked: tuple
    dims: tuple
    mean: tuple
    std: tuple
    bgr: bool
    option: str = "calibration"

    def __len__(self):
        return sum(len(indices) for _, indices in self.picked)

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        """``(path, input)``, a float32 array of the shape `dims`; ConfigError for a damaged file."""
        for path, indices in self.picked:
            if not _is_array(path):
                yield path, self._picture(path)
                continue
            array = _array(path, self.dims, self.option)
            for index in indices:
                one = npz.floats(self.option, path, "the array", np.asarray(array[index]))
                yield path, np.ascontiguousarray(one[None], np.float32)

    def _picture(self, path):
        from PIL import Image, UnidentifiedImageError

        channels, height, width, channels_last = picture_of(self.dims)
        try:
            with Image.open(path) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise ConfigError(self.option, path, f"has {image.width} x {image.height} pixels; must have "
                                      f"{MOST_PIXELS:,} at most")
                image = image.convert("L" if channels == 1 else "RGB")
                image = image.resize((width, height), Image.Resampling.BILINEAR)
                pixels = np.asarray(image, np.float32).reshape(height, width, channels) / 255
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(self.option, path, "can't be read as an image") from None
        if self.bgr:
            pixels = pixels[:, :, ::-1]
        pixels = (pixels - np.float32(self.mean)) / np.float32(self.std)
        pixels = pixels if channels_last else pixels.transpose(2, 0, 1)
        return np.ascontiguousarray(pixels[None], np.float32)


def picture_of(dims: Sequence[int]) -> tuple[int, int, int, bool]:
    """``(channels, height, width, channels_last)`` of an input of four dimensions."""
    _, *sizes = dims
    channels_last = sizes[2] in (1, 3) and sizes[0] not in (1, 3)
    return (sizes[2], *sizes[:2], True) if channels_last else (*sizes, False)


def _is_array(path):
    return path.lower().endswith(ARRAYS)


def _array(path, dims, option):
    """The array in a .npy file, memory-mapped, or the first one in an .npz file: inputs of shape `dims`."""
    if path.lower().endswith(".npz"):
        arrays = npz.read(option, path, npz.members(option, path)[:1])
        if not arrays:
            raise ConfigError(option, path, "holds no array")
        (array,) = arrays.values()
    else:
        try:
            array = np.load(path, allow_pickle=False, mmap_mode="r")
        except (OSError, ValueError, EOFError):
            raise ConfigError(option, path, "can't be read as an array") from None
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4 or array.shape[1:] != tuple(dims[1:]) or not len(array):
        raise ConfigError(option, path, f"has the shape {list(array.shape)}; must be {list(dims)[1:]}")
    return array


def find_images(options: ImageOptions, network: Network) -> Images:
    """The :class:`Images` in the folder ``options.calibration`` for `network`, at most ``options.limit``.

    Raises ConfigError: ("calibration") for none, ("model") if the network's input is no image, ("mean"), ("std").
    """
    return images_of(options, network, image_files(options.calibration), options.limit)


def images_of(options: ImageOptions, network: Network, files: Sequence[str], limit: int | None = None,
              option: str = "calibration") -> Images:
    """The :class:`Images` in `files` for `network`: at most `limit`, spread over them, or all.

    Raises ConfigError as :func:`find_images`, with `option` in the place of "calibration".
    """
    if network.dims is None:
        raise ConfigError("model", network.path, "has an input that is no image of four dimensions")
    # One input is one image, whatever batch the network takes.
    dims = (1, *network.dims[1:])
    channels, *_ = picture_of(dims)
    default = UNCHANGED if numpy_type(input_of(network.graph)).kind in "iu" else NORMALISED
    normalisation = {name: getattr(options, name) or default[name] for name in default}
    for name, numbers in normalisation.items():
        if len(numbers) not in (1, 3):
            raise ConfigError(name, ",".join(f"{n:g}" for n in numbers), "must be 1 or 3 numbers with commas between")
        if channels == 1:
            # One number for a grey network from those of three channels.
            normalisation[name] = (sum(numbers) / len(numbers),)
    files = files if limit is None else spread(files, limit)
    if channels not in (1, 3) and not all(map(_is_array, files)):
        raise ConfigError(option, getattr(options, option),
                          f"must hold arrays, as the network's input has {channels} channels")
    return Images(_picked(files, dims, limit, option), dims, bgr=options.bgr, option=option, **normalisation)


def image_files(folder: str | None, option: str = "calibration") -> list[str]:
    """Paths of the images and arrays in `folder`, sorted by name; ConfigError (`option`) if there are none."""
    if not folder:
        raise ConfigError(option, "", f"is needed; {FOLDER_HOLDS}")
    if not os.path.isdir(folder):
        raise ConfigError(option, folder, f"is no folder; {FOLDER_HOLDS}")
    try:
        paths = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
    except OSError as error:
        raise ConfigError(option, folder, f"can't be read: {reason(error)}") from None
    files = [path for path in paths if path.lower().endswith(PICTURES + ARRAYS) and os.path.isfile(path)]
    if not files:
        raise ConfigError(option, folder, f"has no images; {FOLDER_HOLDS}")
    return files


def _picked(files, dims, limit, option):
    """``(file, indices of its inputs)``: at most `limit` inputs, spread over all those in `files`, or all."""
    counts = [len(_array(path, dims, option)) if _is_array(path) else 1 for path in files]
    everything = range(sum(counts))
    selected, start, picked = np.array(everything if limit is None else spread(everything, limit)), 0, []
    for path, count in zip(files, counts, strict=True):
        indices = selected[(selected >= start) & (selected < start + count)] - start
        picked.append((path, tuple(indices.tolist())))
        start += count
    return tuple((path, indices) for path, indices in picked if indices)


def spread(items: Sequence, limit: int) -> list:
    """At most `limit` of the sequence `items`, evenly spaced from first to last, as neighbours are often alike."""
    return [items[i] for i in np.unique(np.linspace(0, len(items) - 1, min(limit, len(items))).astype(int))]
