# SPDX-License-Identifier: Apache-2.0
"""`tiled-se report`: what tiled squeeze-and-excite saves and costs in a network, and how the paper counts that."""

from .command import report

__all__ = ["report"]
