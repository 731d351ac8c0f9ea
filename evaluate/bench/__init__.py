# SPDX-License-Identifier: Apache-2.0
"""`tiled-se bench`: measure the blocks of known networks, and write benchmarks.md with its plots."""

from .command import bench

__all__ = ["bench"]
