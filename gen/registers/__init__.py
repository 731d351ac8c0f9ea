# SPDX-License-Identifier: Apache-2.0
"""The map of a block's registers, in SystemRDL, and what is made of it."""

__all__ = []
