# SPDX-License-Identifier: Apache-2.0
"""`tiled-se sweep`: a list of configurations, each co-simulated, and a table of the results."""

from .command import sweep

__all__ = ["sweep"]
