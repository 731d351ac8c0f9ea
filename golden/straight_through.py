# SPDX-License-Identifier: Apache-2.0
"""A quantised block as a function that PyTorch can differentiate: integers forward, straight through backward."""

import dataclasses
import math
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from ..hdl.config import ConfigError
from .exact_maps import ExactMaps, pieces, real, steps_of
from .fitted import Fitted
from .module import ACTIVATIONS, gate_function

__all__ = ["Outputs", "StraightThrough", "run"]


@dataclasses.dataclass(frozen=True, eq=False)
class Outputs:
    """What :func:`run` gives. Maps have the stream's lines: (N, C, lines, length).

    ``y`` has what was asked for. ``steps`` and ``y_steps`` are the integers of x and y less their zero points, before
    they are limited; the latter is None unless asked for, or where y needs no limits. ``clamped`` tells whether an x
    is. ``sums`` (N, tiles, C) are the stage's, int64 on the CPU.
    """

    y: torch.Tensor
    steps: torch.Tensor
    y_steps: torch.Tensor | None
    clamped: bool
    sums: torch.Tensor
    maps: ExactMaps


def run(fitted: Fitted, x: torch.Tensor, dtype: torch.dtype | None, for_gradient: bool = False) -> Outputs:
    """The outputs of a block for maps `x`, as real values of `dtype`, or with None as integers (int32).

    ``y_steps`` are kept `for_gradient` only. ConfigError ("x") if a number is not finite.
    """
    config, form = fitted.config, fitted.x
    maps = ExactMaps(config, x.shape[2], x.device)
    clamped = _clamps(x, fitted, maps)
    steps = torch.empty_like(x, dtype=torch.float32)
    y = torch.empty_like(x, dtype=dtype or torch.int32)
    y_steps = torch.empty_like(steps) if for_gradient and config.requantised else None
    parts = []
    for piece in pieces(x):
        steps[piece] = steps_of(x[piece], form)
        parts.append(maps.parts(steps[piece].clamp(*maps.limits) if clamped else steps[piece], exact=True))
    sums, *_, gates = fitted.model.excite(maps.line_sums(torch.cat(parts)))
    spread = maps.spread(gates.to(x.device))
    for piece in pieces(x):
        inputs = steps[piece].clamp(*maps.limits) if clamped else steps[piece]
        result = maps.outputs(inputs, maps.over_line(spread[piece]))
        if config.requantised:
            if y_steps is not None:
                y_steps[piece] = result
            result = result.clamp(*maps.y_limits)
        y[piece] = result + fitted.y.zero_point if dtype is None else real(result, fitted.y.scale, dtype)
    return Outputs(y, steps, y_steps, clamped, sums, maps)


def _clamps(x: torch.Tensor, fitted: Fitted, maps: ExactMaps) -> bool:
    """Whether a number of `x` is clamped; ConfigError ("x") if one is not finite."""
    ends = torch.stack(torch.aminmax(x.detach()))
    if not all(map(math.isfinite, ends.tolist())):
        raise ConfigError("x", "not finite", "must hold finite numbers only")
    first, last = steps_of(ends, fitted.x).tolist()
    return first < maps.limits[0] or last > maps.limits[1]


class StraightThrough(torch.autograd.Function):
    """``apply(x, w1, b1, w2, b2, fitted)``: the real outputs of a :class:`Fitted` block for maps `x`.

    Maps have the stream's lines, as in :class:`Outputs`: a map turned here would be a view, which PyTorch lets nobody
    change in place.

    The weights are those that the block was quantised from, w1 and w2 of any shape with as many elements. The gradient
    is that of the float block at the real values that the integers stand for: of x, of weights, biases and prior, and
    of the means, which are exact. It goes straight through every rounding, and is 0 for an x or a y that is clamped at
    an end of its format. No weight is clamped, as the largest of a row decides the row's scale; that the scale depends
    on it is left out of the gradient, as is usual.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, w1: torch.Tensor, b1: torch.Tensor, w2: torch.Tensor, b2: torch.Tensor,
                fitted: Fitted) -> torch.Tensor:
        """The exact outputs, in x's precision."""
        needed = any(ctx.needs_input_grad)
        made = run(fitted, x, x.dtype, needed)
        if needed:
            ctx.fitted, ctx.maps, ctx.clamped, ctx.dtype = fitted, made.maps, made.clamped, x.dtype
            ctx.weights = tuple((value.shape, value.dtype) for value in (w1, b1, w2, b2))
            ctx.save_for_backward(made.steps, made.y_steps, made.sums)
        return made.y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradients of x and of the weights."""
        # Whoever calls `backward` inside of autocast would get sums of bfloat16.
        with torch.autocast(grad.device.type, enabled=False):
            return _gradients(ctx, grad)


def _gradients(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    fitted, maps, (steps, y_steps, sums) = ctx.fitted, ctx.maps, ctx.saved_tensors
    dtype = torch.promote_types(ctx.dtype, torch.float32)
    limits = maps.limits if ctx.clamped else None
    passed, parts = [], []
    for piece in pieces(grad):
        own = grad[piece].to(dtype)
        passed.append(own if y_steps is None else _passed(own, y_steps[piece], maps.y_limits))
        parts.append(maps.parts(passed[-1] * (steps[piece].clamp(*limits) if limits else steps[piece])))
    by_gates = maps.tile_sums(torch.cat(parts)) * fitted.x.scale
    gates, (by_means, *by_weights) = _excite(fitted, sums.to(grad.device), maps.counts, by_gates)
    by_x = None
    if ctx.needs_input_grad[0]:
        by_x = torch.empty_like(grad, dtype=ctx.dtype)
        by_lines = maps.spread_averaged((by_means / maps.counts).to(dtype))
        spread = maps.spread(gates + fitted.config.residual)
        for own, piece in zip(passed, pieces(grad), strict=True):
            both = torch.addcmul(maps.over_line(by_lines[piece]), own, maps.over_line(spread[piece]))
            by_x[piece] = _passed(both, steps[piece], limits) if limits else both
    return by_x, *(value.reshape(shape).to(kind) if needed else None for value, (shape, kind), needed in zip(
        by_weights, ctx.weights, ctx.needs_input_grad[1:5], strict=True)), None


def _passed(grad: torch.Tensor, steps: torch.Tensor, limits: tuple[int, int]) -> torch.Tensor:
    """`grad` where the integers `steps` are within their `limits`, else 0."""
    # Steps are whole numbers, so this is 1 beyond the limits. Comparisons and `where` take far longer.
    outside = (steps - steps.clamp(*limits)).abs_().clamp_(max=1)
    return torch.addcmul(grad, grad, outside.to(grad.dtype), value=-1)


def _excite(fitted: Fitted, sums: torch.Tensor, counts: torch.Tensor,
            by_gates: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """The float gates (N, tiles, C), and the gradients of the means and of w1, b1, w2, b2, for the gates' `by_gates`.

    `counts` (tiles, 1) are the elements that each of the `sums` (N, tiles, C) has.
    """
    config, quantised = fitted.config, fitted.quantised
    means = (sums / counts - config.signed_zero_point) * fitted.x.scale
    inputs = [value.to(by_gates).requires_grad_() for value in (
        means, *map(torch.as_tensor, (quantised.w1, quantised.b1, quantised.w2, quantised.b2)))]
    z, w1, b1, w2, b2 = inputs
    with torch.enable_grad():
        gates = gate_function(config.gate, ACTIVATIONS[config.mid](z @ w1.T + b1) @ w2.T + b2)
    return gates.detach(), torch.autograd.grad(gates, inputs, by_gates)
