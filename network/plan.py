# SPDX-License-Identifier: Apache-2.0
"""What is chosen for each block of a network: its tiling and its outputs' format, from K and a plan.json."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

from ..gen.fields import Option, options_of, shortened
from ..gen.files import decoded, read_bytes
from ..gen.formats import integer
from ..gen.options import BlockOptions, TilingOptions, describe
from ..hdl.config import ConfigError, Tiling

__all__ = ["VERSION", "BlockRows", "Choices", "Named", "Plan", "block_rows", "entry"]

VERSION = 1
# The options of a tiling, and those of the outputs, as a plan may have them for each block.
TILING = options_of(TilingOptions)
OUTPUTS = ("y_dtype", "y_scale", "y_zero_point")
KEYS = {about.variable: name for name, about in options_of(BlockOptions).items() if name in (*TILING, *OUTPUTS)}
DEFAULTS = {name: about.default for name, about in TILING.items()}
HOLDS = 'must hold {"version": 1, "blocks": {NAME: {"K": 3, "CONTEXT": "tile", ...}, ...}}, and perhaps "about"'
ROWS = integer(1, 1 << 16)
ALLOWED = ("must be an integer from 1 to 65536, with NAME=ROWS for some blocks after a comma, NAME=ROWS,NAME=ROWS, or "
           "a plan.json")


class Named(Protocol):
    """A block: anything that has the name by which K and plans know it."""

    @property
    def name(self) -> str:
        """The name that ``tiled-se inspect`` prints."""


@dataclasses.dataclass(frozen=True)
class BlockRows:
    """The rows of a tile: `k` for all blocks but those in `by_name`, pairs of name and rows; or the path of a `plan`.
    """

    k: int = TilingOptions.k
    by_name: tuple[tuple[str, int], ...] = ()
    plan: str | None = None

    def __str__(self) -> str:
        return self.plan or ",".join([str(self.k), *(f"{name}={rows}" for name, rows in self.by_name)])


def block_rows(text: str) -> int | BlockRows:
    """The format of K for each block: ``7``, ``7,NAME=3``, ``NAME=3,NAME=5``, or a path that ends in .json."""
    if text.endswith(".json"):
        return BlockRows(plan=text)
    first, *others = text.split(",")
    general, named = (BlockRows.k, [first, *others]) if "=" in first else (first, others)
    try:
        k, by_name = ROWS(str(general)), {}
        for part in named:
            name, equals, rows = part.rpartition("=")
            if not (name and equals):
                raise ValueError
            if name in by_name:
                raise ConfigError("k", text, f"names {name} twice")
            by_name[name] = ROWS(rows)
    except ConfigError:
        raise
    except ValueError:
        raise ValueError(ALLOWED) from None
    return BlockRows(k, tuple(by_name.items())) if by_name else k


@dataclasses.dataclass(frozen=True)
class Choices:
    """What is chosen for each block.

    ``values`` has, by the block's name, every option of its tiling, and those of its outputs that the plan has; all as
    :class:`.BlockOptions` takes them. ``unplanned`` are the blocks that a given plan does not have.
    """

    values: dict[str, dict[str, Any]]
    unplanned: tuple[str, ...] = ()

    def tilings(self, blocks: Iterable[Named], prior: bool = False) -> dict[str, Tiling]:
        """The tiling of each of `blocks` by name. `prior` tells whether they have a prior, one row of which then counts
        where nothing else is said."""
        return {block.name: _tiling(self.values[block.name], prior) for block in blocks}

    @property
    def notes(self) -> list[str]:
        """A line, if there are any, about the blocks that the plan does not have."""
        return [f"not in the plan, and so as the options say: {', '.join(self.unplanned)}"] if self.unplanned else []


@dataclasses.dataclass(frozen=True)
class Plan:
    """What options choose for blocks whose names are not known yet.

    ``plain`` are values for all blocks that ``entries``, values by a block's name, do not have; ``rows`` replace their
    K by a block's name. ``source`` is the option and the path of the file with the entries; None without one.
    """

    plain: dict[str, Any]
    rows: dict[str, int]
    source: tuple[str, str] | None
    entries: dict[str, dict[str, Any]]

    @staticmethod
    def of(options: Any) -> "Plan":
        """The plan of a command's `options`, which have ``k`` at least, and perhaps ``plan`` and more of a tiling.

        A block's entry in the file is complete: a key that it lacks has the default, whatever the options say.
        ConfigError ("k" or "plan") for a file that can't be read or has an unknown key or an illegal value.
        """
        given = options.k if isinstance(options.k, BlockRows) else BlockRows(options.k)
        plain = {name: getattr(options, name, default) for name, default in DEFAULTS.items()} | {"k": given.k}
        # What is wrong with the options themselves is reported in their names.
        _tiling(plain, True)
        source = _source(getattr(options, "plan", None), given)
        return Plan(plain, dict(given.by_name), source, {} if source is None else _load(*source))

    def choices(self, blocks: Iterable[Named]) -> Choices:
        """What is chosen for `blocks`, all those of a network. ConfigError for a name that none of them has."""
        names = [block.name for block in blocks]
        there_are = f"there are {', '.join(names) or 'none'}"
        for name in self.entries:
            if self.source and name not in names:
                raise ConfigError(*self.source, f"has {shortened(name)}, which is no block's name; {there_are}")
        for name, k in self.rows.items():
            if name not in names:
                raise ConfigError("k", f"{name}={k}", f"must have a block's name; {there_are}")
        values = {name: dict(self.entries.get(name, self.plain)) for name in names}
        for name, k in self.rows.items():
            values[name]["k"] = k
        return Choices(values, tuple(name for name in names if name not in self.entries) if self.source else ())


def entry(tiling: Tiling, outputs: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """A tiling as a plan has it, by variables of make: K, and what is not the default; and the options `outputs`."""
    values = {"tile_width": tiling.tile_width, "window": tiling.window, "k": tiling.k, "context": tiling.context,
              "order": tiling.order}
    if tiling.context.running:
        values |= {"prior_rows": tiling.prior_rows, "max_rows": tiling.max_rows}
    # A prior's rows have no default of their own.
    return {about.variable: values[name] if isinstance(values[name], int) else about.text_of(values[name])
            for name, about in TILING.items()
            if name in values and (name == "k" or values[name] != about.default)} | {
                variable: outputs[name] for variable, name in KEYS.items() if name in outputs}


def _tiling(values: dict[str, Any], prior: bool) -> Tiling:
    return TilingOptions(**{name: values[name] for name in DEFAULTS}).tiling(prior=prior)


def _source(path: str | None, given: BlockRows) -> tuple[str, str] | None:
    """The option that gives a plan, and its path."""
    if given.plan is None:
        return None if path is None else ("plan", path)
    if path not in (None, given.plan):
        raise ConfigError("plan", path, f"must be K's plan or not given; K is {given.plan}")
    return "k", given.plan


def _load(option: str, path: str) -> dict[str, dict[str, Any]]:
    """Values of the options for each block of the plan in the file `path`."""
    try:
        contents = _parsed(read_bytes(option, path, "a plan.json"))
        return {name: _values(name, about) for name, about in contents["blocks"].items()}
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(option, path, str(error)) from None


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        contents = json.loads(decoded(content), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except _Wrong as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError("is nested too deeply for a plan") from None
    except UnicodeDecodeError:
        raise ValueError("is no UTF-8") from None
    except ValueError as error:  # wrong JSON, a number of thousands of digits
        raise ValueError(f"is no JSON: {str(error).splitlines()[0]}") from None
    if not isinstance(contents, dict) or not isinstance(contents.get("blocks"), dict):
        raise ValueError(HOLDS)
    for key in contents:
        if key not in ("version", "blocks", "about"):
            raise ValueError(f"has {shortened(key)}, which is unknown; {HOLDS}")
    version = contents.get("version")
    if type(version) is not int or version != VERSION:
        raise ValueError(f"has version {shortened(json.dumps(version))}; must be {VERSION}")
    return contents


class _Wrong(ValueError):
    """What is JSON for Python's parser, but not strictly."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for index, (key, _) in enumerate(pairs) if key in dict(pairs[:index]))
        raise _Wrong(f"has {shortened(twice)} twice in one object")
    return found


def _refuse_constant(text: str) -> None:
    raise _Wrong(f"is no JSON: {text} is no number")


def _values(block: str, about: Any) -> dict[str, Any]:
    """Values of the options of `block`, whose entry is `about`; all that is wrong with it is a ValueError."""
    where = f"blocks.{shortened(block)}"
    if not isinstance(about, dict):
        raise ValueError(f"{where} is no object; {HOLDS}")
    values: dict[str, Any] = dict(DEFAULTS)
    for key, value in about.items():
        if key not in KEYS:
            raise ValueError(f"{where}.{shortened(key)} is unknown; must be {', '.join(KEYS)}")
        values[KEYS[key]] = _value(f"{where}.{key}", options_of(BlockOptions)[KEYS[key]], value)
    try:
        _tiling(values, True)
    except ConfigError as error:
        raise ValueError(f"{where}: {describe(error)}") from None
    return values


def _value(where: str, about: Option, value: Any) -> Any:
    """`value`, a number or a text as the command line takes it, or null for what is not given."""
    if value is None:
        return about.default
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"{where} is {shortened(json.dumps(value))}; must be a number or a text")
    try:
        return about.convert(str(value))
    except ConfigError as error:
        allowed = error.allowed
    except ValueError as error:
        allowed = str(error)
    raise ValueError(f"{where} is {shortened(json.dumps(value))}; {allowed}")
