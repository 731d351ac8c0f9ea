# SPDX-License-Identifier: Apache-2.0
"""Finds the stages of a squeeze-and-excite block in the aten operations of one forward pass.

Each tensor is followed as a pointwise function of a stage, represented by its values on a grid of points. So it does
not matter how a function is written (``relu6(x + 3) / 6``, ``clip``, ``hardsigmoid``). Shapes are not followed: the
result is a candidate, which :mod:`.recognise` checks by numbers.
"""

import dataclasses
import enum
import math
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from .fold import Norm

__all__ = ["GRID", "Stage", "Trace"]

aten = torch.ops.aten
AVERAGES = {aten.mean, aten.avg_pool2d}
# Operators of a layer, and the positions of their arguments input, weight and bias.
LAYERS = {aten.convolution: (0, 1, 2), aten.linear: (0, 1, 2), aten.addmm: (1, 2, 0), aten.mm: (0, 1, None)}
# Operators of a batch normalisation, and the positions of their arguments training (None: they never train) and eps.
NORMS = {aten.native_batch_norm: (5, 7), aten.cudnn_batch_norm: (5, 7),
         aten._native_batch_norm_legit_no_training: (None, 6)}
# Operators, other than views, that return their first argument's values.
COPIES = {aten.clone, aten._to_copy, aten._unsafe_view}
# Pointwise operators that torch does not tag as such.
UNTAGGED = {aten.hardswish, aten.hardswish_, aten.rsub}

# The points at which a function is evaluated: densely where activations bend, sparsely far out.
_FAR = torch.logspace(1.1, 4, 60, dtype=torch.float64, device="cpu")
GRID = torch.cat([-_FAR.flip(0), torch.linspace(-12, 12, 4801, dtype=torch.float64, device="cpu"), _FAR])
INPUTS = torch.tensor([[1.0], [-3.0], [-1.0], [0.5], [20.0]], dtype=torch.float64, device="cpu")


class Stage(enum.Enum):
    """A tensor that pointwise functions start from, and the points at which it is sampled (float64)."""

    INPUT = "x"
    MEAN = "mean over the map"
    HIDDEN = "layer 1, before its activation"
    LOGIT = "layer 2, before the gate"

    @property
    def points(self) -> torch.Tensor:
        """(5, 1) for the input, else (points of GRID): a function of input and logit broadcasts to a table."""
        return INPUTS if self is Stage.INPUT else GRID


@dataclasses.dataclass(frozen=True)
class Samples:
    """A tensor of the pass: the stages of which it is a pointwise function, and its values at their points."""

    stages: frozenset[Stage]
    values: torch.Tensor

    def only(self, stage: Stage) -> bool:
        """Whether the tensor is that stage itself, except for rounding (as of a sum divided by its count)."""
        return (self.stages == {stage} and self.values.shape == stage.points.shape
                and torch.allclose(self.values, stage.points, rtol=1e-12, atol=0))


class Trace(TorchDispatchMode):
    """Records a forward pass that runs under it: the input is `x`, `tensors` the module's parameters and buffers.

    ``layers`` has the names of weight and bias (or None) of layer 1, then of layer 2, as far as they were found, and
    ``hidden`` layer 2's input at the points of ``Stage.HIDDEN``, in float64. ``norms`` has the batch normalisations
    before and after layer 1, and before and after layer 2.
    """

    def __init__(self, x: torch.Tensor, tensors: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.layers: list[tuple] = []
        self.norms: tuple[list[Norm], ...] = ([], [], [], [])
        self.hidden: torch.Tensor | None = None
        # By id. The tensors are kept alive, so that no other tensor gets the same id.
        self._kept = [x]
        self._known: dict[int, str | Samples | None] = {id(tensor): name for name, tensor in tensors.items()}
        self._known[id(x)] = Samples(frozenset({Stage.INPUT}), Stage.INPUT.points)

    def known(self, tensor: Any) -> "str | Samples | None":
        """A parameter's or buffer's name, :class:`Samples` of what depends on stages alone; None for anything else."""
        return self._known.get(id(tensor))

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        known = self._follow(func, args, kwargs or {})
        result = func(*args, **(kwargs or {}))
        first = result[0] if func.overloadpacket in NORMS else result
        if isinstance(first, torch.Tensor):
            self._kept.append(first)
            # An in-place operator returns a tensor that had another meaning before.
            self._known[id(first)] = known
        return result

    def _follow(self, func: Any, args: tuple, kwargs: dict) -> "str | Samples | None":
        operator = func.overloadpacket
        if operator in LAYERS:
            return self._layer(operator, args)
        if operator in NORMS:
            return self._norm(operator, args)
        if operator in AVERAGES:
            source = self.known(args[0])
            known = isinstance(source, Samples) and (source.only(Stage.INPUT) or source.only(Stage.MEAN))
            return _start(Stage.MEAN) if known else None
        if operator is aten.sum:
            return self._sum(*args)
        if func.is_view or operator in COPIES:
            return self.known(args[0])
        if torch.Tag.pointwise in func.tags or operator in UNTAGGED:
            return self._pointwise(func, args, kwargs)
        return None

    def _sum(self, x: torch.Tensor, axes: list[int] | None = None, *_: Any) -> Samples | None:
        """A sum over the map is a multiple of its mean; it may be over one axis and then over the other."""
        source, terms = self.known(x), math.prod(x.shape[axis] for axis in axes or range(x.dim()))
        if not isinstance(source, Samples):
            return None
        if source.only(Stage.INPUT):
            return Samples(frozenset({Stage.MEAN}), terms * Stage.MEAN.points)
        return Samples(source.stages, terms * source.values) if source.stages == {Stage.MEAN} else None

    def _layer(self, operator: Any, args: tuple) -> Samples | None:
        """The stage after a layer, if the layer is the next of the block's two."""
        if operator is aten.convolution and not _is_pointwise_convolution(*args):
            return None
        source, weight, bias = (None if place is None or place >= len(args) else args[place]
                                for place in LAYERS[operator])
        source, names = self.known(source), (self.known(weight), None if bias is None else self.known(bias))
        tensors = [names[0]] if bias is None else names
        if not isinstance(source, Samples) or not all(isinstance(name, str) for name in tensors):
            return None
        if not self.layers and source.only(Stage.MEAN):
            self.layers.append(names)
            return _start(Stage.HIDDEN)
        if len(self.layers) == 1 and source.stages == {Stage.HIDDEN}:
            self.layers.append(names)
            self.hidden = source.values
            return _start(Stage.LOGIT)
        return None

    def _norm(self, operator: Any, args: tuple) -> Samples | None:
        """A normalisation with stored statistics, which keeps its input's stage: it will be folded into a layer."""
        source, tensors, (training, eps) = self.known(args[0]), args[1:5], NORMS[operator]
        if training is not None and args[training] or not isinstance(source, Samples):
            return None
        weight, bias, mean, variance = (name if isinstance(name, str) else None for name in map(self.known, tensors))
        absent = [tensor is None for tensor in tensors]
        if mean is None or variance is None or absent != [name is None for name in (weight, bias, mean, variance)]:
            return None
        norm, done = Norm(weight, bias, mean, variance, args[eps]), len(self.layers)
        if done < 2 and source.only(Stage.HIDDEN if done else Stage.MEAN):
            self.norms[done].append(norm)
        elif done == 1 and source.stages == {Stage.HIDDEN}:
            self.norms[2].append(norm)
        elif done == 2 and source.only(Stage.LOGIT):
            self.norms[3].append(norm)
        else:
            return None
        return source

    def _pointwise(self, func: Any, args: tuple, kwargs: dict) -> Samples | None:
        """The operator applied to its arguments' samples."""
        stages: frozenset[Stage] = frozenset()
        operands = []
        for argument in args:
            if isinstance(argument, torch.Tensor):
                known = self.known(argument)
                if isinstance(known, Samples):
                    stages |= known.stages
                    argument = known.values.clone()  # the operator may work in place
                elif isinstance(known, str) or argument.numel() != 1:
                    return None
            operands.append(argument)
        if not stages or any(isinstance(value, torch.Tensor) for value in kwargs.values()):
            return None
        return Samples(stages, func(*operands, **kwargs))


def _start(stage: Stage) -> Samples:
    return Samples(frozenset({stage}), stage.points)


def _is_pointwise_convolution(x: Any, weight: torch.Tensor, bias: Any, stride: Any, padding: list[int], dilation: Any,
                              transposed: bool, output_padding: Any, groups: int) -> bool:
    return weight.shape[2:].numel() == 1 and not transposed and not any(padding)
