# SPDX-License-Identifier: Apache-2.0
"""What a user did wrong, other than a value of the block's parameters."""

__all__ = ["UsageError"]


class UsageError(Exception):
    """A command line that names no known command or option, lacks a value, or needs packages that are not there."""
