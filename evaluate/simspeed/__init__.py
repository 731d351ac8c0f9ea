# SPDX-License-Identifier: Apache-2.0
"""`tiled-se simspeed`: how fast the block simulates, by four test benches on the same Verilog."""

from ...hdl.lazy import lazy

__all__, __getattr__ = lazy(__name__, {"command": "simspeed"})
