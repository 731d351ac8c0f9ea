# SPDX-License-Identifier: Apache-2.0
"""What an option is: a dataclass field that knows its Make variable, its format and its help.

A command's options are a frozen dataclass, each field of which :func:`option` makes. A value of None means "not given".
"""

import dataclasses
import enum
import os
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from ..hdl.config import ConfigError

__all__ = ["GROUPS", "Option", "UsageError", "flag", "from_texts", "option", "options_of", "restated",
           "shortened", "stem", "text_of", "variables"]

Chosen = TypeVar("Chosen")

# Most characters of a value that a message repeats: more than any path that a person reads.
MOST_SHOWN = 400

# Headings under which options stand in help, in this order.
GROUPS = {
    "shape": "shape of tiles and feature map",
    "hardware": "hardware",
    "functions": "functions and parameters",
    "data": "data",
    "run": "simulation run",
    "synthesis": "synthesis",
    "model": "network and its data",
    "bench": "benchmarks",
    "sweep": "sweep",
    "verification": "verification",
    "batch": "many at a time",
    "output": "output",
}


class UsageError(Exception):
    """A command line that names no known command or option, lacks a value, or needs packages that are not there."""


@dataclasses.dataclass(frozen=True)
class Option:
    """What is known about one option: its key of GROUPS, its variable of make, and how it is read and explained.

    ``convert`` makes a value of a text; it raises ValueError, which says what is allowed
    (see :mod:`tiled_se.gen.formats`). ``default`` is None where nothing is assumed, or where the default depends on
    other options; only then ``text`` ends with "(default: ...)". The value of a ``positional`` option may stand on the
    command line without the option's name. ``separator`` stands between the parts of a value that is a tuple. ``extra``
    is the extra of the package that brings what the option needs.
    """

    group: str
    variable: str
    convert: Callable[[str], Any]
    default: Any
    metavar: str
    text: str
    positional: bool = False
    separator: str = ","
    extra: str | None = None

    def text_of(self, value: Any) -> str:
        """A value of this option as the command line takes it."""
        return text_of(value, self.separator)

    @property
    def help(self) -> str:
        """`text` with the default."""
        return self.text if self.default is None else f"{self.text} (default: {self.text_of(self.default)})"


def option(group: str, variable: str, convert: Callable[[str], Any], default: Any, metavar: str, text: str, *,
           positional: bool = False, separator: str = ",", extra: str | None = None) -> Any:
    """A dataclass field that is an option; the parameters are the attributes of :class:`Option`."""
    about = Option(group, variable, convert, default, metavar, text, positional, separator, extra)
    return dataclasses.field(default=default, metadata={"option": about})


def restated(group: type, name: str, **changes: Any) -> Any:
    """The field `name` of the options `group`, with other attributes of :class:`Option` for one command."""
    about = dataclasses.replace(options_of(group)[name], **changes)
    return dataclasses.field(default=about.default, metadata={"option": about})


def options_of(group: type) -> dict[str, Option]:
    """The options of a dataclass by field name, in the order of their groups."""
    options = {field.name: field.metadata["option"] for field in dataclasses.fields(group)
               if "option" in field.metadata}
    return dict(sorted(options.items(), key=lambda item: list(GROUPS).index(item[1].group)))


def flag(name: str) -> str:
    """How the command line spells the option of field `name`."""
    return "--" + name.replace("_", "-")


def text_of(value: Any, separator: str = ",") -> str:
    """An option's value as the command line takes it; "" for None. `separator` stands between a tuple's parts."""
    if value is None:
        return ""
    if isinstance(value, tuple):
        return separator.join(map(text_of, value))
    return str(int(value) if isinstance(value, bool) else value.value if isinstance(value, enum.Enum) else value)


def variables(options: Any, always: Collection[str] = (), never: Collection[str] = ()) -> str:
    """`options` as variables of make: those that differ from their defaults, those in `always`, none in `never`."""
    values = {name: getattr(options, name) for name in options_of(type(options))}
    return " ".join(f"{about.variable}={about.text_of(values[name])}"
                    for name, about in options_of(type(options)).items()
                    if values[name] is not None and name not in never
                    and (name in always or values[name] != about.default))


def shortened(value: object, most: int = MOST_SHOWN) -> str:
    """`value` as text, without its middle where it has more than `most` characters."""
    text = str(value)
    return text if len(text) <= most else f"{text[:most // 2]}...{text[-most // 4:]}"


def stem(path: str, suffix: str) -> str:
    """The name of the file `path`, without `suffix`, as a part of a folder's name."""
    return re.sub(r"[^A-Za-z0-9.-]", "-", os.path.basename(path).removesuffix(suffix))


def from_texts(group: type[Chosen], texts: Mapping[str, str | None]) -> Chosen:
    """Options of the dataclass `group` from texts by field name; None and the empty text mean "not given".

    Raises ConfigError, which names the option, its text and the format that is allowed.
    """
    values, options = {}, options_of(group)
    for name, text in texts.items():
        try:
            if text:
                values[name] = options[name].convert(text)
        except ConfigError:
            raise
        except ValueError as error:
            raise ConfigError(name, text, str(error)) from None
    return group(**values)
