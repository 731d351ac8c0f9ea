# SPDX-License-Identifier: Apache-2.0
"""Builds the SoC with its block, and simulates it in Verilator: ``python simulate.py FOLDER``."""

import logging
import pathlib
import sys

import bench
import numpy as np
import soc

from tiled_se.cosim import build_module, run_module
from tiled_se.gen.verilog import release
from tiled_se.golden import IntegerModel
from tiled_se.hdl import Timing

BLOCK = dict(k=3, width=6, channels=8, lanes=4, height=7, frames=3)
HEIGHTS = 7, 1, 3  # of the frames: two tiles and a ragged one, a single row, a whole tile
HOST_IN = "cyc", "stb", "we", "adr", "dat_w", "sel", "cti", "bte"
HOST_OUT = "ack", "err", "dat_r"


def words(frame):
    """A frame of int8 or uint8 as the 32-bit words of a little-endian memory, the first channel in the low byte."""
    return np.ascontiguousarray(frame, frame.dtype.newbyteorder("<")).view("<u4").ravel()


def write_vectors(path, se):
    """Write what the test needs: parameter stream, frames `x`, their outputs `y` by the golden model."""
    spec = se.spec
    model = IntegerModel(spec.config, spec.quantised.parameters)
    inputs = [frame[:height] for frame, height in zip(spec.frames(), HEIGHTS, strict=True)]
    outputs = [model.run(frame).y.numpy().astype(spec.y_format.data.numpy) for frame in inputs]
    np.savez(path, params=np.array(se.parameter_words), **{f"x{i}": words(x) for i, x in enumerate(inputs)},
             **{f"y{i}": words(y) for i, y in enumerate(outputs)}, version=np.array(release()),
             most_peak=np.array([Timing(spec.config).buffer_words]))


def compiled(files):
    """The simulation of the SoC's Verilog files, which Verilator makes unless it is in the cache."""
    return build_module("".join(file.read_text() for file in files), "soc",
                        ("clk", "rst", *(f"host_{name}" for name in HOST_IN)), [f"host_{name}" for name in HOST_OUT])


def main(folder):
    # LiteX says much, all of it of no concern here.
    logging.disable(logging.INFO)
    folder = pathlib.Path(folder).absolute()
    system, files = soc.build(folder, **BLOCK)
    write_vectors(folder / bench.VECTORS, system.se)
    tests, failed = run_module(compiled(files), "soc", "bench", folder)
    if failed or not tests:
        print(f"{failed} of {tests} tests failed; {folder / 'simulation.log'} says why")
        return 1
    print(f"{tests} tests passed: {len(HEIGHTS)} frames from RAM to RAM as the golden model has them, a cut frame, "
          "refused parameters, a reset")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
