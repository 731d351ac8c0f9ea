# SPDX-License-Identifier: Apache-2.0
"""Tiled squeeze-and-excite: RTL generator, golden model, simulation, and tools around them.

The packages are folders at the top level of the project: `hdl/` is installed as ``tiled_se.hdl``, and so on; this file
is ``tiled_se`` itself. A folder of that name would hide an installed package from whoever works in a checkout.
"""

import importlib.metadata

__all__ = ["__version__"]

__version__ = importlib.metadata.version("tiled-se")
