# SPDX-License-Identifier: Apache-2.0
"""Co-simulation: build a simulator from Verilog, run scripted jobs in it under cocotb, compare every beat."""

from ..hdl.lazy import lazy

__all__, __getattr__ = lazy(__name__, {
    "build": "Build build_simulation",
    "cache": "Cache",
    "foreign": "build_module run_module",
    "job": "Drain Frame Hold Idle Job Load Reset ResetAfter Send Snapshot",
    "result": "ModelError SimResult SimulationError",
    "run": "simulate",
    "standalone": "Model build_model",
    "taps": "Difference",
    "tools": "BuildError",
})
