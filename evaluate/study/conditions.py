# SPDX-License-Identifier: Apache-2.0
"""How images become the frames that a network sees: brightness, place and background, drawn at random."""

import dataclasses

import torch
from torch.nn import functional

__all__ = ["CONDITIONS", "Condition"]

# The gain is 2 to the power of a number in this range, the offset a number in that one.
GAIN, OFFSET = (-3.0, 1.0), 0.05
# Rows and columns that an image may be moved by.
MOST_SHIFT = 6
# A canvas has 16 rows for 7 of the image: 64 for 28.
CANVAS = (16, 7)
# Patches of a canvas's texture along each side, and how bright they are at most.
PATCHES, BRIGHTEST = 8, 0.5
# Brightness of the finest texture.
GRAIN = 0.1


@dataclasses.dataclass(frozen=True)
class Condition:
    """A way to make frames; all randomness comes from a generator of torch's, on the CPU.

    Attributes
    ----------
    exposure : bool
        The frame times a gain, plus an offset, both drawn for each frame, and cut to 0 to 1.
    upside_down : bool
        Rows in reverse order.
    shifted : bool
        Moved by up to MOST_SHIFT rows and columns; what comes in is 0.
    canvas : bool
        At a random place of a larger frame with a random texture; of both the brighter.
    """

    exposure: bool = True
    upside_down: bool = False
    shifted: bool = False
    canvas: bool = False

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of a frame of an image of `height` x `width`."""
        many, few = CANVAS
        return (height * many // few, width * many // few) if self.canvas else (height, width)

    def frames(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Frames float32 (N, C, rows, columns) of `images`, uint8 (N, C, H, W), on their device."""
        x = images.float() / 255
        if self.shifted:
            x = _placed(x, _integers(len(x), (-MOST_SHIFT, MOST_SHIFT), generator),
                        _integers(len(x), (-MOST_SHIFT, MOST_SHIFT), generator), *x.shape[2:])
        if self.canvas:
            height, width = self.size(*x.shape[2:])
            x = torch.maximum(_texture(len(x), x.shape[1], height, width, generator).to(x), _placed(
                x, _integers(len(x), (0, height - x.shape[2]), generator),
                _integers(len(x), (0, width - x.shape[3]), generator), height, width))
        if self.exposure:
            gain = _uniform(len(x), *GAIN, generator).exp2().to(x)
            x = (x * gain + _uniform(len(x), -OFFSET, OFFSET, generator).to(x)).clamp(0, 1)
        if self.upside_down:
            x = x.flip(2)
        return x.contiguous(memory_format=torch.channels_last)


CONDITIONS = {
    "exposure": Condition(),
    "plain": Condition(exposure=False),
    "shifted": Condition(shifted=True),
    "canvas": Condition(canvas=True),
    "upside-down": Condition(canvas=True, upside_down=True),
}


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> torch.Tensor:
    """Numbers of each frame, (N, 1, 1, 1)."""
    return low + (high - low) * torch.rand(count, 1, 1, 1, generator=generator)


def _integers(count: int, ends: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    """Integers of each frame, both ends included, (N, 1)."""
    return torch.randint(ends[0], ends[1] + 1, (count, 1), generator=generator)


def _placed(x: torch.Tensor, top: torch.Tensor, left: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Each of `x` (N, C, H, W) at its row `top` and column `left` (N, 1) of a frame of zeros; parts may be outside."""
    rows, columns = x.shape[2:]
    # What lies outside of the image comes from a row and a column of zeros after it.
    padded = functional.pad(x, (0, 1, 0, 1)).permute(0, 2, 3, 1)
    row, column = torch.arange(height) - top, torch.arange(width) - left
    row = torch.where((row >= 0) & (row < rows), row, rows).to(x.device)
    column = torch.where((column >= 0) & (column < columns), column, columns).to(x.device)
    frame = torch.arange(len(x), device=x.device)[:, None, None]
    return padded[frame, row[:, :, None], column[:, None, :]].permute(0, 3, 1, 2)


def _texture(count: int, channels: int, height: int, width: int, generator: torch.Generator) -> torch.Tensor:
    """Smooth patches with grain, from 0 to BRIGHTEST + GRAIN."""
    coarse = BRIGHTEST * torch.rand(count, channels, PATCHES, PATCHES, generator=generator)
    smooth = functional.interpolate(coarse, (height, width), mode="bilinear")
    return smooth + GRAIN * torch.rand(count, channels, height, width, generator=generator)
