# SPDX-License-Identifier: Apache-2.0
"""`tiled-se plan`: the context and K of each block of a network that change it least within a memory budget."""

from .command import plan

__all__ = ["plan"]
