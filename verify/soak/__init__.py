# SPDX-License-Identifier: Apache-2.0
"""`tiled-se soak`: hostile streams through random blocks, each repeatable by its seed and number."""

from ...hdl.lazy import lazy

__all__, __getattr__ = lazy(__name__, {"command": "soak"})
