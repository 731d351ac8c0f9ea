# SPDX-License-Identifier: Apache-2.0
"""The detector as it was trained, and in each form in float and in integers."""

import dataclasses

import numpy as np

from ...hdl.config import ConfigError
from ...network.network import find_blocks
from ...network.read.shapes import open_session
from ...network.tile import tile_blocks
from ..integers import Hybrid
from . import detector
from .integer import DetectorBlock

__all__ = ["Networks", "TiledNetwork"]


class Networks:
    """The detector with squeeze-and-excite as it was trained; :meth:`tiled` gives the others.

    `threads` are onnxruntime's.

    Attributes
    ----------
    blocks : list of NetworkBlock
        Each has the mean of the feature maps that reach it as its prior, after `calibrate`.
    """

    def __init__(self, threads):
        model = detector.load()
        self.blocks = find_blocks(model)
        self._model, self._threads = model, threads
        self._original = open_session(model, threads=threads)
        self._hybrid = Hybrid(model, {block.name: (block.x, block.y) for block in self.blocks}, threads=threads)

    def original(self, image):
        """The boxes (N, 4, 2) that are found in an image, uint8 (H, W, 3)."""
        return detector.boxes(self._original.run(None, self._inputs(image))[0], image.shape[:2])

    def calibrate(self, images):
        """Take the prior of each block from the original's feature maps on `images`."""
        maps = self._maps(self._model, images)
        self.blocks = [dataclasses.replace(block, float_block=dataclasses.replace(
            block.float_block, prior=np.mean([found.mean(axis=(0, 2, 3), dtype=np.float64) for found in maps[block.x]],
                                             axis=0)))
            for block in self.blocks]

    def tiled(self, form, images):
        """The :class:`TiledNetwork` of `form`, a Form, quantised by the range of its own feature maps on `images`.

        ConfigError names a block that no widths are accurate enough for.
        """
        model = tile_blocks(self._model, self.blocks, form.tiling)
        # Both networks have the blocks' tensors under the same names.
        maps = self._maps(model, images)
        integers = {}
        for block in self.blocks:
            try:
                integers[block.name] = DetectorBlock(block, form.options, maps[block.x])
            except ConfigError as error:
                raise ConfigError(error.option, error.value, f"{error.allowed} (block {block.name})") from None
        return TiledNetwork(open_session(model, threads=self._threads), self._hybrid, integers, self._inputs)

    def _maps(self, model, images):
        """The feature maps (1, C, H, W) that reach the blocks on `images`: lists by name of the tensor."""
        names = [block.x for block in self.blocks]
        session = open_session(model, taps=names, threads=self._threads)
        found = [session.run(names, self._inputs(image)) for image in images]
        return dict(zip(names, zip(*found, strict=True), strict=True))

    def _inputs(self, image):
        return {self._model.graph.input[0].name: detector.prepared(image)}


class TiledNetwork:
    """The detector with all blocks tiled in one form; methods take an image, uint8 (H, W, 3).

    `session` runs it in float. `hybrid` is the network with a function in the place of each block; `inputs` makes what
    either takes.

    Attributes
    ----------
    integers : dict of str to DetectorBlock
        By name of a block.
    """

    def __init__(self, session, hybrid, integers, inputs):
        self._session, self._hybrid, self.integers, self._inputs = session, hybrid, integers, inputs

    def float(self, image):
        """Boxes (N, 4, 2), in float."""
        return detector.boxes(self._session.run(None, self._inputs(image))[0], image.shape[:2])

    def integer(self, image, others=None):
        """Boxes (N, 4, 2), with the blocks in integers by the golden model; those in `others` by its functions."""
        outputs = self._hybrid.run(self._inputs(image), self.integers | (others or {}))
        return detector.boxes(next(iter(outputs.values())), image.shape[:2])

    def block_input(self, block, image):
        """The integers that reach `block` in the integer network: int8 (H, W, C)."""
        x = self._hybrid.run(self._inputs(image), self.integers, until=block.name)[block.x]
        return self.integers[block.name].integers(x)[0].astype(np.int8)
