# SPDX-License-Identifier: Apache-2.0
"""Simulate the board: simulate.py FOLDER, which block.py has written.

The text that is simulated is what yosys gets for the bitstream, in Verilog. Only the FPGA's primitives are models, and
the host's serial port is bits on the pins.
"""

import os
import pathlib
import sys
import time

from bitstream import config_of, fail
from top import NAME, Top, platform_of

from tiled_se.cosim.foreign import build_module, run_module
from tiled_se.hdl.errors import ToolFailure
from tiled_se.verify.simulators.models import OURS

__all__ = ["run"]

CELLS = pathlib.Path(__file__).parent / "cells.v"
WRITTEN, READ = ("clk25_0__io", "uart_0__rx__io"), ("uart_0__tx__io", *(f"led_{number}__io" for number in range(8)))


def run(folder):
    """Simulate the block in `folder`; whether all was right."""
    folder = pathlib.Path(folder)
    plan = platform_of("12F").prepare(Top(config_of(folder)), NAME, debug_verilog=True, emit_src=False)
    start = time.perf_counter()
    texts = (plan.files[f"{NAME}.debug.v"], plan.files["leaves.v"], CELLS.read_text(), OURS.read_text())
    executable = build_module("\n".join(texts), NAME, WRITTEN, READ)
    built = time.perf_counter()
    os.environ["BLOCK"] = str(folder.absolute())
    transcript = folder / "transcript.txt"
    transcript.unlink(missing_ok=True)
    tests, failed = run_module(executable, NAME, "bench", folder)
    print(transcript.read_text() if transcript.exists() else "", end="")
    print(f"simulation  built in {built - start:.1f} s, ran {time.perf_counter() - built:.1f} s")
    if (tests, failed) != (1, 0):
        print(f"simulate.py: error: what failed is in {folder / 'simulation.log'}", file=sys.stderr)
    return (tests, failed) == (1, 0)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        fail("usage: simulate.py FOLDER")
    try:
        sys.exit(0 if run(sys.argv[1]) else 1)
    except ToolFailure as error:
        fail(str(error))
