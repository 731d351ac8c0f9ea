# SPDX-License-Identifier: Apache-2.0
"""The regression: scenarios that every block is held to, with their stimulus and expected results."""

from .scenario import MISUSED, Scenario
from .scenarios import STALLS
from .suite import suite

__all__ = ["MISUSED", "STALLS", "Scenario", "suite"]
