# SPDX-License-Identifier: Apache-2.0
"""The environment variables with which cocotb runs a test in a simulator."""

import os
import sys

import cocotb_tools.config
import find_libpython

from .result import SimulationError

__all__ = ["cocotb_environment"]


def cocotb_environment(module, top, results, seed, trust_writes):
    """The environment in which cocotb 2.1 finds this Python from the simulator, without what an outer run has set.

    ``module`` is the dotted name of the module with the tests, ``top`` the simulation's top module, ``results`` the
    XML file to write. ``trust_writes``: the simulator applies writes at the right moment; Verilator does, Icarus does
    not. SimulationError is raised if this Python has no shared library.
    """
    libpython = os.environ.get("LIBPYTHON_LOC") or find_libpython.find_libpython()
    if libpython is None:
        raise SimulationError("cocotb needs Python's shared library, which this Python doesn't have")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("COCOTB_", "GPI_", "PYGPI_"))}
    return {**ours, "COCOTB_TEST_MODULES": module, "COCOTB_TOPLEVEL": top,
            "TOPLEVEL_LANG": "verilog", "COCOTB_RESULTS_FILE": str(results),
            "COCOTB_RANDOM_SEED": str(seed),
            # Starting numpy's threads for linear algebra, which is not used, takes much of the start's CPU time.
            "OPENBLAS_NUM_THREADS": "1",
            # Rewriting assertions would import pytest at every start.
            "COCOTB_REWRITE_ASSERTION_FILES": "", "COCOTB_ANSI_OUTPUT": "0",
            "COCOTB_TRUST_INERTIAL_WRITES": str(int(trust_writes)),
            "GPI_USERS": f"{libpython};{cocotb_tools.config.pygpi_entry_point()}",
            "PYGPI_PYTHON_BIN": sys.executable, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
