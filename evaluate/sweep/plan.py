# SPDX-License-Identifier: Apache-2.0
"""A sweep's TOML file: which configurations it lists, in which order."""

import dataclasses
import itertools
import math
import pathlib

from ...gen.fields import from_texts, options_of, shortened
from ...gen.files import decoded, read_bytes
from ...gen.options import SimOptions
from ...hdl.config import ConfigError

__all__ = ["SHIPPED", "VARIABLES", "Configuration", "load_plan"]

SHIPPED = pathlib.Path(__file__).with_name("regression.toml")
# Variables of make, and the options they stand for: those of a simulation, but no waves and no folder of its own.
OPTIONS = options_of(SimOptions)
VARIABLES = {about.variable: name for name, about in OPTIONS.items()
             if about.group != "synthesis" and name not in ("out", "waves")}
LABEL = "label"
TABLES = "must hold [defaults], [grid] or [[grid]], and [[configurations]]"
MOST_CONFIGURATIONS = 100_000
MOST_LABEL = 60


@dataclasses.dataclass(frozen=True, eq=False)
class Configuration:
    """One simulation of a sweep.

    ``number`` is from 1, in the file's order; ``label`` is as the file says, or empty; ``texts`` are the values in the
    file by option, as the command line would have them; ``options`` are the same, converted.
    """

    number: int
    label: str
    texts: dict
    options: SimOptions

    def __str__(self):
        said = " ".join(f"{variable}={self.texts[name]}" for variable, name in VARIABLES.items() if name in self.texts)
        return " ".join(part for part in (str(self.number), self.label and f"{self.label}:", said) if part)


def load_plan(path=None):
    """The :class:`Configuration` objects, in a tuple, that the TOML file `path` lists; None is the shipped one.

    First come those of [grid], or of each [[grid]]: all combinations, of which the last key's values change fastest.
    Then those of [[configurations]]. All of them start from [defaults]. Raises ConfigError ("configs") naming file,
    place, key and value, and what is allowed.
    """
    content = read_bytes("configs", str(SHIPPED) if path is None else path, "a TOML file")
    try:
        return _configurations(_parsed(content))
    except ValueError as error:
        raise ConfigError("configs", SHIPPED.name if path is None else path, str(error)) from None


def _configurations(content):
    """Those that the file's `content` lists; all that is wrong with it is a ValueError."""
    _check_tables(content)
    defaults = content.get("defaults", {})
    results, seen, labels = [], {}, {}
    for where, values in _listed(content):
        options, texts, label = _converted(where, defaults | values)
        first = seen.setdefault(options, where)
        if first != where:
            raise ValueError(f"{where} is the same as {first}; must be a configuration of its own")
        if label and labels.setdefault(label, where) != where:
            raise _wrong(where, LABEL, label, f"is that of {labels[label]}, too; must be one configuration's")
        results.append(Configuration(len(results) + 1, label, texts, options))
    if not results:
        raise ValueError(f"lists no configuration; {TABLES}")
    return tuple(results)


def _parsed(text):
    try:
        import tomllib
    except ImportError:  # Python 3.10
        import tomli as tomllib
    try:
        content = tomllib.loads(decoded(text))
        _check_integers(content)
        return content
    except RecursionError:
        raise ValueError("is nested too deeply to be one of a sweep's") from None
    except ValueError as error:  # wrong TOML, wrong UTF-8, a number of thousands of digits
        reason = "is no UTF-8" if isinstance(error, UnicodeDecodeError) else f"is no TOML: {error}"
        raise ValueError(reason.split("\n")[0]) from None


def _check_integers(value):
    """Raise ValueError for an integer that TOML doesn't have, and that might have more digits than Python prints."""
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise ValueError("an integer of more than 64 bits")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_integers(item)


def _wrong(where, key, value, allowed):
    return ValueError(f"{where} {shortened(key)}={shortened(value)}: {allowed}")


def _check_tables(content):
    """Raise ValueError unless each table is known and of its type."""
    for name, value in content.items():
        if name not in ("defaults", "grid", "configurations"):
            raise ValueError(f"[{shortened(name)}] is unknown; {TABLES}")
        if name == "defaults" and not isinstance(value, dict):
            raise ValueError(f"defaults is no table; {TABLES}")
        single = name != "configurations" and isinstance(value, dict)
        if not single and not (isinstance(value, list) and all(isinstance(item, dict) for item in value)):
            raise ValueError(f"{name} is no table of this form; {TABLES}")
    # Also where nothing is listed, or every configuration says otherwise.
    if LABEL in content.get("defaults", {}):
        raise _wrong("[defaults]", LABEL, content["defaults"][LABEL], "must be in [[configurations]] only")
    _converted("[defaults]", content.get("defaults", {}))


def _listed(content):
    """(where the file says so, values by key) of every configuration."""
    grids = content.get("grid", [])
    several = isinstance(grids, list)
    for index, grid in enumerate(grids if several else [grids], 1):
        where = f"[[grid]] {index}" if several else "[grid]"
        _check_grid(where, grid)
        for number, values in enumerate(itertools.product(*grid.values()), 1):
            yield f"{where} combination {number}", dict(zip(grid, values, strict=True))
    for index, values in enumerate(content.get("configurations", []), 1):
        yield f"[[configurations]] {index}", values


def _check_grid(where, grid):
    if not grid:
        raise ValueError(f"{where} is empty; must have a list of values for each of its keys")
    for key, values in grid.items():
        if key == LABEL:
            raise _wrong(where, key, values, "must be in [[configurations]] only")
        if not isinstance(values, list) or not values:
            raise _wrong(where, key, values, "must be a list of one value or more")
    count = math.prod(map(len, grid.values()))
    if count > MOST_CONFIGURATIONS:
        raise ValueError(f"{where} has {count} combinations; may have {MOST_CONFIGURATIONS} at most")


def _converted(where, values):
    """Options, their texts by name, and the label."""
    label, texts = "", {}
    for key, value in values.items():
        if key == LABEL:
            label = value
            if not isinstance(value, str) or not value.isprintable() or not 1 <= len(value) <= MOST_LABEL:
                raise _wrong(where, key, value, f"must be a string of 1 to {MOST_LABEL} printable characters")
        elif key not in VARIABLES:
            raise _wrong(where, key, value, f"is no variable of a sweep; must be one of {', '.join(VARIABLES)}")
        else:
            texts[VARIABLES[key]] = _text(where, key, value)
    try:
        return from_texts(SimOptions, texts), {name: text for name, text in texts.items() if text != ""}, label
    except ConfigError as error:
        raise _wrong(where, OPTIONS[error.option].variable, error.value, error.allowed) from None


def _text(where, key, value):
    """A TOML value as the command line has it."""
    if isinstance(value, bool):
        if OPTIONS[VARIABLES[key]].metavar != "0|1":
            raise _wrong(where, key, str(value).lower(), "must be no boolean")
        return str(int(value))
    if not isinstance(value, (int, float, str)):
        raise _wrong(where, key, value, "must be a number, a string or a boolean")
    return str(value)
