# SPDX-License-Identifier: Apache-2.0
"""The simulators: what each runs, which program it needs, and how long its scenarios may be."""

import dataclasses
import functools
import math
import shutil
from collections.abc import Callable

from ...cosim.build import build_simulation
from ...cosim.job import Job
from ...cosim.result import SimResult
from ...cosim.run import simulate
from ...cosim.standalone import build_model
from ..configurations import NamedBlock
from . import models, pysim

__all__ = ["REFERENCE", "SIMULATORS", "Simulator"]

TOP = "tiled_se"


@dataclasses.dataclass(frozen=True)
class Simulator:
    """A way to simulate a block: `what` says for the user what runs in which simulator.

    ``prepare(block)`` returns a function that runs a Job and returns a SimResult. Scenarios of more than `most` cycles
    are left out, but never the shortest one. `program` must be on PATH.
    """

    what: str
    prepare: Callable[[NamedBlock], Callable[[Job], SimResult]]
    most: float = math.inf
    program: str | None = None

    @property
    def lacks(self) -> str | None:
        """Why it can't be run; None if it can."""
        if self.program is not None and shutil.which(self.program) is None:
            return f"{self.program} is not on PATH"
        return None


def _cocotb(verilog, *taps, **options):
    return functools.partial(simulate, build_simulation(verilog, TOP, *taps, **options))


def _cxxrtl(block):
    verilog = block.design.verilog
    return build_model(verilog, TOP, engine="cxxrtl", source=models.cxxrtl(verilog, TOP)).run


def _netlist(block):
    return models.ecp5(block.config, block.baked) + models.cell_models()


REFERENCE = "verilator"
SIMULATORS = {
    REFERENCE: Simulator("the Verilog, in Verilator under cocotb",
                         lambda block: _cocotb(block.design.verilog, block.design.taps)),
    "cxxrtl": Simulator("the Verilog as yosys reads it, in CXXRTL", _cxxrtl),
    "icarus": Simulator("the Verilog, in Icarus Verilog under cocotb, moved by Python",
                        lambda block: _cocotb(block.design.verilog, simulator="icarus"), 15_000, "iverilog"),
    "amaranth": Simulator("the Amaranth source, in Amaranth's simulator, moved by Python",
                          lambda block: functools.partial(pysim.run, block.config, block.baked), 4_000),
    "ecp5": Simulator("the netlist of ECP5 cells, in Verilator",
                      lambda block: build_model(_netlist(block), TOP).run),
    "ecp5 icarus": Simulator("the netlist of ECP5 cells, in Icarus Verilog under cocotb, moved by Python",
                             lambda block: _cocotb(_netlist(block), simulator="icarus"), 4_000, "iverilog"),
}
