# SPDX-License-Identifier: Apache-2.0
"""One of the network's blocks in RTL: its inputs on all pages through the simulated block."""

import dataclasses
import os

import numpy as np

from ...gen.block_spec import prepare
from ...gen.data import input_bytes, weights_bytes
from ...gen.fields import variables
from ...gen.files import write_all
from ...gen.simulation import run
from ...gen.text_table import say
from ...gen.verilog import generate
from ...golden.reference import output_errors
from ...network.read.names import file_name

__all__ = ["RtlBlock"]


class RtlBlock:
    """A block's hardware, made as `tiled-se sim` makes it from WEIGHTS and INPUT, two files in `folder`.

    INPUT has `frames`, int8 (N, H, W, C), a part of those that will be simulated. `integers`, an DetectorBlock, is the
    golden model that the hardware must equal; `form` is its Form.

    Attributes
    ----------
    weights, input : str
        Paths of the files.
    command : str
        Simulates the block again, on the frames of INPUT.
    elements, mismatches : int
        How many outputs were compared with the golden model, and how many differ or are missing.
    largest_error : float
        Of the outputs against squeeze-and-excite of this form in float64, in LSB.
    failures : list of str
        What went wrong, the first of each simulation.
    config : Config
    sram : dict
        Bits of the block's memories, as in report.json.
    """

    def __init__(self, block, integers, frames, folder, form):
        stem = f"{file_name(block.name)}.{form.name}"
        files = {f"{stem}.weights.npz": weights_bytes(block.float_block),
                 f"{stem}.input.npz": input_bytes(frames, integers.format)}
        write_all(folder, files)
        self.weights, self.input = (os.path.join(folder, name) for name in files)
        options = dataclasses.replace(form.options, weights=self.weights, input=self.input)
        self.command = f"make sim {variables(options, always=['k'])}"
        self._spec = prepare(options)
        say("generating the block")
        self._design = generate(self._spec.config, self._spec.baked, self._spec.options.name)
        self._integers = integers
        self.config, self.sram = self._spec.config, self._design.sram
        self.elements, self.mismatches, self.failures, self.largest_error = 0, 0, [], 0.0

    @property
    def bit_exact(self):
        """Whether every output so far was the golden model's, and no stream broke its protocol."""
        return not self.failures

    def run(self, frames):
        """Simulate `frames`, int8 (N, H, W, C) of any height; their outputs, int8 of the same shape."""
        # Later simulations are built already, and short.
        outcome = run(dataclasses.replace(self._spec, x=frames), self._design,
                      say=(lambda text: None) if self.elements else say)
        self.elements += outcome.y.size
        self.mismatches += outcome.mismatches
        self.largest_error = max(self.largest_error, output_errors(self._spec, frames, outcome.y)["lsb"]["max"])
        if not outcome.bit_exact:
            self.failures.append(outcome.first_failure)
        return outcome.y

    def function(self, x_q, y_q):
        """A function for the block's place in the network, for the one frame whose output is `y_q` (H, W, C).

        It takes x (1, C, H, W), which must have the integers `x_q` (H, W, C), and returns y.
        """
        def call(x):
            if not np.array_equal(self._integers.integers(x)[0], x_q):
                raise RuntimeError("the network gave the block another input than was simulated")
            return self._integers.reals(y_q[None])

        return call
