# SPDX-License-Identifier: Apache-2.0
"""SIGTERM, as a scheduler or `timeout` sends it, ends a command as Ctrl-C does: it cleans up."""

import contextlib
import signal
import threading
from collections.abc import Iterator

__all__ = ["terminated_as_interrupted"]


@contextlib.contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Have the first SIGTERM raise KeyboardInterrupt, and ignore those that follow while the command cleans up.

    Does nothing outside of the main thread, or if SIGTERM has a handler already.
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
