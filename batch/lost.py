# SPDX-License-Identifier: Apache-2.0
"""What is raised where tasks have nowhere to run any more."""

from ..hdl.errors import ToolFailure

__all__ = ["EngineLost"]


class EngineLost(ToolFailure):
    """A cluster's scheduler has gone; the text is one line, for the user."""
