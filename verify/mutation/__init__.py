# SPDX-License-Identifier: Apache-2.0
"""`tiled-se mutate`: the share of faults in a block's netlist that its regression notices."""

from .command import judge, mutate
from .summary import Judged

__all__ = ["Judged", "judge", "mutate"]
