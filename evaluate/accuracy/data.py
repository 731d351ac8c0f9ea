# SPDX-License-Identifier: Apache-2.0
"""The user's data: images with labels, from folders of classes or from a file."""

import dataclasses
import functools
import os
import re
from collections.abc import Iterable, Iterator, Sequence

from ...gen.files import decoded, read_bytes
from ...hdl.config import ConfigError
from ...network.calibration.images import ARRAYS, PICTURES, Images, image_files, images_of, spread
from ...network.network import Network
from ..options import EvaluateOptions

__all__ = ["Data", "Sample", "read_data"]

HOLDS = "must be a folder with images or arrays, or with a folder of them for each class"
# Bytes of a file of labels or of classes.
MOST_BYTES = 1 << 30
LABELS_HOLD = "must have a line NAME,LABEL for each image (a tab or spaces instead of the comma will do)"
CLASSES_HOLD = "must have the name of a class in each line, in the order of the network's outputs"


@dataclasses.dataclass(frozen=True)
class Sample:
    """One input: what it is called, its label as text, and the number of its class; None where there is none."""

    name: str
    label: str | None = None
    number: int | None = None


@dataclasses.dataclass(frozen=True)
class Data:
    """Inputs of a network and, in the same order, what is known of them.

    ``folders`` is the number of classes if they are numbered as their folders' names follow each other, else None.
    ``source`` is the option that the labels come from, and its value.
    """

    images: Images
    samples: tuple[Sample, ...]
    folders: int | None
    source: tuple[str, str]

    @functools.cached_property
    def _inputs(self):
        """Path, and index in that file, of each."""
        return [(path, index) for path, own in self.images.picked for index in own]

    def picked(self, indices: Sequence[int]) -> "Data":
        """Those with these `indices`, which ascend."""
        chosen: dict[str, list[int]] = {}
        for path, index in (self._inputs[one] for one in indices):
            chosen.setdefault(path, []).append(index)
        images = dataclasses.replace(self.images, picked=tuple((path, tuple(own)) for path, own in chosen.items()))
        return dataclasses.replace(self, images=images, samples=tuple(self.samples[one] for one in indices))

    def split(self, count: int | None) -> tuple["Data", "Data"]:
        """At most `count` of them, spread over all, and the others; without `count` all of them."""
        every = range(len(self.samples))
        chosen = every if count is None else spread(every, count)
        return self.picked(chosen), self.picked(sorted({*every} - {*chosen}))

    def parts(self, size: int) -> Iterator["Data"]:
        """All, `size` at a time."""
        for start in range(0, len(self.samples), size):
            yield self.picked(range(start, min(start + size, len(self.samples))))

    def check_classes(self, classes: int) -> None:
        """Raise ConfigError where a label is none of a network's `classes`."""
        if self.folders not in (None, classes):
            raise ConfigError("data", self.source[1], f"has {self.folders} folders of classes, and the network has "
                              f"{classes} classes: CLASSES must name these in the order of the network's outputs")
        for sample in self.samples:
            if sample.number is not None and sample.number >= classes:
                raise ConfigError(*self.source, f"the label {sample.number} of {sample.name} must be from 0 to "
                                                f"{classes - 1}")


def read_data(options: EvaluateOptions, network: Network, classified: bool) -> Data:
    """The images of ``options.data`` for `network` with their labels.

    With `classified` each must have a class. Raises ConfigError: ("data"), ("labels"), ("classes") for what is wrong or
    missing in them, and what :func:`tiled_se.network.calibration.images.images_of` raises.
    """
    folder, folders = options.data, None
    if not folder or not os.path.isdir(folder):
        raise ConfigError("data", folder or "", f"is {'no folder' if folder else 'needed'}; {HOLDS}")
    numbers = _numbers(options) if classified else {}
    if options.labels:
        stated = _stated(options)
        files = _stated_files(options, stated)
    else:
        stated, names = None, _classes(folder)
        if classified and not names:
            raise ConfigError("labels", "", f"is needed, as the images in DATA={folder} lie in no folders of their "
                              f"class; {LABELS_HOLD}")
        places = [os.path.join(folder, name) for name in names] or [folder]
        files = [file for place in places for file in image_files(place, "data")]
        if classified and not options.classes and not all(map(_is_number, names)):
            numbers, folders = {name: number for number, name in enumerate(names)}, len(names)
    images = images_of(options, network, files, option="data")
    samples: list[Sample | None] = []
    for name, file in _named(images, folder):
        label = os.path.dirname(name) or None
        if stated is not None:
            # An input that LABELS lacks is left out.
            label = stated.pop(name, None) or stated.get(file)
        number = _number(label, name, numbers, options) if classified and label is not None else None
        samples.append(None if stated is not None and label is None else Sample(name, label, number))
    if stated:
        _check_stated(options, stated, images, folder)
    data = Data(images, tuple(samples), folders, ("labels", options.labels) if options.labels else ("data", folder))
    return data.picked([number for number, sample in enumerate(samples) if sample is not None])


def _classes(folder):
    """Names of the folders in `folder`, one for each class, in order; none if there are images beside them."""
    with os.scandir(folder) as entries:
        found = sorted((entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith("."))
    if any(name.lower().endswith(PICTURES + ARRAYS) and not is_folder for name, is_folder in found):
        return []
    return [name for name, is_folder in found if is_folder]


def _named(images: Images, folder: str) -> Iterator[tuple[str, str]]:
    """The name of each input, with its number after a colon if its file holds several; and that of its file."""
    for path, indices in images.picked:
        file = os.path.relpath(path, folder)
        for index in indices:
            yield (f"{file}:{index}" if len(indices) > 1 else file), file


def _lines(option, path, holds) -> Iterable[str]:
    try:
        text = decoded(read_bytes(option, path, "a text file", MOST_BYTES))
    except UnicodeDecodeError:
        raise ConfigError(option, path, f"is no text in UTF-8; {holds}") from None
    lines = [line.strip() for line in text.splitlines()]
    if not any(lines):
        raise ConfigError(option, path, f"is empty; {holds}")
    return lines


def _stated(options) -> dict[str, str]:
    """LABELS: label by name. A first line that names no file is a header."""
    stated = {}
    for number, line in enumerate(_lines("labels", options.labels, LABELS_HOLD), 1):
        parts = [part.strip().strip('"') for part in re.split(r"[,\t]" if re.search(r"[,\t]", line) else r" ", line,
                                                               maxsplit=1)]
        if not line:
            continue
        if len(parts) < 2 or not all(parts):
            raise ConfigError("labels", options.labels, f"line {number} has no label; {LABELS_HOLD}")
        name = os.path.normpath(parts[0])
        if number == 1 and _file(options.data, name) is None:
            continue
        if name in stated:
            raise ConfigError("labels", options.labels, f"line {number} has {name} again")
        stated[name] = parts[1]
    return stated


def _file(folder: str, name: str) -> str | None:
    """The path of the file that `name` names, perhaps with the number of an input in it; None if there is none."""
    paths = [os.path.join(folder, one) for one in (name, re.sub(r":[0-9]+$", "", name))]
    return next((path for path in paths if os.path.isfile(path)), None)


def _stated_files(options, stated) -> list[str]:
    files = {}
    for name in stated:
        path = _file(options.data, name)
        if path is None:
            raise ConfigError("labels", options.labels, f"names {name}, which is no file in DATA={options.data}")
        if not path.lower().endswith(PICTURES + ARRAYS):
            raise ConfigError("labels", options.labels, f"names {name}, which must end in one of "
                              f"{' '.join(PICTURES + ARRAYS)}")
        files[path] = True
    if not files:
        raise ConfigError("labels", options.labels, f"names no file in DATA={options.data}; {LABELS_HOLD}")
    return list(files)


def _check_stated(options, stated, images, folder):
    """Raise ConfigError for a name of LABELS that is neither that of one of `images` nor that of a file."""
    for name in stated.keys() - {file for _, file in _named(images, folder)}:
        raise ConfigError("labels", options.labels, f"names {name}, but its file has fewer inputs")


def _numbers(options) -> dict[str, int]:
    """CLASSES: number of a class by its name; empty if it is not given."""
    if not options.classes:
        return {}
    names = [line for line in _lines("classes", options.classes, CLASSES_HOLD) if line]
    twice = next((name for name in names if names.count(name) > 1), None) if len({*names}) < len(names) else None
    if twice is not None:
        raise ConfigError("classes", options.classes, f"has {twice} more than once; {CLASSES_HOLD}")
    return {name: number for number, name in enumerate(names)}


def _is_number(label: str) -> bool:
    return re.fullmatch(r"[0-9]{1,9}", label) is not None


def _number(label, name, numbers, options):
    if label in numbers:
        return numbers[label]
    if _is_number(label):
        return int(label)
    if options.classes:
        raise ConfigError("classes", options.classes, f"has no class {label}, which is the label of {name}")
    raise ConfigError("labels", options.labels, f"the label of {name} is {label}; must be the number of a class, from "
                      "0, or a name that CLASSES has")
