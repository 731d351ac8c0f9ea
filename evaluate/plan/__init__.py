# SPDX-License-Identifier: Apache-2.0
"""`tiled-se plan`: context, K and output format of each block that change its gates least within a memory budget."""

from .command import plan

__all__ = ["plan"]
