# SPDX-License-Identifier: Apache-2.0
"""The command `tiled-se`: run one command, print errors, give the exit status."""

import contextlib
import importlib.metadata
import importlib.util
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

from ..gen.fields import UsageError, from_texts
from ..gen.options import BlockOptions, describe
from ..hdl.errors import ConfigError, ToolFailure, reason
from .commands import COMMANDS
from .parser import parse
from .streams import CLOSED, OutputLost, standard_streams

__all__ = ["main"]

# Exit statuses.
OK, MISMATCH, BAD_INPUT, TOOL_FAILED, INTERNAL, NO_OUTPUT, INTERRUPTED, CLOSED_PIPE = 0, 1, 2, 3, 70, 74, 130, 141

# The package that brings a module, where their names differ.
PACKAGES = {"PIL": "pillow"}

# Exceptions that end in one line, and their exit status.
STATUSES: dict[type[BaseException], int] = {
    UsageError: BAD_INPUT, ConfigError: BAD_INPUT, MemoryError: BAD_INPUT, ToolFailure: TOOL_FAILED,
    OSError: NO_OUTPUT, KeyboardInterrupt: INTERRUPTED}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` name, by default those of this process, without the program's name.

    Returns the exit status. 2 comes with one line on stderr, and then nothing was written, unless the disk or memory
    was full during the work. 1 is a mismatch and nothing else: an error of this program itself gives 70, after its
    traceback.
    """
    with standard_streams() as closed:
        try:
            return _command(sys.argv[1:] if arguments is None else arguments, closed)
        except OutputLost as lost:
            # Whoever read our output may have gone: then nobody wants a message.
            if isinstance(lost.__cause__, BrokenPipeError):
                return CLOSED_PIPE
            return _fail(str(lost), NO_OUTPUT)
        except tuple(STATUSES) as error:
            return _failed(error, BlockOptions)
        except Exception as error:
            traceback.print_exc()
            return _fail(f"internal error: {type(error).__name__}: {error}", INTERNAL)


def _command(arguments: Sequence[str], closed: bool) -> int:
    options: type = BlockOptions
    try:
        name, texts = parse(arguments)
        with _terminated_as_interrupted():
            if name in COMMANDS:
                options = COMMANDS[name].load_options()
            values: Any = from_texts(options, texts)
            if closed:
                # Now, and not after work whose result nobody would see.
                raise CLOSED
            if name in COMMANDS:
                return _run(name, values)
        if name == "version":
            print(f"tiled-se {importlib.metadata.version('tiled-se')}")
        return OK
    except SystemExit:
        # After the help of a command.
        if closed:
            raise CLOSED from None
        raise
    except tuple(STATUSES) as error:
        return _failed(error, options)
    finally:
        # What is printed later has nobody who is told that it was lost.
        sys.stdout.flush()


def _run(name: str, options: object) -> int:
    # Now, and not after work, or in another process.
    if COMMANDS[name].torch and importlib.util.find_spec("torch") is None:
        raise _missing(name, "torch")
    try:
        return OK if COMMANDS[name].load_function()(options) else MISMATCH
    except ModuleNotFoundError as error:
        module = (error.name or "tiled_se").partition(".")[0]
        if module == "tiled_se":
            raise
        raise _missing(name, module) from error


def _missing(command: str, module: str) -> UsageError:
    return UsageError(f"{command} needs {module}: pip install {PACKAGES.get(module, module)}")


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
    if isinstance(error, OSError):
        where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        return _fail(f"{where}{reason(error)}", status)
    # The lines after the first are what a tool printed.
    first, *rest = str(error).splitlines() or [type(error).__name__]
    print("\n".join(rest), end="\n" if rest else "", flush=True)
    return _fail(first.rstrip(":"), status)


def _fail(message: str, status: int) -> int:
    """Print `message` as one line, whatever it quotes."""
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
    print(f"tiled-se: error: {line}", file=sys.stderr)
    return status
