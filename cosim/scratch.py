# SPDX-License-Identifier: Apache-2.0
"""Folders for temporary files; where there is no room for them, the error says so and names the folder."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator

from ..hdl.errors import ToolFailure, reason

__all__ = ["ScratchError", "scratch", "scratch_root", "told"]

# With fewer bytes left than this, a program that failed is taken to have failed for want of room.
FULL = 1 << 16
# Errors of writing to a file that is open: they don't name it.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


class ScratchError(ToolFailure):
    """The folder for temporary files is missing, may not be written, or is full; the text is one line, for the user."""


def scratch_root() -> str:
    """The folder that temporary files go to: TMPDIR, else the system's. Raises ScratchError where it can't be one."""
    chosen = os.environ.get("TMPDIR")
    try:
        root = os.path.abspath(chosen) if chosen else tempfile.gettempdir()
    except OSError as error:
        raise ScratchError(f"{reason(error)}; TMPDIR can name a folder for temporary files") from None
    if not os.path.isdir(root):
        raise ScratchError(f"{_named(root)} is no folder; must be one, for temporary files")
    return root


@contextlib.contextmanager
def scratch() -> Iterator[str]:
    """A temporary folder, which is removed on leaving the block.

    Raises ScratchError where it can't be made, or where what is written into it finds no room.
    """
    root = scratch_root()
    with told(root), tempfile.TemporaryDirectory(prefix="tiled-se-", dir=root, ignore_cleanup_errors=True) as folder:
        yield folder


@contextlib.contextmanager
def told(root: str) -> Iterator[None]:
    """Raise ScratchError for a failure of the block to write below the folder `root`, which temporary files go to."""
    try:
        yield
    except OSError as error:
        inside = (error.errno in NO_ROOM if error.filename is None
                  else os.path.commonpath([root, os.path.abspath(os.fsdecode(error.filename))]) == root)
        if not inside:
            raise
        raise ScratchError(f"{_named(root)} can't be written, for temporary files: {reason(error)}") from error
    except ScratchError:
        raise
    except ToolFailure as error:
        # A program that failed may have found no room, and none to say so.
        space = os.statvfs(root)
        if space.f_bavail * space.f_frsize >= FULL:
            raise
        raise ScratchError(f"{_named(root)} is full, for temporary files: {error}") from error


def _named(root: str) -> str:
    chosen = os.environ.get("TMPDIR")
    return f"TMPDIR={chosen}:" if chosen else f"TMPDIR is not set, and {root}"
