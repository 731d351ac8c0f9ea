# SPDX-License-Identifier: Apache-2.0
"""`tiled-se study`: networks trained with squeeze-and-excite and with its tilings, compared."""

from .command import study

__all__ = ["study"]
