# SPDX-License-Identifier: Apache-2.0
"""Write the block and what the host needs: block.py FOLDER [options of `tiled-se verilog`].

FOLDER gets the files of `tiled-se verilog` and frames.npz: frames x_0, x_1, ... in the order of the stream, of several
heights, and what the golden model makes of them, y_0, y_1, ...
"""

import contextlib
import io
import os
import sys

import numpy as np

from tiled_se.cli.main import main
from tiled_se.cli.parser import parse
from tiled_se.gen import VerilogOptions, prepare
from tiled_se.gen.fields import UsageError, from_texts
from tiled_se.gen.report import describe_block
from tiled_se.golden.integer import IntegerModel
from tiled_se.hdl.config import ConfigError

__all__ = ["write"]

# Of the host's integers: those that numpy has.
BITS = (8, 16)


def write(folder, options):
    """Write the files of the block that the texts `options` describe; the exit status. Bad ones end in one line."""
    arguments = ["verilog", *options, "--loadable=1", f"--out={folder}"]
    try:
        spec = prepare(from_texts(VerilogOptions, parse(arguments)[1]))
    except (ConfigError, UsageError):
        # It says what is wrong.
        return main(arguments)
    config, model = spec.config, IntegerModel(spec.config, spec.quantised.parameters)
    if config.data.bits not in BITS or config.outputs.bits not in BITS:
        print(f"block.py: error: DTYPE={config.data}, Y_DTYPE={config.outputs}: must have 8 or 16 bits",
              file=sys.stderr)
        return 2
    # Its list of files is long.
    with contextlib.redirect_stdout(io.StringIO()):
        status = main(arguments)
    if status:
        return status
    print(f"block       {describe_block(config)}, in {folder}")
    frames = list(spec.streamed(spec.frames()))
    # Some that are shorter than a tile, or not a multiple of it.
    frames += [frames[0][:rows] for rows in (1, config.k + 1)]
    arrays = {f"x_{number}": frame for number, frame in enumerate(frames)}
    for number, frame in enumerate(frames):
        y = model.run(frame.astype(np.int64)).y.numpy()
        arrays[f"y_{number}"] = y.astype(f"{'i' if config.outputs.signed else 'u'}{config.outputs.bits // 8}")
    np.savez(os.path.join(folder, "frames.npz"), **arrays)
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("block.py: error: usage: block.py FOLDER [options of tiled-se verilog]")
    sys.exit(write(sys.argv[1], sys.argv[2:]))
