# SPDX-License-Identifier: Apache-2.0
"""Measurements: benchmarks, reports, the paper's tables, sweeps, the demo.

Each command's function is exported by the subpackage of the same name only, like ``bench`` by :mod:`.bench`.
"""

from ..hdl.lazy import lazy

__all__, __getattr__ = lazy(__name__, {
    "measure": "measure_task",
    "networks": "BlockShape load_networks",
    "options": "BenchOptions DemoOptions ReportOptions SimspeedOptions SweepOptions",
    "tasks": "Kind Task",
})
