# SPDX-License-Identifier: Apache-2.0
"""The map of a block's registers, in SystemRDL, and what is made of it."""

from .documents import DOCUMENTS, check_packages, documents, map_values, rdl

__all__ = ["DOCUMENTS", "check_packages", "documents", "map_values", "rdl"]
