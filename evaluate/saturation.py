# SPDX-License-Identifier: Apache-2.0
"""How much of a block's outputs their format clips, in the block's own tiling."""

import numpy as np

from ..gen.block_spec import BlockSpec
from ..gen.report import clip_warning
from ..golden.reference import squeeze_excite

__all__ = ["clipped_outputs", "saturation_warning"]

# A share that ranges from calibration, as in a plan, often clip for finer steps.
TINY = 1e-3


def clipped_outputs(spec: BlockSpec, maps: np.ndarray) -> dict | None:
    """The share of the outputs on `maps`, real (N, H, W, C), that the format of the outputs clips; JSON-serialisable.

    ``clipped`` is the share of those that are more than half a step beyond its ends, ``range`` are the least and the
    largest output, as the float block makes them of maps in the input's format. None for outputs without a format of
    their own: these are never clipped.
    """
    if not spec.config.requantised:
        return None
    x_format, y_format, clipped, ends = spec.format, spec.y_format, 0, []
    for one in maps:
        real = squeeze_excite(x_format.dequantise(x_format.quantise(one)), spec.quantised, spec.config)
        steps = y_format.zero_point + real / y_format.scale
        clipped += int(((steps < y_format.data.low - 0.5) | (steps > y_format.data.high + 0.5)).sum())
        ends += [float(real.min()), float(real.max())]
    return {"clipped": clipped / maps.size, "range": [min(ends), max(ends)]}


def saturation_warning(spec: BlockSpec, found: dict) -> list[str]:
    """A line, if in what :func:`clipped_outputs` found more than TINY are clipped, and one by more than a step."""
    y, (low, high) = spec.y_format, found["range"]
    least, most = y.dequantise([y.data.low - 1, y.data.high + 1])
    far = low < least or high > most
    return clip_warning(spec, {"outputs": found}) if far and found["clipped"] > TINY else []
