# SPDX-License-Identifier: Apache-2.0
"""The simulators that are asked: what each runs, what it takes to have it, and how long a run it is good for."""

import dataclasses
import functools
import shutil

from ...cosim.build import build_simulation
from ...cosim.run import simulate
from ...cosim.standalone import build_model
from ...gen.simulate import bench_taps
from ...gen.verilog import generate
from . import models, pysim

__all__ = ["REFERENCE", "SIMULATORS", "Block", "Simulator"]

ENDLESS = 10**12


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """A configuration with its parameters."""

    config: object
    parameters: object

    @property
    def baked(self):
        """What is built in: None for a loadable block."""
        return None if self.config.loadable else self.parameters

    @functools.cached_property
    def design(self):
        """The generated block."""
        return generate(self.config, self.baked)


@dataclasses.dataclass(frozen=True)
class Simulator:
    """One opinion.

    Attributes
    ----------
    what : str
        What runs in what, for the user.
    prepare : callable
        ``prepare(block)`` gives ``run(job)``, which gives a SimResult.
    most : int
        Cycles above which a run is left out, unless it is the shortest of all.
    program : str or None
        What has to be on PATH.
    """

    what: str
    prepare: object
    most: int = ENDLESS
    program: str | None = None

    @property
    def lacks(self):
        """Why it can't be asked, None where it can."""
        if self.program is not None and shutil.which(self.program) is None:
            return f"{self.program} is not on PATH"
        return None


def _verilator(block):
    built = build_simulation(block.design.verilog, block.design.top, bench_taps(block.design))
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
