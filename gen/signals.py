# SPDX-License-Identifier: Apache-2.0
"""Ended from outside, as by a scheduler or `timeout`, a command leaves no more behind than after Ctrl-C."""

import contextlib
import signal
import threading

__all__ = ["terminated_as_interrupted"]


@contextlib.contextmanager
def terminated_as_interrupted():
    """The first SIGTERM raises KeyboardInterrupt; those after it don't disturb what is cleaned up then.

    Does nothing outside of the main thread, and where somebody has decided what SIGTERM does.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def interrupt(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
