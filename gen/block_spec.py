# SPDX-License-Identifier: Apache-2.0
"""From options to a :class:`BlockSpec`: files read, hardware sized, weights quantised.

`sim`, `verilog` and `synth` all start here, so the same options make the same hardware. Only the operation's shape, the
weights and the data's format decide it; height, number of frames, stalls and random data don't.
"""

import dataclasses
import math
from typing import Any

import numpy as np

from ..golden.block import LARGEST_SCALE, SMALLEST_SCALE, DataFormat, FloatBlock, check_zero_point
from ..golden.quantise import Quantised, quantise_within_error
from ..golden.reference import squeeze_excite
from ..hdl.config import Config, ConfigError, DataType, Gate, Mid, Order, Tiling
from ..hdl.formats import RATIO_TOLERANCE
from ..hdl.parameters import Parameters
from ..hdl.sizing import choose_macs, doubts
from . import formats
from .data import Input, Weights, load_input, load_weights
from .fields import options_of, text_of
from .hardware import Hardware, load_hardware
from .options import BlockOptions, SynthOptions, VerilogOptions
from .shape import Shape, limit, resolve
from .wording import prior_alone

__all__ = ["BlockSpec", "assemble", "prepare"]

OPTIONS = options_of(BlockOptions)

# Random data: normal with this mean and deviation, on the grid of the fixed format, which spans so much.
RANDOM_MEAN, RANDOM_DEVIATION = 0.5, 2.0
RANDOM_SPAN = 16.0
# The narrowest operands have so many bits more than the data.
LEAST_OPERAND_BITS = 2
# Independent streams of random numbers from one seed.
WEIGHTS_STREAM, DATA_STREAM = 1, 2
# Most elements that wait for their gates.
MOST_TILE = 1 << 28


@dataclasses.dataclass(frozen=True)
class BlockSpec:
    """A block to build, and the frames to run through it.

    ``config`` is complete: every width, ``macs`` and ``slack`` have the values that are built. ``quantised`` has the
    integers that are baked in or loaded, and their real values. ``format`` is the input's, ``y_format`` the output's.
    ``x`` are INPUT's frames, integers (N, H, W, C); None if they are random, see :meth:`frames`. ``config.width`` is
    the length of the stream's lines: W, or H of a stream by columns. ``ignores_prior``: the weights have a prior for
    which the tiling has no use.
    """

    options: BlockOptions
    shape: Shape
    config: Config
    quantised: Quantised
    format: DataFormat
    y_format: DataFormat
    x: np.ndarray | None
    ignores_prior: bool

    @property
    def warnings(self) -> list[str]:
        """What the user would perhaps not want of the block, though it is right: lines of text."""
        # Of a map that was given, or is simulated: the hardware takes any.
        by_columns = self.config.order is Order.COLUMNS
        given = self.x is not None or (self.options.width if by_columns else self.options.height) is not None
        simulated = not isinstance(self.options, (VerilogOptions, SynthOptions))
        why = prior_alone(self.config, self.lines) if given or simulated else ""
        ignored = (f"WEIGHTS={self.options.weights} has a prior, which this block ignores, as it counts no rows of it: "
                   f"CONTEXT={self.config.context.value} PRIOR={self.config.prior_rows}") if self.ignores_prior else ""
        return [*doubts(self.config, self.options.lanes is not None, self.options.macs is not None),
                *filter(None, (why, ignored))]

    @property
    def baked(self) -> Parameters | None:
        """The parameters that are built into the hardware; None for a loadable block."""
        return None if self.config.loadable else self.quantised.parameters

    @property
    def registers(self) -> bool:
        """Whether the block is built with registers."""
        return self.options.registers != "none"

    @property
    def lines(self) -> int:
        """Rows of a frame, or columns of a stream by columns."""
        return self.shape.width if self.config.order is Order.COLUMNS else self.shape.height

    def streamed(self, frames: np.ndarray) -> np.ndarray:
        """The maps `frames` (N, H, W, C) in the order of the stream, (N, lines, line, C); or the reverse."""
        return frames.swapaxes(1, 2) if self.config.order is Order.COLUMNS else frames

    def frames(self) -> np.ndarray:
        """Integers (N, H, W, C) in the input's smallest numpy type: INPUT's frames or random ones."""
        return _random_frames(self.shape, self.format, self.options.seed) if self.x is None else self.x


def prepare(options: BlockOptions) -> BlockSpec:
    """The :class:`BlockSpec` of `options`.

    Raises ConfigError where an option or a file is wrong, or two of them contradict each other. Nothing is written.
    """
    return assemble(options, load_weights(options.weights) if options.weights else None,
                    load_input(options.input, options) if options.input else None)


def assemble(options: BlockOptions, weights: Weights | None = None, data: Input | None = None) -> BlockSpec:
    """As :func:`prepare`, but with the contents of the files instead of their names."""
    shape = resolve(options, weights, data)
    tiling = _tiling(options, shape, weights)
    # Frames that nobody asked for must not stop the Verilog of a wide block.
    if options.height is not None or options.frames is not None:
        shape.check_frames()
    data_format = data.format if data else _fixed_format(options)
    hardware = load_hardware(options)
    config = _operation(options, shape, tiling, weights, data_format)
    block = _block(config, weights, options.seed)
    most = None if hardware is None else hardware.max_ratio
    try:
        y_format = _y_format(options, config, block, weights, data_format, data, most)
    except ConfigError:
        # Of hardware of another type, ratios say little.
        if hardware is not None:
            hardware.check(config)
        raise
    config = _sized(options, hardware, dataclasses.replace(
        config, y_data=y_format.data, y_zero_point=y_format.zero_point, y_ratio=data_format.scale / y_format.scale,
        max_ratio=most, requant_bits=None))  # type: ignore[arg-type]  # the default, which depends on the outputs
    config, quantised = _quantise(config, block, data_format.scale, options, hardware)
    ignores_prior = weights is not None and "prior" in weights.arrays and not tiling.prior_rows
    return BlockSpec(options, shape, config, quantised, data_format, y_format, data.x if data else None, ignores_prior)


def _tiling(options: BlockOptions, shape: Shape, weights: Weights | None) -> Tiling:
    """The tiling; ConfigError for options that exclude each other, and where more must wait than is ever built."""
    line = shape.line(options.order)
    tiling = options.tiling(line, weights is not None and "prior" in weights.arrays)
    name = "k" if tiling.window is None else "window"
    limit(name, OPTIONS[name].text_of(getattr(options, name)), tiling.waiting_formula,
           tiling.waiting(line) * shape.channels, MOST_TILE)
    return tiling


def _fixed_format(options: BlockOptions) -> DataFormat:
    """The format of random data: the same for every height, seed and number of frames."""
    data = DataType.parse(options.dtype or "int8")
    zero_point = data.offset if options.zero_point is None else options.zero_point
    check_zero_point("zero_point", zero_point, data)
    return DataFormat(RANDOM_SPAN / (data.steps + 1), zero_point, data)


def _random_frames(shape: Shape, data_format: DataFormat, seed: int) -> np.ndarray:
    """Random integers (N, H, W, C) in the smallest numpy type."""
    frames = np.empty((shape.frames, shape.height, shape.width, shape.channels), data_format.data.numpy)
    rng = np.random.default_rng([seed, DATA_STREAM])
    for frame in frames:
        frame[:] = data_format.quantise(rng.normal(RANDOM_MEAN, RANDOM_DEVIATION, frame.shape))
    return frames


def _operation(options: BlockOptions, shape: Shape, tiling: Tiling, weights: Weights | None,
               data_format: DataFormat) -> Config:
    """The config as options and files give it, before the outputs' format, MACS=auto and the widths are chosen."""
    # Units that would never have an output to work on are not built. MACS=auto is 1 until it is chosen.
    macs = 1 if options.macs is None else min(options.macs, max(shape.channels, shape.squeeze))
    return Config(
        **vars(tiling), width=shape.line(tiling.order), channels=shape.channels, squeeze=shape.squeeze,
        lanes=shape.lanes, macs=macs, data=data_format.data, zero_point=data_format.zero_point,
        weight_bits=options.weight_bits,
        mid=_agreed(options, weights, "mid", Mid.RELU), gate=_agreed(options, weights, "gate", Gate()),
        residual=_agreed(options, weights, "residual", False),
        loadable=(weights is None or options.hardware is not None) if options.loadable is None else options.loadable,
        slack=options.slack)


def _sized(options: BlockOptions, hardware: Hardware | None, config: Config) -> Config:
    """`config` with the multipliers of MACS=auto, which are those of `hardware` if there is any."""
    if options.macs is not None:
        return config
    macs = choose_macs(config, options.sram_overhead) if hardware is None else hardware.config.macs
    return dataclasses.replace(config, macs=macs)


def _y_format(options: BlockOptions, config: Config, block: FloatBlock, weights: Weights | None,
              data_format: DataFormat, data: Input | None, max_ratio: float | None) -> DataFormat:
    """The outputs' format, as options and the WEIGHTS file give it; by default that of the input.

    `max_ratio` is the largest ratio of the scales that given hardware takes.
    """
    outputs = data_format.data if options.y_dtype is None else DataType.parse(options.y_dtype, "y_dtype")
    zero_point = _agreed(options, weights, "y_zero_point", None)
    scale = _agreed(options, weights, "y_scale", data_format.scale / config.ratio)
    least, most = config.ratio_limits
    why = f"the input's step is {data_format.scale:g}"
    if max_ratio is not None:
        most, why = max_ratio, f"{why} and HARDWARE={options.hardware} takes ratios up to {max_ratio:g}"
    low, high = max(data_format.scale / most, SMALLEST_SCALE), min(data_format.scale / least, LARGEST_SCALE)
    try:
        if scale == formats.AUTO:
            held = _held(config, block, data_format, data, outputs, zero_point)
            scale, zero_point = min(max(held.scale, low), high), held.zero_point
        inside = low / (1 + RATIO_TOLERANCE) <= scale <= high
        if not inside and options.y_scale is None and getattr(weights, "y_scale", None) is None and max_ratio:
            raise ConfigError("hardware", options.hardware, f"takes ratios of the scales up to {max_ratio:g}, and that "
                              f"of the default Y_SCALE is {config.ratio:g}; Y_SCALE must be from {low:g} to {high:g}")
        if not inside:
            raise ConfigError("y_scale", scale, f"must be from {low:g} to {high:g}, as {why}")
        if zero_point is None:
            zero_point = data_format.zero_point
            if not outputs.low <= zero_point <= outputs.high:
                raise ConfigError("y_dtype", options.y_dtype, f"needs a Y_ZERO_POINT: the input's, {zero_point}, is no "
                                                              f"{outputs}")
        check_zero_point("y_zero_point", zero_point, outputs)
    except ConfigError as error:
        if getattr(options, error.option) is not None or getattr(weights, error.option, None) is None:
            raise
        raise ConfigError("weights", options.weights, f"{error.option} is {error.value}; {error.allowed}") from None
    return DataFormat(scale, zero_point, outputs)


def _held(config: Config, block: FloatBlock, data_format: DataFormat, data: Input | None, outputs: DataType,
          zero_point: int | None) -> DataFormat:
    """The finest format of `outputs` that holds what the float block gives on INPUT's frames; without, on any."""
    if data is None:
        # Gates are at most 1.
        ends = [float(data_format.dequantise(end)) * (1 + config.residual)
                for end in (config.data.low, config.data.high)]
    else:
        maps = (squeeze_excite(data_format.dequantise(frame), block, config) for frame in data.x)
        ends = [float(end) for y in maps for end in (y.min(), y.max())]
    low, high = min(ends), max(ends)

    # Where the zero point is chosen it is rounded, so that an end may be half a step outside.
    nearest = DataFormat.calibrate(low, high, outputs, zero_point, "y_zero_point")
    if zero_point is not None:
        return nearest
    # One of these holds both ends.
    near = range(nearest.zero_point - 1, nearest.zero_point + 2)
    # At an end of the range there are no integers on one side.
    inner = [zero for zero in near if outputs.low + (low < 0) <= zero <= outputs.high - (high > 0)]
    return min((DataFormat.calibrate(low, high, outputs, zero) for zero in inner), key=lambda form: form.scale,
               default=nearest)


def _agreed(options: BlockOptions, weights: Weights | None, name: str, default: Any) -> Any:
    """`name` as the option or the WEIGHTS file gives it; the same where both do."""
    option, stored = getattr(options, name), getattr(weights, name, None)
    same = option == stored or isinstance(option, float) and math.isclose(option, stored or 0, rel_tol=1e-6)
    if weights and None not in (option, stored) and not same:
        raise ConfigError(name, text_of(option), f"must be {text_of(stored)}, as WEIGHTS={weights.path} says")
    return next((value for value in (option, stored) if value is not None), default)


def _block(config: Config, weights: Weights | None, seed: int) -> FloatBlock:
    """The float block: that of WEIGHTS, or a random one, which depends on the seed, C and CR only."""
    form: dict[str, Any] = dict(mid=config.mid, gate=config.gate, residual=config.residual)
    if weights:
        return FloatBlock(**weights.arrays, **form)
    rng = np.random.default_rng([seed, WEIGHTS_STREAM])
    channels, squeeze = config.channels, config.squeeze
    return FloatBlock(w1=rng.normal(0, channels**-0.5, (squeeze, channels)), b1=rng.normal(0, 0.3, squeeze),
                      w2=rng.normal(0, 2 * squeeze**-0.5, (channels, squeeze)), b2=rng.normal(0, 1, channels), **form)


def _quantise(config: Config, block: FloatBlock, x_scale: float, options: BlockOptions,
              hardware: Hardware | None) -> tuple[Config, Quantised]:
    """The complete config and the quantised block: the narrowest formats that keep ERROR, or those of OPERAND_BITS, or
    of the `hardware`.
    """
    # A loadable block has room for other parameters.
    least = config.operand_bits if config.loadable else config.data.bits + LEAST_OPERAND_BITS
    bits = options.operand_bits
    if bits:
        # Refuses what is too wide for any block of this shape. The quantiser replaces `hidden_frac`.
        dataclasses.replace(config, operand_bits=bits, hidden_frac=config.segment_bits + 1)
    try:
        if hardware is not None:
            return hardware.quantise(config, block, x_scale, options)
        given, (config, quantised) = config, quantise_within_error(config, block, x_scale, options.error, bits or least)
        if bits not in (None, config.operand_bits):
            # They may be enough for this ratio, and not for the largest; or with wider multipliers.
            config, quantised = quantise_within_error(given, block, x_scale, options.error, bits, fewest_bits=True)
    except ConfigError as error:
        if error.option == "error_lsb":
            files = "".join(f"; {OPTIONS[name].variable}={getattr(options, name)}"
                            for name in ("weights", "input") if getattr(options, name))
            raise ConfigError("error", f"{options.error:g}", error.allowed + files) from None
        if options.weights and error.option not in OPTIONS:
            raise ConfigError("weights", options.weights, f"{error.option}={error.value}: {error.allowed}") from None
        raise
    if bits and config.operand_bits != bits:
        raise ConfigError("operand_bits", bits, f"must be at least {config.operand_bits} to keep "
                          f"ERROR={options.error:g}")
    return config, quantised
