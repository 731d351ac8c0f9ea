# SPDX-License-Identifier: Apache-2.0
"""One trained network of the study and some images, for tests and to try the other commands with."""

import io
import os
import pathlib
from collections.abc import Mapping

import numpy as np
import torch
from PIL import Image

from .conditions import CONDITIONS
from .data import Dataset
from .training import fixed_frames

__all__ = ["example_files"]

# Images of each class, and the seed of their frames.
EACH, SEED = 5, 1_000_003


def example_files(networks: str, name: str, condition: str, dataset: Dataset) -> Mapping[str, Mapping[str, bytes]]:
    """Contents of the files of an example, by folder and name.

    They are the file `name` of the folder `networks`, and for each class a folder in ``images`` with frames of the
    first test images of `dataset` in this `condition`, as .png, 8 bits for 0 to 1.
    """
    files = {"": {name: pathlib.Path(networks, name).read_bytes()}}
    for number, label in enumerate(dataset.classes):
        chosen = torch.from_numpy(dataset.test[np.flatnonzero(dataset.test_labels == number)[:EACH]])
        frames = fixed_frames(chosen, CONDITIONS[condition], SEED + number)
        files[os.path.join("images", label)] = {f"{index}.png": _png(frame) for index, frame in enumerate(frames)}
    return files


def _png(frame: torch.Tensor) -> bytes:
    """The file of a `frame` (C, H, W), of one channel or of three."""
    pixels = (255 * frame).round().to(torch.uint8).permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(file, "PNG")
    return file.getvalue()
