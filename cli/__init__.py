# SPDX-License-Identifier: Apache-2.0
"""The command line of tiled-se. From Python, call the commands themselves: COMMANDS has their functions and options."""

from ..hdl.lazy import lazy

__all__, __getattr__ = lazy(__name__, {"commands": "COMMANDS Command"})
