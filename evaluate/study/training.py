# SPDX-License-Identifier: Apache-2.0
"""Trains a network on frames that are drawn anew in each epoch, and tests it on frames that are always the same."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from .conditions import Condition

__all__ = ["BATCH", "Platform", "Schedule", "correct_answers", "fixed_frames", "platform", "train"]

# Frames of a step of training; of a part of a test, which should stay in a core's cache; that are made at once.
BATCH, TEST_BATCH, FRAMES_AT_ONCE = 64, 50, 1000
# The part of the steps in which the learning rate rises.
WARM_UP = 0.25
MOMENTUM, WEIGHT_DECAY = 0.9, 5e-4


@dataclasses.dataclass(frozen=True)
class Platform:
    """Where networks are trained and tested, and in which numbers they are trained: tests are in float32."""

    device: str
    precision: str

    @property
    def dtype(self) -> torch.dtype:
        """The type of numbers that training computes in where that is safe, as torch.autocast knows it."""
        return getattr(torch, self.precision)


@functools.cache
def platform() -> Platform:
    """A GPU if torch sees one; bfloat16 there and on processors that have instructions for it, else float32."""
    if torch.cuda.is_available():
        return Platform("cuda", "bfloat16" if torch.cuda.is_bf16_supported() else "float32")
    # Not public, and missing in some releases; without the instructions bfloat16 is slower than float32.
    has_bfloat16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return Platform("cpu", "bfloat16" if has_bfloat16 else "float32")


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Steps of a training, and its highest learning rate.

    Not epochs: few images then take as long as many, and a network learns something from them, too.
    """

    steps: int
    rate: float

    def share(self, step: int) -> float:
        """The learning rate of a step, from 0, over the highest: it rises evenly, then falls as a cosine does."""
        done = (step + 0.5) / self.steps
        return done / WARM_UP if done < WARM_UP else 0.5 + 0.5 * math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))

    def epochs(self, images: int) -> int:
        """How often each of `images` is seen, roughly."""
        return max(1, round(self.steps * BATCH / images))


def train(network: nn.Module, images: torch.Tensor, labels: torch.Tensor, condition: Condition, schedule: Schedule,
          seed: int, where: Platform) -> None:
    """Train `network` in place on `images`, uint8 (N, C, H, W); `seed` decides their order and frames.

    Images and labels are on the device of `where`, as `network` is. Images that are left over after the last whole
    batch of an epoch wait for the next one.
    """
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.SGD(network.parameters(), schedule.rate, MOMENTUM, nesterov=True,
                                weight_decay=WEIGHT_DECAY)
    rates = torch.optim.lr_scheduler.LambdaLR(optimiser, schedule.share)
    network.train()
    for chosen in itertools.islice(_batches(len(images), generator), schedule.steps):
        chosen = chosen.to(images.device)
        frames = condition.frames(images[chosen], generator)
        with torch.autocast(where.device, where.dtype, enabled=where.dtype is not torch.float32):
            outputs = network(frames)
        loss = functional.cross_entropy(outputs.float(), labels[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        rates.step()


def _batches(images: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """Indices of BATCH images each, in a new order in each epoch, without end."""
    while True:
        yield from torch.randperm(images, generator=generator)[:images // BATCH * BATCH].split(BATCH)


def fixed_frames(images: torch.Tensor, condition: Condition, seed: int) -> torch.Tensor:
    """Frames of all `images` that are the same in each call."""
    generator = torch.Generator().manual_seed(seed)
    return torch.cat([condition.frames(part, generator) for part in images.split(FRAMES_AT_ONCE)])


def correct_answers(network: nn.Module, frames: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    """For each of `frames` (N, C, H, W) whether `network` finds its label: bool (N)."""
    network.eval()
    with torch.inference_mode():
        found = torch.cat([network(part).argmax(1) for part in frames.split(TEST_BATCH)])
    return (found == labels).cpu().numpy()
