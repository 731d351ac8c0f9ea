# SPDX-License-Identifier: Apache-2.0
"""Errors that several packages raise: a parameter is not legal, a tool failed."""

import operator
import signal
from typing import Any

__all__ = ["ConfigError", "ToolFailure", "check_integer", "ending", "integer", "reason"]


class ConfigError(ValueError):
    """A parameter that is not allowed; ``option`` is its name, as in ``Config`` and on the command line."""

    def __init__(self, option: str, value: object, allowed: str) -> None:
        self.option, self.value, self.allowed = option, value, allowed
        super().__init__(f"{option}={value}: {allowed}")


class ToolFailure(RuntimeError):
    """A program or service that the project needs is missing or failed; the first line of the text is for the user."""


def ending(status: int) -> str:
    """How a process ended whose exit status Python gives as `status`: by itself, or by a signal."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


def reason(error: BaseException) -> str:
    """Why the system, or a library, raised `error`: a text of one line, never empty, without the file's name."""
    text = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return str(text).splitlines()[0]


def integer(value: Any) -> int | None:
    """`value` as an int, or None if it is no integer, as a boolean is none. Those of numpy are integers, too."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def check_integer(option: str, value: object, low: int, high: int) -> int:
    """`value` as an int; TypeError or ConfigError unless it is an :func:`integer` from `low` to `high`, both included.
    """
    number = integer(value)
    if number is None:
        raise TypeError(f"{option}={value!r}: must be an integer")
    if not low <= number <= high:
        raise ConfigError(option, number, f"must be from {low} to {high}")
    return number
