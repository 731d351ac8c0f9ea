# SPDX-License-Identifier: Apache-2.0
"""From options to a job: files read, shape resolved, hardware sized, weights quantised.

`sim` and `verilog` both start here, so the same options make the same hardware. Only the operation's shape, the weights
and the data's format enter it; height, number of frames, stalls and random data don't.
"""

import dataclasses

import numpy as np

from ..golden.block import DataFormat, FloatBlock
from ..golden.quantise import Quantised, quantise_within_error
from ..hdl.config import Config, ConfigError, Gate, Mid
from ..hdl.sizing import choose_macs
from .data import load_input, load_weights
from .options import FIELDS, Options
from .shape import Shape, resolve

__all__ = ["Job", "assemble", "prepare"]

# Random data: normal with this mean and deviation, on the grid of the fixed format.
RANDOM_MEAN, RANDOM_DEVIATION = 0.5, 2.0
RANDOM_SCALE = 1 / 16
# Loadable blocks get at least this operand width: 18-bit multipliers are what FPGAs have.
LOADABLE_BITS = 18
NARROWEST_BITS = 10
# Streams of random numbers that one seed gives.
WEIGHTS_STREAM, DATA_STREAM = 1, 2


@dataclasses.dataclass(frozen=True)
class Job:
    """A block to build, and what to run through it.

    Attributes
    ----------
    options : Options
        As given.
    shape : Shape
    config : Config
        Complete: every width, `macs` and `slack` as they are built.
    quantised : Quantised
        The integers that are baked in or loaded, and their real values.
    format : DataFormat
    x : int8 or uint8 array (N, H, W, C), or None
        INPUT's frames; None if they are random, see :meth:`frames`.
    """

    options: Options
    shape: Shape
    config: Config
    quantised: Quantised
    format: DataFormat
    x: np.ndarray | None

    @property
    def baked(self):
        """What is built into the hardware: the parameters, None for a loadable block."""
        return None if self.config.loadable else self.quantised.parameters

    def frames(self):
        """int8 or uint8 array (N, H, W, C): INPUT's frames or random ones."""
        if self.x is not None:
            return self.x
        shape = (self.shape.frames, self.shape.height, self.shape.width, self.shape.channels)
        frames = np.empty(shape, np.int8 if self.format.signed else np.uint8)
        rng = np.random.default_rng([self.options.seed, DATA_STREAM])
        for frame in frames:
            frame[:] = self.format.quantise(rng.normal(RANDOM_MEAN, RANDOM_DEVIATION, frame.shape))
        return frames


def prepare(options):
    """The :class:`Job` that `options` ask for.

    Raises
    ------
    ConfigError
        Where an option or a file is wrong, or two of them contradict each other. Nothing has been written by then.
    """
    return assemble(options, load_weights(options.weights) if options.weights else None,
                    load_input(options.input, options) if options.input else None)


def assemble(options, weights=None, data=None):
    """As :func:`prepare`, but with what the files hold: `weights` a Weights and `data` an Input, or None."""
    shape = resolve(options, weights, data)
    data_format = data.format if data else _fixed_format(options)
    config = _hardware(options, shape, weights, data_format)
    block = _block(config, weights, options.seed)
    config, quantised = _quantise(config, block, data_format.scale, options)
    return Job(options, shape, config, quantised, data_format, data.x if data else None)


def _fixed_format(options):
    """The format of random data: the same for every height, seed and number of frames."""
    signed = options.dtype != "uint8"
    zero_point = (0 if signed else 128) if options.zero_point is None else options.zero_point
    try:
        return DataFormat(RANDOM_SCALE, zero_point, signed)
    except ConfigError as error:
        raise ConfigError("zero_point", zero_point, error.allowed) from None


def _hardware(options, shape, weights, data_format):
    """The config as far as options and files tell it: number formats are still those of the class."""
    config = Config(
        k=options.k, width=shape.width, channels=shape.channels, squeeze=shape.squeeze, lanes=shape.lanes,
        macs=_macs(options, shape), signed=data_format.signed, zero_point=data_format.zero_point,
        mid=_agreed(options, weights, "mid", Mid.RELU), gate=_agreed(options, weights, "gate", Gate()),
        residual=_agreed(options, weights, "residual", False),
        loadable=weights is None if options.loadable is None else options.loadable, slack=options.slack)
    return config if options.macs is not None else dataclasses.replace(
        config, macs=choose_macs(config, options.sram_overhead))


def _macs(options, shape):
    """MACS as given, but no unit that would never have an output to work on; 1 for the time being if it is auto."""
    return 1 if options.macs is None else min(options.macs, max(shape.channels, shape.squeeze))


def _agreed(options, weights, name, default):
    """What option and WEIGHTS file say of `name`, which must be the same where both do."""
    given, said = getattr(options, name), getattr(weights, name, None)
    if given is not None and said is not None and given != said:
        given, said = (getattr(value, "value", int(value) if isinstance(value, bool) else value)
                       for value in (given, said))
        raise ConfigError(name, given, f"must be {said}, as WEIGHTS={weights.path} says")
    return next((value for value in (given, said) if value is not None), default)


def _block(config, weights, seed):
    """The float block: WEIGHTS', or a random one, which depends on the seed, C and CR only."""
    form = dict(mid=config.mid, gate=config.gate, residual=config.residual)
    if weights:
        return FloatBlock(**weights.arrays, **form)
    rng = np.random.default_rng([seed, WEIGHTS_STREAM])
    channels, squeeze = config.channels, config.squeeze
    return FloatBlock(w1=rng.normal(0, channels**-0.5, (squeeze, channels)), b1=rng.normal(0, 0.3, squeeze),
                      w2=rng.normal(0, 2 * squeeze**-0.5, (channels, squeeze)), b2=rng.normal(0, 1, channels), **form)


def _quantise(config, block, x_scale, options):
    """The complete config and the quantised block: the narrowest formats that keep ERROR, or those of OPERAND_BITS."""
    least = LOADABLE_BITS if config.loadable else NARROWEST_BITS
    wanted = options.operand_bits
    try:
        config, quantised = quantise_within_error(
            config, block, x_scale, error_lsb=options.error, least_bits=wanted or least)
    except ConfigError as error:
        if error.option == "error_lsb":
            files = "".join(f"; {FIELDS[name].metadata['variable']}={getattr(options, name)}"
                            for name in ("weights", "input") if getattr(options, name))
            raise ConfigError("error", f"{options.error:g}", error.allowed + files) from None
        if options.weights and error.option not in FIELDS:
            raise ConfigError("weights", options.weights, f"{error.option}={error.value}: {error.allowed}") from None
        raise
    if wanted and config.operand_bits != wanted:
        raise ConfigError("operand_bits", wanted, f"must be at least {config.operand_bits} to keep "
                          f"ERROR={options.error:g}")
    return config, quantised
