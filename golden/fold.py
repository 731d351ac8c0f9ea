# SPDX-License-Identifier: Apache-2.0
"""Folds batch normalisations, as evaluation mode computes them, into the layers of a squeeze-and-excite block."""

import dataclasses
from collections.abc import Iterable, Mapping

import torch

__all__ = ["Norm", "fold"]


@dataclasses.dataclass(frozen=True)
class Norm:
    """A batch normalisation: the names of its parameters and buffers (None for no weight or no bias), and its eps."""

    weight: str | None
    bias: str | None
    mean: str
    variance: str
    eps: float

    @property
    def names(self) -> tuple[str, ...]:
        """The names that there are."""
        return tuple(name for name in (self.weight, self.bias, self.mean, self.variance) if name)

    def factors(self, tensors: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """(factor, offset) of each channel, float64 on the CPU, from the `tensors` by their names."""
        values = {name: tensors[name].detach().cpu().double() for name in self.names}
        factor = (values[self.variance] + self.eps).rsqrt()
        if self.weight:
            factor = factor * values[self.weight]
        offset = -values[self.mean] * factor
        return factor, offset + values[self.bias] if self.bias else offset


def fold(tensors: Mapping[str, torch.Tensor], names: tuple[str, str | None], before: Iterable[Norm],
         after: Iterable[Norm]) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight (outputs, inputs) and bias (outputs) of a layer with normalisations around it; float64 on the CPU.

    `names` are those of its weight and its bias in `tensors`; `before` and `after` are in the order of computation.
    """
    matrix = tensors[names[0]].detach().cpu().double().flatten(1)
    bias = tensors[names[1]].detach().cpu().double() if names[1] else matrix.new_zeros(len(matrix))
    for norm in reversed(list(before)):
        factor, offset = norm.factors(tensors)
        matrix, bias = matrix * factor, bias + matrix @ offset
    for norm in after:
        factor, offset = norm.factors(tensors)
        matrix, bias = factor[:, None] * matrix, factor * bias + offset
    return matrix, bias
