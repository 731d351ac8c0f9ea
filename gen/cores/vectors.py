# SPDX-License-Identifier: Apache-2.0
"""A short frame and the golden model's outputs, for the bench of a block."""

import dataclasses
import importlib.util

import numpy as np

from ...cosim.packing import pack
from ...hdl.config import Config, Order
from ..block_spec import BlockSpec

__all__ = ["MOST_BEATS", "bench_lacks", "frame_lines", "load_golden", "vectors"]

# Most beats of the frame: of maps that are too large, a whole tile is not in it.
MOST_BEATS = 1 << 16


def bench_lacks(spec: BlockSpec) -> str | None:
    """Why there can be no bench for a block; None if there can be one."""
    beats = _line_beats(spec.config)
    if beats > MOST_BEATS:
        return f"no bench was written: a line of the map has {beats} beats, and vectors have {MOST_BEATS} at most"
    if importlib.util.find_spec("torch") is None:
        return "no bench was written: its vectors need the golden model, and torch is not installed"
    return None


def load_golden(spec: BlockSpec) -> None:
    """Import what :func:`vectors` will need for a block."""
    if bench_lacks(spec) is None:
        from ...golden import integer  # noqa: F401  # it stays imported


def frame_lines(spec: BlockSpec) -> int:
    """Lines of the frame: a whole tile and one more, which is a ragged one; a whole window and one more.

    Fewer if these are too many beats, or more than INPUT's frames have.
    """
    config = spec.config
    wanted = (config.k if config.window is None else sum(config.window)) + 1
    given = wanted if spec.x is None else spec.lines
    return min(wanted, given, MOST_BEATS // _line_beats(config))


def vectors(spec: BlockSpec) -> tuple[np.ndarray, np.ndarray]:
    """Beats of a frame and of its outputs: uint8 (n, bytes of tdata) each, the low byte first.

    The frame is the beginning of INPUT's first one, or a random one. Imports torch.
    """
    from ...golden.integer import IntegerModel

    config, lines = spec.config, frame_lines(spec)
    size = {"width" if config.order is Order.COLUMNS else "height": lines, "frames": 1}
    frames = dataclasses.replace(spec, shape=dataclasses.replace(spec.shape, **size)).frames()
    x = spec.streamed(frames[:1])[0, :lines].astype(np.int64)
    y = IntegerModel(config, spec.quantised.parameters).run(x).y.numpy()
    lanes = config.lanes
    return pack(x.reshape(-1, lanes), config.data), pack(y.reshape(-1, lanes), config.outputs)


def _line_beats(config: Config) -> int:
    return config.width * config.channels // config.lanes
