# SPDX-License-Identifier: Apache-2.0
"""The two blocks as Verilog with their parameter files, and the test vectors of both, one after the other.

    python blocks.py FOLDER

`strips` averages over its own seven rows. `causal` follows it, and averages over the rows before each row.
"""

import pathlib
import sys

import numpy as np

from tiled_se.gen import VerilogOptions, prepare, write_verilog
from tiled_se.golden import IntegerModel
from tiled_se.hdl import Context

WIDTH, CHANNELS, SQUEEZE, LANES = 16, 16, 4, 4
HEIGHTS = 14, 1, 9, 7, 16  # of the frames, back to back: whole tiles, a single row, a ragged last tile


def weights(path, rng, **functions):
    """Write a WEIGHTS file. Save your own trained arrays here."""
    np.savez(path, w1=rng.normal(0, 0.3, (SQUEEZE, CHANNELS)), b1=rng.normal(0, 0.3, SQUEEZE),
             w2=rng.normal(0, 1, (CHANNELS, SQUEEZE)), b2=rng.normal(0, 1, CHANNELS), **functions)
    return str(path)


def block(folder, name, **options):
    """Write the files of a loadable block into FOLDER/NAME; returns its :class:`~tiled_se.gen.BlockSpec`."""
    options = VerilogOptions(name=name, lanes=LANES, loadable=True, out=str(folder / name), **options)
    write_verilog(options)
    return prepare(options)


def beats(frames):
    """Lines of hexadecimal numbers: tlast, then the channels of the beat, the first one in the low bits."""
    for frame in frames:
        rows = frame.reshape(-1, LANES).astype(np.uint8)
        for number, row in enumerate(rows, 1):
            yield f"{number == len(rows):x}_{row[::-1].tobytes().hex()}\n"


def main(folder):
    rng = np.random.default_rng(1)
    x = folder / "x.npz"
    np.savez(x, x=rng.normal(0.5, 2, (len(HEIGHTS), max(HEIGHTS), WIDTH, CHANNELS)))
    first = block(folder, "strips", k=7, weights=weights(folder / "strips.npz", rng), input=str(x), y_scale="auto")
    model = IntegerModel(first.config, first.quantised.parameters)

    # The input of the second block has the scale and the zero point of the first one's output.
    between = folder / "between.npz"
    np.savez(between, x_q=model.run(first.x).y.numpy().astype(first.y_format.data.numpy),
             x_scale=first.y_format.scale, x_zero_point=first.y_format.zero_point)
    second = block(folder, "causal", k=1, context=Context.CAUSAL, input=str(between),
                   weights=weights(folder / "causal.npz", rng, mid="silu", gate="hardsigmoid"))
    assert second.format == first.y_format

    frames = [frame[:height] for frame, height in zip(first.frames(), HEIGHTS, strict=True)]
    model_2 = IntegerModel(second.config, second.quantised.parameters)
    outputs = [model_2.run(model.run(frame).y).y.numpy() for frame in frames]
    (folder / "frames.hex").write_text("".join(beats(frames)))
    (folder / "expected.hex").write_text("".join(beats(outputs)))
    words = {name: len((folder / name / f"{name}.params.hex").read_text().split()) for name in ("strips", "causal")}
    (folder / "sizes.sv").write_text("".join((
        "package sizes;\n", f"    localparam int BITS = {8 * LANES};\n",
        *(f"    localparam int {name.upper()}_WORDS = {count};\n" for name, count in words.items()), "endpackage\n")))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
