# SPDX-License-Identifier: Apache-2.0
"""A network with blocks in integers: the golden model in their place."""

from .block import IntegerBlock
from .hybrid import Hybrid

__all__ = ["Hybrid", "IntegerBlock"]
