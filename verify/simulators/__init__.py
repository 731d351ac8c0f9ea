# SPDX-License-Identifier: Apache-2.0
"""`tiled-se crosscheck`: the same scenarios in several simulators and in the synthesised netlist."""

from .command import crosscheck, select
from .simulators import REFERENCE, SIMULATORS, Simulator

__all__ = ["REFERENCE", "SIMULATORS", "Simulator", "crosscheck", "select"]
