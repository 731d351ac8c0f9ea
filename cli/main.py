# SPDX-License-Identifier: Apache-2.0
"""The command `tiled-se`: run one command, print errors, give the exit status."""

import contextlib
import importlib.metadata
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence

from ..gen.fields import UsageError, from_texts
from ..gen.options import BlockOptions, describe
from ..hdl.errors import ConfigError, ToolFailure
from .commands import COMMANDS
from .parser import parse

__all__ = ["main"]

# Exit statuses.
OK, MISMATCH, BAD_INPUT, TOOL_FAILED, NO_OUTPUT, INTERRUPTED, CLOSED_PIPE = 0, 1, 2, 3, 74, 130, 141

# Exceptions that end in one line, and their exit status.
STATUSES: dict[type[BaseException], int] = {
    UsageError: BAD_INPUT, ConfigError: BAD_INPUT, MemoryError: BAD_INPUT, ToolFailure: TOOL_FAILED,
    KeyboardInterrupt: INTERRUPTED}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` name, by default those of this process, without the program's name.

    Returns the exit status. 2 comes with one line on stderr, and then nothing was written.
    """
    # File names may not be valid text, or have characters that the terminal lacks: have them printed escaped.
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure and getattr(sys.stdout, "errors", None) == "strict":
        reconfigure(errors="backslashreplace")
    try:
        try:
            return _command(sys.argv[1:] if arguments is None else arguments)
        finally:
            # Otherwise Python flushes after this function has returned, and prints a traceback where that fails.
            if sys.stdout is not None:
                sys.stdout.flush()
    except OSError as error:
        if error.filename is not None or sys.stdout is None:
            raise
        # What Python would still flush has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            # Whoever read our output has gone.
            return CLOSED_PIPE
        return _fail(f"standard output can't be written: {error.strerror}", NO_OUTPUT)


def _command(arguments: Sequence[str]) -> int:
    options: type = BlockOptions
    try:
        name, texts = parse(arguments)
        if name == "version":
            print(f"tiled-se {importlib.metadata.version('tiled-se')}")
        if name in ("version", "help"):
            return OK
        with _terminated_as_interrupted():
            options = COMMANDS[name].load_options()
            return _run(name, from_texts(options, texts))
    except tuple(STATUSES) as error:
        return _failed(error, options)


def _run(name: str, options: object) -> int:
    return OK if COMMANDS[name].load_function()(options) else MISMATCH


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Have the first SIGTERM, as a scheduler or `timeout` sends it, raise KeyboardInterrupt, as Ctrl-C does.

    Those that follow are ignored while the command cleans up. Does nothing outside of the main thread, or if SIGTERM
    has a handler already.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def interrupt(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _failed(error: BaseException, options: type) -> int:
    """Print `error` as one line, after what a tool printed; the exit status."""
    status = next(status for kind, status in STATUSES.items() if isinstance(error, kind))
    if isinstance(error, ConfigError):
        return _fail(describe(error, options), status)
    if isinstance(error, MemoryError):
        return _fail("this machine has too little memory for that; fewer or smaller frames need less", status)
    if isinstance(error, KeyboardInterrupt):
        return _fail("interrupted", status)
    if isinstance(error, UsageError):
        return _fail(str(error), status)
    # The lines after the first are what a tool printed.
    first, *rest = str(error).splitlines()
    print("\n".join(rest), end="\n" if rest else "", flush=True)
    return _fail(first.rstrip(":"), status)


def _fail(message: str, status: int) -> int:
    """Print `message` as one line, whatever it quotes."""
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
    print(f"tiled-se: error: {line}", file=sys.stderr)
    return status
