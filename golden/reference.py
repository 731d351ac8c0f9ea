# SPDX-License-Identifier: Apache-2.0
"""Squeeze-and-excite in float64, in every context: the reference of all errors, which shares no code with the model."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..hdl.config import Config, Context, Gate, GateKind, Mid, Order, Tiling
from .calibration import Noise

__all__ = ["GATES", "MIDS", "descriptors", "excite", "output_errors", "squeeze_excite"]


def _sigmoid(v: np.ndarray) -> np.ndarray:
    # Small results have their full relative precision, and the argument of exp is never positive: it can't overflow.
    e = np.exp(-np.abs(v))
    return np.where(v >= 0, 1, e) / (1 + e)


GATES: dict[GateKind, Callable[[Any], Any]] = {GateKind.SIGMOID: _sigmoid}
MIDS: dict[Mid, Callable[[Any], Any]] = {
    Mid.RELU: lambda v: np.maximum(v, 0),
    Mid.RELU6: lambda v: np.clip(v, 0, 6),
    Mid.SILU: lambda v: v * _sigmoid(v),
    Mid.HARDSWISH: lambda v: v * np.clip(v / 6 + 0.5, 0, 1),
    Mid.IDENTITY: lambda v: v,
}


def excite(z: np.ndarray, w1: np.ndarray, b1: np.ndarray, w2: np.ndarray, b2: np.ndarray, mid: Mid, gate: Gate,
           ranges: Mapping[str, tuple[float, float]] = {},
           roundings: Mapping[str, Sequence[Callable[[np.ndarray], np.ndarray]]] = {}) -> tuple[np.ndarray, np.ndarray]:
    """The hidden vectors (..., CR) and the gates (..., C) of the means `z` (..., C), all float64.

    `ranges` are the lowest and the highest number of a stage: "mean", "sums" of layer 1, "hidden", "logits", "gates".
    `roundings` are functions that are applied to a stage's numbers, in order.
    """
    def cut(stage: str, v: np.ndarray) -> np.ndarray:
        v = np.clip(v, *ranges[stage]) if stage in ranges else v
        return functools.reduce(lambda numbers, function: function(numbers), roundings.get(stage, ()), v)

    hidden = cut("hidden", MIDS[mid](cut("sums", cut("mean", z) @ w1.T + b1)))
    logits = cut("logits", hidden @ w2.T + b2)
    function = GATES.get(gate.kind, lambda v: np.clip(gate.slope * v + gate.offset, 0, 1))
    return hidden, cut("gates", function(logits))


def descriptors(x: np.ndarray, prior: np.ndarray, form: Tiling) -> tuple[np.ndarray, np.ndarray]:
    """The means (N, C) of a stream's frame `x` (H, W, C), and which of them belongs to each pixel: integers (H, W)."""
    height, width = x.shape[:2]
    row, column = np.indices((height, width))
    if form.window is not None:
        seen = x[form.window[0]:][:form.window[1]]
        return (seen.mean(axis=(0, 1)) if len(seen) else prior)[None], np.zeros_like(row)
    if form.context is Context.TILE:
        size = form.tile_width or width
        across = -(-width // size)
        means = [x[top:top + form.k, left:left + size].mean(axis=(0, 1))
                 for top in range(0, height, form.k) for left in range(0, width, size)]
        return np.array(means), row // form.k * across + column // size
    means, rows, total = [], form.prior_rows, form.prior_rows * prior
    for top in range(0, height, form.k):
        if form.context is Context.CAUSAL:
            means.append(total / rows)
        counted = x[top:min(top + form.k, form.max_rows)].mean(axis=1)
        rows, total = rows + len(counted), total + counted.sum(axis=0)
        if form.context is Context.CUMULATIVE:
            means.append(total / rows)
    return np.array(means), row // form.k


def squeeze_excite(x: np.ndarray, weights: Any, config: Config) -> np.ndarray:
    """Compute one map `x`, a float64 array (H, W, C), with `config`'s tiling, mid, gate and residual.

    `weights` has float64 arrays w1 (CR, C), b1 (CR), w2 (C, CR), b2 (C), and prior (C) or None: a `Quantised` or a
    `FloatBlock`. Of a map that streams by columns, a row of the tiling is a column. Returns an array like `x`.
    """
    by_columns = config.order is Order.COLUMNS
    frame = x.swapaxes(0, 1) if by_columns else x
    prior = np.zeros(x.shape[-1]) if weights.prior is None else weights.prior
    means, index = descriptors(frame, prior, config)
    _, gates = excite(means, weights.w1, weights.b1, weights.w2, weights.b2, config.mid, config.gate)
    y = frame * (gates + config.residual)[index]
    return y.swapaxes(0, 1) if by_columns else y


def output_errors(job: Any, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """How the outputs `y` for the inputs `x`, integer maps (N, H, W, C), differ from float64. JSON-serialisable.

    ``lsb`` has the ``max`` and the ``mean`` error in output LSB, where what y should be is limited to the range of its
    integers. ``range`` is that of the real outputs before this, ``clipped`` the share of them that are more than half a
    step beyond its ends. ``sqnr_db`` is their ratio to the noise of y, with what is clipped; None where either is 0.
    `job` has the block's ``config``, ``quantised`` parameters, and the formats of x and y: ``format``, ``y_format``.
    """
    outputs, data, noise = job.y_format, job.y_format.data, Noise()
    largest, total, clipped, ends = 0.0, 0.0, 0, []
    for frame, result in zip(x, y, strict=True):
        real = squeeze_excite(job.format.dequantise(frame), job.quantised, job.config)
        steps = outputs.zero_point + real / outputs.scale
        error = np.abs(result - np.clip(steps, data.low, data.high))
        largest, total = max(largest, float(error.max())), total + float(error.sum())
        clipped += int(((steps < data.low - 0.5) | (steps > data.high + 0.5)).sum())
        ends += [float(real.min()), float(real.max())]
        noise.add(real, outputs.dequantise(result))
    return {"lsb": {"max": largest, "mean": total / y.size}, "range": [min(ends), max(ends)],
            "clipped": clipped / y.size, "sqnr_db": noise.sqnr_db}
