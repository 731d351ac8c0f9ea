# SPDX-License-Identifier: Apache-2.0
"""The images that networks are trained and tested on: files as those of MNIST, or a folder for each class."""

import dataclasses
import functools
import gzip
import hashlib
import os
import zlib

import numpy as np

from ...gen.files import check_exists
from ...hdl.config import ConfigError
from ...hdl.errors import reason
from ...network.calibration.images import ARRAYS, MOST_PIXELS, image_files

__all__ = ["DEFAULT", "Dataset", "read_dataset"]

# Where Debian's package dataset-fashion-mnist has them.
DEFAULT = "/usr/share/datasets/fashion-mnist"
HOLDS = ("must be a folder with the four files of MNIST (train-images-idx3-ubyte and the others, perhaps with .gz), "
         "with a folder of images for each class, or with train/ and test/ of such folders")
# The files of training and test, without ".gz".
FILES = {"train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
         "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")}
# The last byte of an .idx file's first word is the number of its axes; the one before it stands for uint8.
UINT8 = 8
MOST_BYTES = 1 << 30
# Without a folder of its own, one image in so many is for the test.
TEST_SHARE = 6
LEAST_IMAGES = {"train": 128, "test": 32}
LEAST_ROWS, MOST_ROWS = 8, 256
# Of the images that are taken where there are more.
SEED = 1


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images, uint8 (N, C, H, W), and the numbers of their classes, int64 (N); ``classes`` are these classes' names."""

    source: str
    classes: tuple[str, ...]
    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of an image."""
        return self.train.shape[1:]

    @functools.cached_property
    def digest(self) -> str:
        """A hash of all images and labels."""
        content = hashlib.sha256(repr(self.classes).encode())
        for array in (self.train, self.train_labels, self.test, self.test_labels):
            content.update(repr(array.shape).encode() + array.tobytes())
        return content.hexdigest()[:32]

    @property
    def description(self) -> dict:
        """``dataset`` of study.json."""
        return {"name": os.path.basename(os.path.abspath(self.source)), "classes": len(self.classes),
                "train_images": len(self.train), "test_images": len(self.test), "shape": list(self.shape),
                "largest_class": float(self.largest.mean()), "digest": self.digest}

    @property
    def largest(self) -> np.ndarray:
        """Which test images are of the class that has the most of them, bool (N)."""
        return self.test_labels == np.bincount(self.test_labels).argmax()


def read_dataset(folder: str | None, train: int, test: int) -> Dataset:
    """At most `train` and `test` images from `folder`, or from DEFAULT; where there are more, always the same ones.

    Raises ConfigError ("data"), also for images of several sizes, for fewer than two classes and for too few images.
    """
    if folder is None and not os.path.isdir(DEFAULT):
        raise ConfigError("data", "", f"is needed, as there is no {DEFAULT}, which Debian's package "
                                      f"dataset-fashion-mnist brings; {HOLDS}")
    folder = folder or DEFAULT
    if not os.path.isdir(folder):
        raise ConfigError("data", folder, f"is no folder; {HOLDS}")
    try:
        names = set(os.listdir(folder))
        limits = {"train": train, "test": test}
        read = _from_idx if any(name.removesuffix(".gz") in FILES["train"] for name in names) else _from_folders
        dataset = read(folder, limits)
    except OSError as error:
        raise ConfigError("data", folder, f"can't be read: {reason(error)}") from None
    _check(dataset, folder)
    return dataset


def _check(dataset, folder):
    for part, images in (("train", dataset.train), ("test", dataset.test)):
        if len(images) < LEAST_IMAGES[part]:
            raise ConfigError("data", folder, f"has {len(images)} images for {part}; must have {LEAST_IMAGES[part]} at "
                                              "least")
    if dataset.test.shape[1:] != dataset.shape:
        raise ConfigError("data", folder, f"has images of {_size(dataset.shape)} for train and of "
                                          f"{_size(dataset.test.shape[1:])} for test; must have one size")
    if not all(LEAST_ROWS <= side <= MOST_ROWS for side in dataset.shape[1:]):
        raise ConfigError("data", folder, f"has images of {_size(dataset.shape)}; must be from {LEAST_ROWS} x "
                                          f"{LEAST_ROWS} to {MOST_ROWS} x {MOST_ROWS}")
    for part, labels in (("train", dataset.train_labels), ("test", dataset.test_labels)):
        if len(np.unique(labels)) < 2:
            raise ConfigError("data", folder, f"has images of one class only for {part}; must have two classes at "
                                              "least")
    if dataset.test_labels.max() >= len(dataset.classes):
        raise ConfigError("data", folder, f"has the class {dataset.test_labels.max()} for test, which train lacks")


def _size(shape):
    return f"{shape[1]} x {shape[2]}"


def _chosen(count, most):
    """The indices of at most `most` of `count` images, ascending."""
    return np.sort(np.random.default_rng(SEED).permutation(count)[:most])


def _from_idx(folder, limits):
    parts = []
    for part, names in FILES.items():
        paths = [path if os.path.exists(path) else f"{path}.gz" for path in
                 (os.path.join(folder, name) for name in names)]
        images, labels = _idx(paths[0], 3), _idx(paths[1], 1)
        if len(images) != len(labels):
            raise ConfigError("data", paths[1], f"has {len(labels)} labels; must have {len(images)}, as many as there "
                                                "are images")
        chosen = _chosen(len(images), limits[part])
        parts += [images[chosen][:, None], labels[chosen].astype(np.int64)]
    # Also without training images; there is a message for that.
    classes = int(parts[1].max(initial=0)) + 1
    return Dataset(folder, tuple(map(str, range(classes))), *parts)


def _idx(path, axes):
    """The array in an .idx file of uint8 with `axes` axes."""
    check_exists("data", path, "one of the four files of MNIST")
    try:
        with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
            header = file.read(4 + 4 * axes)
            if header[:4] != bytes((0, 0, UINT8, axes)):
                raise ConfigError("data", path, f"begins with {header[:4].hex() or 'nothing'}; must be an .idx file "
                                                f"with {bytes((0, 0, UINT8, axes)).hex()} first")
            if len(header) < 4 + 4 * axes:
                raise ConfigError("data", path, f"has {len(header)} bytes; must have a header of {4 + 4 * axes}")
            shape = tuple(map(int, np.frombuffer(header, ">u4")[1:]))
            size = functools.reduce(lambda product, side: product * side, shape)
            if size > MOST_BYTES:
                raise ConfigError("data", path, f"says that it holds {size:,} bytes; must hold {MOST_BYTES:,} at most")
            content = file.read(size + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise ConfigError("data", path, "is cut or damaged; must be a whole .gz file") from None
    if len(content) != size:
        more = "more than" if len(content) > size else "only"
        raise ConfigError("data", path, f"has {more} {min(len(content), size):,} bytes of data; must have {size:,}, as "
                                        f"its header says")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _from_folders(folder, limits):
    places = [os.path.join(folder, part) for part in limits]
    apart = all(map(os.path.isdir, places))
    classes = _classes(places[0] if apart else folder)
    files = {"train": [], "test": []}
    for number, name in enumerate(classes):
        if apart:
            for part, place in zip(limits, places, strict=True):
                files[part] += [(path, number) for path in _pictures(os.path.join(place, name))]
        else:
            found = _pictures(os.path.join(folder, name))
            files["test"] += [(path, number) for path in found[TEST_SHARE - 1::TEST_SHARE]]
            files["train"] += [(path, number) for index, path in enumerate(found, 1) if index % TEST_SHARE]
    if apart and (other := sorted({*_classes(places[1])} - {*classes})):
        raise ConfigError("data", places[1], f"has the class {other[0]}, which train lacks")
    chosen = {part: [files[part][index] for index in _chosen(len(files[part]), limits[part])] for part in limits}
    grey = all(_mode(path) in ("1", "L", "I;16", "LA") for part in chosen.values() for path, _ in part)
    parts = []
    for part in chosen.values():
        parts += [_stack([path for path, _ in part], grey), np.array([number for _, number in part], np.int64)]
    return Dataset(folder, tuple(classes), *parts)


def _classes(folder):
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise ConfigError("data", folder, f"holds no folders; {HOLDS}")
    return names


def _pictures(folder):
    files = image_files(folder, "data")
    for path in files:
        if path.lower().endswith(ARRAYS):
            raise ConfigError("data", path, "is an array; must be an image")
    return files


def _opened(path):
    from PIL import Image

    image = Image.open(path)
    if image.width * image.height > MOST_PIXELS:
        raise ConfigError("data", path, f"has {image.width} x {image.height} pixels; must have {MOST_PIXELS:,} at most")
    return image


def _read(path, what):
    """What the function `what` returns of the image in `path`."""
    from PIL import Image, UnidentifiedImageError

    try:
        with _opened(path) as image:
            return what(image)
    except ConfigError:
        raise
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise ConfigError("data", path, "can't be read as an image") from None


def _mode(path):
    return _read(path, lambda image: image.mode)


def _stack(paths, grey):
    """The images in files of one size, uint8 (N, 1 or 3, H, W)."""
    arrays = []
    for path in paths:
        array = _read(path, lambda image: np.asarray(image.convert("L" if grey else "RGB"), np.uint8))
        if arrays and array.shape != arrays[0].shape:
            (height, width), (rows, columns) = array.shape[:2], arrays[0].shape[:2]
            raise ConfigError("data", path, f"has {height} x {width} pixels, and {paths[0]} has {rows} x {columns}; "
                                            "images must have one size")
        arrays.append(array)
    if not arrays:
        return np.zeros((0, 1, 0, 0), np.uint8)
    stacked = np.stack(arrays)
    return stacked[:, None] if grey else np.ascontiguousarray(stacked.transpose(0, 3, 1, 2))
