# SPDX-License-Identifier: Apache-2.0
"""Measurements: benchmarks, reports, the paper's tables, plans, accuracy, sweeps, the demo, the study.

Each command's function is exported by a subpackage only: ``evaluate`` by :mod:`.accuracy`, each other one by that of
its own name, like ``bench`` by :mod:`.bench`.
"""

from ..hdl.lazy import lazy

__all__, __getattr__ = lazy(__name__, {
    "budget": "Budget",
    "measure": "measure_task",
    "networks": "BlockShape load_networks",
    "options": "BenchOptions DemoOptions EvaluateOptions PlanOptions ReportOptions SimspeedOptions StudyOptions"
               " SweepOptions",
    "tasks": "Kind Task",
})
