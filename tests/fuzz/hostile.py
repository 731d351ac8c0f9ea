# SPDX-License-Identifier: Apache-2.0
"""For tests of what looks at hostile command lines."""

from tiled_se.cosim.cache import default_root
from tiled_se.verify.soak.hostile_lines import Line

__all__ = ["right", "with_cache"]


def with_cache(folder):
    """`folder`, whose runs build into the user's own cache, as all other tests do."""
    default_root().mkdir(parents=True, exist_ok=True)
    (folder / "cache").symlink_to(default_root())
    return folder


def right(command, files=None, planned=False, **said):
    """A Line of `command` with options `said`, which is right."""
    arguments = (command, *(f"--{name.replace('_', '-')}={text}" for name, text in said.items()))
    return Line(0, command, arguments, files or {}, said, "right", frozenset(), planned=planned)
