# SPDX-License-Identifier: Apache-2.0
"""Standard output and standard error of a command, which may be closed, full or a broken pipe."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any

from ..hdl.errors import reason

__all__ = ["CLOSED", "OutputLost", "standard_streams"]


class OutputLost(BaseException):
    """Standard output can't be written; the text is a line for the user.

    It is no OSError, which might be of any file, and no Exception, which a command might take for a task's failure.
    """


CLOSED = OutputLost("standard output can't be written: it is closed")


@contextlib.contextmanager
def standard_streams() -> Iterator[bool]:
    """Have a failure to write standard output raise OutputLost, and one to write standard error pass.

    Yields whether standard output is closed; what is printed is lost then. Streams that are no files of the system, as
    tests have them, are left alone.
    """
    closed, before = sys.stdout is None, (sys.stdout, sys.stderr)
    _occupy()
    try:
        # An exit status tells what a message that is lost would have told.
        sys.stderr = _stream(sys.stderr, 2, _Heedless)
        sys.stdout = _stream(sys.stdout, 1, _Strict)
        yield closed
    finally:
        # Nothing is left in these, or nobody to write it to.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, OutputLost):
                stream.flush()
        sys.stdout, sys.stderr = before


def _occupy() -> None:
    """Open the null device in the place of standard files that are closed.

    Otherwise the next files that are opened, results perhaps, get their numbers, and libraries print into them.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free.
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)


def _stream(old: Any, number: int, kind: type[io.FileIO]) -> Any:
    """A stream like `old`, over a file of `kind`; `old` itself if it is no file. None stands for a closed one."""
    try:
        number = number if old is None else old.fileno()
    except (AttributeError, OSError):
        return old
    if old is not None:
        with contextlib.suppress(OSError):
            old.flush()
    # File names may not be valid text, or have characters that the terminal lacks: they are printed escaped.
    errors = "backslashreplace" if old is None or old.errors == "strict" else old.errors
    return io.TextIOWrapper(io.BufferedWriter(kind(number, "wb", closefd=False)), errors=errors,
                            encoding=None if old is None else old.encoding,
                            line_buffering=number == 2 or bool(old and (old.line_buffering or old.write_through)))


class _Strict(io.FileIO):
    lost = False

    def write(self, data: Any, /) -> int:
        if self.lost:
            # Said already: the rest goes nowhere, without another exception while a command cleans up.
            return len(data)
        try:
            return super().write(data)
        except OSError as error:
            self.lost = True
            raise OutputLost(f"standard output can't be written: {reason(error)}") from error


class _Heedless(io.FileIO):
    def write(self, data: Any, /) -> int:
        with contextlib.suppress(OSError):
            return super().write(data)
        return len(data)
