# SPDX-License-Identifier: Apache-2.0
"""The formats that a block's outputs may have, and what each of them rounds."""

import dataclasses
import enum
from typing import Any

import numpy as np

from ...gen.formats import AUTO
from ...gen.options import block_options
from ...golden.block import DataFormat
from ...golden.calibration import Noise
from ...golden.reference import excite
from ...hdl.config import ConfigError
from ...network.calibration.own_numbers import own_options
from ...network.commands.build import block_formats
from ...network.match.match import NetworkBlock

__all__ = ["OutputFormat", "OutputSource", "output_formats"]


class OutputSource(enum.Enum):
    """Where a format comes from: its network, the block's input, or the images."""

    NETWORK = "network"
    INPUT = "input"
    IMAGES = "images"


@dataclasses.dataclass(frozen=True)
class OutputFormat:
    """A format of a block's outputs.

    ``x`` is the format of the input beside it, ``y`` that of the outputs. ``rounding`` is the mean magnitude of the
    error of the outputs with both formats and the gates of the whole map, divided by that of the input: gates that
    change by so much on average change the outputs as much, if their changes don't depend on the input's magnitude.
    ``sqnr_db`` is the SQNR of these outputs; None where nothing is rounded.
    """

    x: DataFormat
    y: DataFormat
    source: OutputSource
    rounding: float
    sqnr_db: float | None

    @property
    def given(self) -> dict[str, Any]:
        """The options that make `build` take the format: none for the network's own or the default."""
        return {"y_dtype": str(self.y.data), "y_scale": self.y.scale, "y_zero_point": self.y.zero_point} \
            if self.source is OutputSource.IMAGES else {}

    @property
    def figures(self) -> dict:
        """JSON-serialisable."""
        return {"y_type": str(self.y.data), "y_scale": self.y.scale, "y_zero_point": self.y.zero_point,
                "y_from": self.source.value, "rounding": self.rounding, "sqnr_db": self.sqnr_db}


def output_formats(block: NetworkBlock, options: Any, maps: np.ndarray) -> list[OutputFormat]:
    """The formats from which the outputs of `block` get one, measured on `maps`, float32 (N, H, W, C).

    `options` are those of `plan`. A quantised network's own format is the only one. Otherwise there is, for each of
    ``options.y_dtypes``, the one that is calibrated for these outputs. The default format, with the input's scale and
    zero point, is among them if they have "input" or the input's type; it comes before the calibrated one. Raises
    ConfigError where no format holds the numbers, or the network has another type.
    """
    task = block_options(options, k=block.height, **own_options(block, vars(options)), lanes=None)
    default = block_formats(block, maps, options, task)
    if default.y is not None:
        name = str(default.y.data)
        if name not in (options.y_dtypes or (name,)):
            raise ConfigError("y_dtypes", ",".join(options.y_dtypes), f"must have {name}, as the network has it for "
                              f"block {block.name}")
        return [_measured(block, maps, default.x, default.y, OutputSource.NETWORK)]
    found, same, same_scale = [], str(default.x.data), OutputSource.INPUT.value
    names = options.y_dtypes or (same,)
    for name in names:
        if name == (same_scale if same_scale in names else same):
            y = dataclasses.replace(default.x, scale=default.x.scale * (1 + block.float_block.residual))
            found.append(_measured(block, maps, default.x, y, OutputSource.INPUT))
        if name != same_scale:
            own = block_formats(block, maps, options, dataclasses.replace(task, y_dtype=name, y_scale=AUTO))
            found.append(_measured(block, maps, own.x, own.y, OutputSource.IMAGES))
    return found


def _measured(block, maps, x_format, y_format, source):
    form, noise, error, total = block.float_block, Noise(), 0.0, 0.0
    for one in maps:
        x = np.asarray(one, np.float64)
        exact, found = (_outputs(values, form) for values in (x, x_format.dequantise(x_format.quantise(x))))
        found = y_format.dequantise(y_format.quantise(found))
        noise.add(exact, found)
        error += float(abs(found - exact).sum())
        total += float(abs(x).sum())
    return OutputFormat(x_format, y_format, source, error / total if total else 0.0, noise.sqnr_db)


def _outputs(x, form):
    """A map (H, W, C) with the gates of all of it."""
    mean = x.mean(axis=(0, 1))
    return x * (excite(mean, form.w1, form.b1, form.w2, form.b2, form.mid, form.gate)[1] + form.residual)
