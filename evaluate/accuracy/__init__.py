# SPDX-License-Identifier: Apache-2.0
"""`tiled-se evaluate`: what tiles and integers cost a network on the user's own data."""

from .command import evaluate

__all__ = ["evaluate"]
