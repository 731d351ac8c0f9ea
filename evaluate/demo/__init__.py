# SPDX-License-Identifier: Apache-2.0
"""`tiled-se demo`: a trained text detector with its squeeze-and-excite blocks tiled, in float, in integers, in RTL."""

from .command import demo

__all__ = ["demo"]
