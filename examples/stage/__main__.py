# SPDX-License-Identifier: Apache-2.0
"""Simulates a small stage against its golden model, and measures the memory of a large one: ``python -m stage``."""

import re
import sys

import numpy as np

from tiled_se.gen import convert, memories
from tiled_se.hdl import Config, Context, Technology

from .golden import GoldenStage
from .quantise import FloatStage, quantise
from .simulate import simulate
from .stage import Stage

# Input channels, squeezed ones, output channels; the rest is the attention block's.
SMALL = dict(channels=16, squeeze=4, outputs=8, lanes=4, width=12, k=7)
HEIGHTS = 7, 9, 1, 14
# As large as the first block of EfficientNet-B0; and the same with gates from the rows before each row.
LARGE = dict(channels=32, squeeze=8, outputs=16, lanes=4, width=112, k=7)
CAUSAL = LARGE | dict(k=1, context=Context.CAUSAL, prior_rows=1)
# Memories by their place in the netlist, and what they are. The first that fits counts.
ROLES = {
    r"attention\.block\.tile_buffer\.": "attention: tile buffer",
    r"attention\.block\.parameters\.|.*\.(weights|bias|multiplier|shift)$": "all parameters",
    r"attention\.": "attention: sums, gates, queues",
    r"depthwise\.window\.row_": "depthwise: two rows",
    r"depthwise\.window\.column_": "depthwise: two pixels of three rows",
}


def build(heights, channels, squeeze, outputs, seed=1, **block):
    """Random frames of these heights, their quantised stage, and what the golden model makes of them.

    Returns the integer frames, the :class:`QuantisedStage`, the golden outputs, and the float64 outputs in their scale.
    """
    rng = np.random.default_rng(seed)
    real = FloatStage(channels, squeeze, outputs, seed)
    config = Config(channels=channels, squeeze=squeeze, macs=1, **block)
    x = [rng.normal(0.3, 1, (height, config.width, channels)) for height in heights]
    stage = quantise(real, x, config)
    frames = [stage.x_format.quantise(frame) for frame in x]
    golden = GoldenStage(stage)
    floats = [real.stages(frame, stage.config)[-1] / stage.y_format.scale + stage.y_format.zero_point for frame in x]
    return frames, stage, [golden.run(frame) for frame in frames], floats


def exact(outputs, lasts, expected, lanes):
    """Whether all beats are those of the golden model, and the last ones of each frame marked."""
    rows = np.concatenate([frame.reshape(-1, lanes) for frame in expected])
    ends = np.cumsum([frame.size // lanes for frame in expected]) - 1
    return np.array_equal(outputs, rows) and lasts == ends.tolist()


def memory(stage):
    """Bits of the memories of each role, read off the netlist of a :class:`Stage`."""
    bits = dict.fromkeys(ROLES.values(), 0)
    for one in memories(convert(stage, Technology("stage"))[1], "stage"):
        bits[next(role for pattern, role in ROLES.items() if re.match(pattern, one.path))] += one.bits
    return bits


def main():
    lanes = SMALL["lanes"]
    frames, stage, expected, floats = build(HEIGHTS, **SMALL)
    beats = sum(frame.size for frame in frames) // lanes
    error = np.concatenate([np.abs(y - real).ravel() for y, real in zip(expected, floats, strict=True)])
    print(f"stage       {_text(SMALL)}; {len(frames)} frames of {', '.join(map(str, HEIGHTS))} rows")
    print(f"quantised   {error.max():.2f} LSB from float64 at most, {error.mean():.2f} on average")
    right = True
    for pause in (0, 0.3):
        outputs, lasts, moved_in, moved_out = simulate(Stage(stage), frames, pause, pause)
        right &= (same := exact(outputs, lasts, expected, lanes))
        print(f"pauses {pause:<4} {'bit-exact' if same else 'WRONG'}; {beats:,} beats in "
              f"{moved_in[-1] - moved_in[0] + 1:,} cycles; first output in cycle {moved_out[0] - moved_in[0]}")
    for shape in (LARGE, CAUSAL):
        bits = memory(Stage(build((8,), **shape)[1]))
        print(f"\nmemory      {_text(shape)}, in bits")
        for role, number in bits.items():
            print(f"  {role:36}{number:>9,}")
    height = LARGE["width"]
    print(f"\na buffer of the whole map, {height} rows: {8 * height * LARGE['width'] * LARGE['channels']:,} bits")
    return not right


def _text(shape):
    names = dict(width="W", channels="C", squeeze="CR", outputs="outputs", lanes="LANES", k="K", context="CONTEXT")
    return " ".join(f"{text}={getattr(shape[name], 'value', shape[name])}" for name, text in names.items()
                    if name in shape)


if __name__ == "__main__":
    sys.exit(main())
