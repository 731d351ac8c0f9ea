# SPDX-License-Identifier: Apache-2.0
"""The data formats of a block's input and output, chosen on its feature maps."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ...gen.formats import AUTO
from ...gen.options import BlockOptions
from ...golden.block import LARGEST_SCALE, DataFormat, within_ratios
from ...golden.calibration import Calibration, Noise, calibrate
from ...golden.range_method import RangeMethod
from ...golden.reference import squeeze_excite
from ...hdl.config import Config, ConfigError, DataType, Order
from ..match.match import NetworkBlock

__all__ = ["DataFormats", "check_options", "data_formats"]


@dataclasses.dataclass(frozen=True)
class DataFormats:
    """The formats of a block's input and output; None for an output that has what options or defaults give it.

    ``options`` are the block's, for files with these formats. ``calibrations`` of "x" and "y" are those that were made.
    """

    x: DataFormat
    y: DataFormat | None
    options: BlockOptions
    calibrations: dict[str, Calibration]

    @property
    def figures(self) -> dict | None:
        """JSON-serialisable; None where nothing was calibrated."""
        return {name: own.figures for name, own in self.calibrations.items()} or None


def _chooses_outputs(block, options):
    """Whether the outputs' format is calibrated: with Y_SCALE=auto, or with Y_DTYPE and no Y_SCALE."""
    return block.numbers.y is None and (options.y_scale == AUTO or
                                        options.y_dtype is not None and options.y_scale is None)


def check_options(block: NetworkBlock, options: BlockOptions) -> None:
    """Raise ConfigError for one of `options` that is illegal for a `block` of fixed size, whatever its maps hold."""
    config = _config(block, options, block.height, block.width)
    bits, outputs = options.operand_bits, (options.y_dtype, options.y_scale, block.numbers.y)
    # The ratio of the scales, which is 1 without a format of the outputs, decides the widest.
    if bits and outputs == (None, None, None):
        dataclasses.replace(config, operand_bits=bits, hidden_frac=config.segment_bits + 1)


def _config(block, options, height, width):
    form, line = block.float_block, height if options.order is Order.COLUMNS else width
    return Config(**vars(options.tiling(line, form.prior is not None)), width=line, channels=block.channels,
                  squeeze=block.squeeze, lanes=1, macs=1, data=DataType.parse(options.dtype or "int8"), mid=form.mid,
                  gate=form.gate, residual=form.residual)


def data_formats(block: NetworkBlock, maps: np.ndarray, options: BlockOptions,
                 method: RangeMethod | None = None) -> DataFormats:
    """The formats for `maps`, float32 (N, H, W, C), of a `block` with these `options`; the network's own come first.

    Without `method`, that of x has the least error of the block's outputs on the images that are held out: what the
    float block makes of x in that format, rounded like the output if that has x's scale, against what it makes of the
    maps themselves. That of y has the least error of the output, as the float block makes it of x in its format. Raises
    ConfigError where no format holds the numbers.
    """
    form, config = block.float_block, _config(block, options, *maps.shape[1:3])
    shares_scale = block.numbers.y is None and options.y_scale is None and options.y_dtype is None
    made, x = {}, block.numbers.x

    def outputs_error(one: np.ndarray, trial: DataFormat, noise: Noise) -> None:
        found = squeeze_excite(trial.dequantise(trial.quantise(one)), form, config)
        if shares_scale:
            outputs = dataclasses.replace(trial, scale=min(trial.scale / config.ratio, LARGEST_SCALE))
            found = outputs.dequantise(outputs.quantise(found))
        noise.add(squeeze_excite(one, form, config), found)

    if x is None:
        made["x"] = calibrate(maps, config.data, method, error=outputs_error)
        x = made["x"].format
    if not _chooses_outputs(block, options):
        return DataFormats(x, block.numbers.y, options, made)
    outputs = DataType.parse(options.y_dtype, "y_dtype") if options.y_dtype else x.data
    try:
        made["y"] = calibrate(_Outputs(maps, x, form, config), outputs, method, options.y_zero_point)
    except ConfigError as error:
        if error.option != "zero_point":
            raise
        raise ConfigError("y_zero_point", error.value, f"{error.allowed} in block {block.name}") from None
    y = within_ratios(made["y"].format, x, config.ratio_limits)
    return DataFormats(x, y, dataclasses.replace(options, y_scale=None), made)


class _Outputs(Sequence):
    """What the float block makes of maps that are rounded to a format, one at a time, as all may be large."""

    def __init__(self, maps, x_format, form, config):
        self._maps, self._format, self._form, self._config = maps, x_format, form, config

    def __len__(self):
        return len(self._maps)

    def __getitem__(self, index):
        if not 0 <= index < len(self._maps):
            raise IndexError(index)
        x = self._format.dequantise(self._format.quantise(self._maps[index]))
        return squeeze_excite(x, self._form, self._config)
