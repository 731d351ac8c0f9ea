# SPDX-License-Identifier: Apache-2.0
"""Squeeze-and-excite in every context, pixel by pixel, as its definition says."""

import dataclasses

import numpy as np

from tiled_se.hdl.config import Context, Order

__all__ = ["averaged", "scaled"]


def averaged(tiling, height, width, row, column):
    """bool (height, width): the pixels whose mean, with the prior's rows, makes the gate of one pixel."""
    rows, columns = np.indices((height, width))
    first, count = tiling.window or (0, 0)
    k, wide = tiling.k, tiling.tile_width or width
    return {
        Context.TILE: (rows // k == row // k) & (columns // wide == column // wide),
        Context.CUMULATIVE: (rows < (row // k + 1) * k) & (rows < tiling.max_rows),
        Context.CAUSAL: (rows < row // k * k) & (rows < tiling.max_rows),
        Context.WINDOW: (rows >= first) & (rows < first + count),
    }[tiling.context]


def scaled(tiling, x, form, prior=None):
    """One map (H, W, C) with its gates in float64, for a FloatBlock with relu between its layers and a sigmoid."""
    if tiling.order is Order.COLUMNS:
        rows = dataclasses.replace(tiling, order=Order.ROWS)
        return scaled(rows, x.transpose(1, 0, 2), form, prior).transpose(1, 0, 2)
    height, width, channels = x.shape
    prior, y = np.zeros(channels) if prior is None else prior, np.empty(x.shape)
    for row, column in np.ndindex(height, width):
        pixels = x[averaged(tiling, height, width, row, column)]
        imaginary = width * tiling.prior_rows
        if tiling.context is Context.WINDOW:
            imaginary = 0 if len(pixels) else 1
        z = (imaginary * prior + pixels.sum(axis=0)) / (imaginary + len(pixels))
        logits = form.w2 @ np.maximum(form.w1 @ z + form.b1, 0) + form.b2
        y[row, column] = x[row, column] * (1 / (1 + np.exp(-logits)) + form.residual)
    return y
