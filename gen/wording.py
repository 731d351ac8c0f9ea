# SPDX-License-Identifier: Apache-2.0
"""What a block is, in the words of reports, manifests and messages."""

import dataclasses
import enum
import json
from collections.abc import Mapping
from typing import Any

from ..hdl.config import Config, Context, DataType, Mid, Order, Tiling
from ..hdl.tiling import DEFAULT_MAX_ROWS
from ..hdl.timing import Timing
from . import formats

__all__ = ["averaged", "config_fields", "config_from", "prior_alone", "sizes", "tiling", "types"]


def config_fields(config: Config) -> dict[str, Any]:
    """Every parameter of `config`, JSON-serialisable; ``slack`` is the number of words that is built.

    Of a stream by columns the length of the lines is ``height``, not ``width``. The outputs' format is complete, and so
    is ``max_ratio``, which is None if the hardware loads no ratio.
    """
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    del fields["y_data"], fields["y_ratio"]
    fields |= {"outputs": config.outputs, "y_zero_point": config.outputs_zero_point, "ratio": config.ratio,
               "max_ratio": config.largest_ratio if config.rescales else None}
    fields = {name: value.value if isinstance(value, enum.Enum) else
              str(value) if isinstance(value, DataType) else value for name, value in fields.items()}
    if config.order is Order.COLUMNS:
        fields["height"] = fields.pop("width")
    return fields | {"gate": str(config.gate), "slack": Timing(config).buffer_slack}


def config_from(fields: Mapping[str, Any]) -> Config:
    """The config of which these are the :func:`config_fields`, as a JSON file has them.

    ValueError, TypeError, LookupError or OverflowError if they are of none.
    """
    values, order = dict(fields), Order(fields["order"])
    if order is Order.COLUMNS:
        values["width"] = values.pop("height")
    first, second = values["shifts"]
    # Those that a Config does not check, or not always.
    for kind, names in (((bool,), ("residual", "loadable")), ((int,), ("slack", "hidden_frac", "segment_bits")),
                        ((int, float), ("ratio",)), ((int, float, type(None)), ("max_ratio",))):
        if any(type(values[name]) not in kind for name in names):
            raise TypeError(f"{names} are of another type")
    config = Config(**values | {
        "order": order, "context": Context(values["context"]), "mid": Mid(values["mid"]),
        "gate": formats.gate(values["gate"]), "data": DataType.parse(values["data"]),
        "y_data": DataType.parse(values.pop("outputs")), "y_ratio": values.pop("ratio"), "shifts": (first, second)})
    # Nothing was left out, and nothing was replaced.
    if json.loads(json.dumps(config_fields(config))) != fields:
        raise ValueError("of another config")
    return config


def sizes(config: Config) -> str:
    """The block's sizes, as variables of make."""
    k = "" if config.window is not None else f"K={config.k} "
    return (f"{k}{config.line_name}={config.width} C={config.channels} CR={config.squeeze} LANES={config.lanes} "
            f"MACS={config.macs}")


def tiling(config: Config) -> str:
    """What differs from strips of rows, as variables of make; "" if nothing does."""
    values: dict[str, object] = {}
    if config.tiles_across > 1:
        values["TILE_W"] = config.columns
    if config.context is not Context.TILE:
        values["CONTEXT"] = config.context.value
    if config.context.running:
        values["PRIOR"] = config.prior_rows
        if config.max_rows != DEFAULT_MAX_ROWS:
            values["MAX_ROWS"] = config.max_rows
    if config.window is not None:
        values["WINDOW"] = ":".join(map(str, config.window))
    if config.order is Order.COLUMNS:
        values["ORDER"] = config.order.value
    return " ".join(f"{name}={value}" for name, value in values.items())


def types(config: Config) -> str:
    """The integers of the input; those of the outputs and of the weights, where they differ from what is usual."""
    outputs = f", outputs {config.outputs}" if config.requantised else ""
    weights = "" if config.weight_bits == 8 else f", {config.weight_bits}-bit weights"
    return f"{config.data}{outputs}{weights}"


def averaged(config: Config) -> str:
    """What a tile is, and which elements its gates come from, in a few sentences."""
    row, rows = ("column", "columns") if config.order is Order.COLUMNS else ("row", "rows")

    def several(count: int) -> str:
        return f"{count} {row if count == 1 else rows}"

    if config.window is not None:
        first, count = config.window
        return (f"The gates of a frame come from the mean of those of its {rows} {first} to {first + count - 1} that "
                f"it has. The gates of a frame without any of them come from the prior.")
    if not config.context.running:
        narrow = "" if config.tiles_across == 1 else f" by {config.columns} pixels"
        return f"A tile is {several(config.k)}{narrow}, or what a frame has left. Its gates come from its own mean."
    which = "before it" if config.context is Context.CAUSAL else "up to its last one"
    prior = f" and of {several(config.prior_rows)} of the prior" if config.prior_rows else ""
    return (f"A tile is {several(config.k)}, or what a frame has left. Its gates come from the mean of all {rows} of "
            f"the frame {which}{prior}; only the first {several(config.max_rows)} of a frame count.")


def prior_alone(tiling: Tiling, lines: int) -> str:
    """Why all gates of a map with so many rows, or columns of a stream by columns, come from the prior; "" if not."""
    if any(first < stop for first, stop in tiling.averaged(lines)):
        return ""
    row = "column" if tiling.order is Order.COLUMNS else "row"
    size = f"a map of {lines} {row}{'' if lines == 1 else 's'}"
    why = (f"{size} is a single tile of K={tiling.k}, before which no {row} comes" if tiling.window is None else
           f"{size} ends before {row} {tiling.window[0]}, the first of the window")
    return f"{why}, so all of its gates come from the prior alone"
