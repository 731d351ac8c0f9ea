# SPDX-License-Identifier: Apache-2.0
"""The detector in three forms: original, tiled in float, tiled in integers."""

import numpy as np

from ...hdl.config import ConfigError
from ...network.network import find_blocks
from ...network.read.shapes import open_session
from ...network.tile import tile_blocks
from . import detector
from .hybrid import Hybrid
from .integer import IntegerBlock

__all__ = ["Networks"]


class Networks:
    """The detector's networks, each a method that takes an image, uint8 (H, W, 3), and returns boxes (N, 4, 2).

    Tiles have `k` rows; `threads` are onnxruntime's.

    Attributes
    ----------
    blocks : list of NetworkBlock
    integers : dict of str to IntegerBlock
        By name of a block; there after `calibrate`.
    """

    def __init__(self, k, threads):
        model = detector.load()
        self.k, self.blocks = k, find_blocks(model)
        self._input = model.graph.input[0].name
        self._original = open_session(model, threads=threads)
        tiled = tile_blocks(model, self.blocks, k)
        self._tiled = open_session(tiled, threads=threads)
        # Both forms have the blocks' tensors under the same names.
        self._tapped = open_session(tiled, taps=[block.x for block in self.blocks], threads=threads)
        self._hybrid = Hybrid(model, {block.name: (block.x, block.y) for block in self.blocks}, threads=threads)

    def original(self, image):
        """With squeeze-and-excite as it was trained."""
        return detector.boxes(self._original.run(None, self._inputs(image))[0], image.shape[:2])

    def tiled(self, image):
        """With all blocks tiled, in float."""
        return detector.boxes(self._tiled.run(None, self._inputs(image))[0], image.shape[:2])

    def integer(self, image, others=None):
        """With all blocks tiled and in integers, by the golden model; those in `others` by its functions."""
        outputs = self._hybrid.run(self._inputs(image), self.integers | (others or {}))
        return detector.boxes(next(iter(outputs.values())), image.shape[:2])

    def calibrate(self, images):
        """Quantise all blocks by the range that the tiled network's feature maps have on `images`.

        ConfigError names a block that no widths are accurate enough for.
        """
        names = [block.x for block in self.blocks]
        maps = [dict(zip(names, self._tapped.run(names, self._inputs(image)), strict=True)) for image in images]
        self._tapped = None  # with the memory that its runtime holds
        self.integers = {}
        for block in self.blocks:
            try:
                self.integers[block.name] = IntegerBlock(block, self.k, [found[block.x] for found in maps])
            except ConfigError as error:
                raise ConfigError(error.option, error.value, f"{error.allowed} (block {block.name})") from None

    def block_input(self, block, image):
        """The integers that reach `block` in the integer network: int8 (H, W, C)."""
        x = self._hybrid.run(self._inputs(image), self.integers, until=block.name)[block.x]
        return self.integers[block.name].integers(x)[0].astype(np.int8)

    def _inputs(self, image):
        return {self._input: detector.prepared(image)}
