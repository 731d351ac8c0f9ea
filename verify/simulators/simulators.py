# SPDX-License-Identifier: Apache-2.0
"""The simulators: what each runs, which program it needs, and how long its scenarios may be."""

import dataclasses
import functools
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

ENDLESS = 10**12


@dataclasses.dataclass(frozen=True)
class Simulator:
    """A way to simulate a block.

    Attributes
    ----------
    what : str
        What runs in which simulator, for the user.
    prepare : callable
        ``prepare(block)`` returns a function that runs a Job and returns a SimResult.
    most : int
        Scenarios of more cycles are left out, but never the shortest one.
    program : str or None
        The program that must be on PATH.
    """

    what: str
    prepare: Callable[[NamedBlock], Callable[[Job], SimResult]]
    most: int = ENDLESS
    program: str | None = None

    @property
    def lacks(self) -> str | None:
        """Why it can't be run; None if it can."""
        if self.program is not None and shutil.which(self.program) is None:
            return f"{self.program} is not on PATH"
        return None


def _verilator(block):
    built = build_simulation(block.design.verilog, block.design.top, block.design.taps)
    return functools.partial(simulate, built)


def _cxxrtl(block):
    design = block.design
    source = models.cxxrtl(design.verilog, design.top)
    return build_model(design.verilog, design.top, engine="cxxrtl", source=source).run


def _icarus(block):
    return functools.partial(simulate, build_simulation(block.design.verilog, block.design.top, simulator="icarus"))


def _amaranth(block):
    return functools.partial(pysim.run, block.config, block.baked)


def _netlist(block):
    return build_model(models.ecp5(block.config, block.baked) + models.cell_models(), "tiled_se").run


def _netlist_icarus(block):
    text = models.ecp5(block.config, block.baked) + models.cell_models()
    return functools.partial(simulate, build_simulation(text, "tiled_se", simulator="icarus"))


REFERENCE = "verilator"
SIMULATORS = {
    REFERENCE: Simulator("the Verilog, in Verilator under cocotb", _verilator),
    "cxxrtl": Simulator("the Verilog as yosys reads it, in CXXRTL", _cxxrtl),
    "icarus": Simulator("the Verilog, in Icarus Verilog under cocotb, moved by Python", _icarus, 15_000, "iverilog"),
    "amaranth": Simulator("the Amaranth source, in Amaranth's simulator, moved by Python", _amaranth, 4_000),
    "ecp5": Simulator("the netlist of ECP5 cells, in Verilator", _netlist),
    "ecp5 icarus": Simulator("the netlist of ECP5 cells, in Icarus Verilog under cocotb, moved by Python",
                             _netlist_icarus, 4_000, "iverilog"),
}
