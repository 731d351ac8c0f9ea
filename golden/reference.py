# SPDX-License-Identifier: Apache-2.0
"""Tiled squeeze-and-excite in float64: the reference of all errors. It shares no code with the golden model."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..hdl.config import Config, Gate, GateKind, Mid

__all__ = ["error_lsb", "excite", "squeeze_excite"]


def _sigmoid(v: np.ndarray) -> np.ndarray:
    # The argument of exp is never positive, so it can't overflow.
    e = np.exp(-np.abs(v))
    return np.where(v >= 0, 1, e) / (1 + e)


MIDS = {
    Mid.RELU: lambda v: np.maximum(v, 0),
    Mid.RELU6: lambda v: np.clip(v, 0, 6),
    Mid.SILU: lambda v: v * _sigmoid(v),
    Mid.HARDSWISH: lambda v: v * np.clip(v / 6 + 0.5, 0, 1),
    Mid.IDENTITY: lambda v: v,
}


def excite(z: np.ndarray, w1: np.ndarray, b1: np.ndarray, w2: np.ndarray, b2: np.ndarray, mid: Mid, gate: Gate,
           ranges: Mapping[str, tuple[float, float]] = {}) -> tuple[np.ndarray, np.ndarray]:
    """The hidden vectors (..., CR) and the gates (..., C) of the means `z` (..., C), all float64.

    `ranges` are the lowest and the highest number of a stage: "mean", "sums" of layer 1, "hidden", "logits", "gates".
    """
    def cut(stage: str, v: np.ndarray) -> np.ndarray:
        return np.clip(v, *ranges[stage]) if stage in ranges else v

    hidden = cut("hidden", MIDS[mid](cut("sums", cut("mean", z) @ w1.T + b1)))
    logits = cut("logits", hidden @ w2.T + b2)
    sigmoid = gate.kind is GateKind.SIGMOID
    return hidden, cut("gates", _sigmoid(logits) if sigmoid else np.clip(gate.slope * logits + gate.offset, 0, 1))


def squeeze_excite(x: np.ndarray, w1: np.ndarray, b1: np.ndarray, w2: np.ndarray, b2: np.ndarray,
                   config: Config) -> np.ndarray:
    """Compute one frame `x`, a float64 array (H, W, C), with `config`'s k, mid, gate and residual.

    The weights are float64 arrays w1 (CR, C), b1 (CR), w2 (C, CR), b2 (C). Returns an array like `x`.
    """
    y = np.empty_like(x)
    for row in range(0, len(x), config.k):
        tile = x[row:row + config.k]
        _, gates = excite(tile.mean(axis=(0, 1)), w1, b1, w2, b2, config.mid, config.gate)
        y[row:row + config.k] = tile * (gates + config.residual)
    return y


def error_lsb(job: Any, x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Largest and mean error of the outputs `y` for the inputs `x`, integers (N, H, W, C), in output LSB.

    `job` has the block's ``config``, ``quantised`` parameters and data ``format``.
    """
    quantised, zero = job.quantised, job.format.zero_point
    largest, total = 0.0, 0.0
    for frame, result in zip(x, y, strict=True):
        real = squeeze_excite(job.format.dequantise(frame), quantised.w1, quantised.b1, quantised.w2, quantised.b2,
                              job.config)
        error = np.abs(result.astype(np.float64) - zero - real / quantised.y_scale)
        largest, total = max(largest, float(error.max())), total + float(error.sum())
    return {"max": largest, "mean": total / y.size}
