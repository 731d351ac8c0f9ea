# SPDX-License-Identifier: Apache-2.0
"""Measurements: benchmarks, reports, the paper's tables, sweeps, the demo."""
