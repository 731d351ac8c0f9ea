# SPDX-License-Identifier: Apache-2.0
"""A block's integer parameters, and their layout in its memories and in a parameter stream."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from .config import GUARD_BITS, Config, ConfigError
from .errors import check_integer

__all__ = ["Layer", "Parameters", "prior_words", "record_words", "stream_length", "stream_words",
           "weight_words"]

# Bits of a zero point in the word of a parameter stream, which may have two.
ZERO_POINT_BITS = 16
WORD_BITS = 32


def _check_range(name: str, value: np.ndarray, low: int, high: int) -> None:
    """Raise ConfigError, naming the worst number, if one of `value` is not from `low` to `high`."""
    if value.min() < low or value.max() > high:
        worst = value.min() if value.min() < low else value.max()
        raise ConfigError(name, int(worst), f"must be from {low} to {high}")


@dataclasses.dataclass(frozen=True)
class Layer:
    """One fully connected layer, quantised: int64 arrays.

    ``weight`` (outputs, inputs) is from ``least_weight`` to ``largest_weight``, and the magnitudes of a row add up to
    ``most_row_sum`` at most. The others have the shape (outputs). An accumulator is requantised as
    ``(acc * multiplier) >> shifts[shift]``; ``shift`` is an index into the config's list for this
    layer. ``bias`` is in steps of ``2 ** -GUARD_BITS`` LSB of the layer's result.
    """

    weight: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    bias: np.ndarray

    def validate(self, name: str, outputs: int, inputs: int, shifts: tuple[int, ...], config: Config) -> None:
        """Raise ConfigError where a value does not fit the hardware's format."""
        limit = 1 << (config.requant_bits - 2)
        for field, shape, low, high in (
            ("weight", (outputs, inputs), config.least_weight, config.largest_weight),
            ("multiplier", (outputs,), 0, (1 << config.multiplier_bits) - 1),
            ("shift", (outputs,), 0, len(shifts) - 1),
            ("bias", (outputs,), -limit, limit),
        ):
            value = getattr(self, field)
            if value.shape != shape or value.dtype != np.int64:
                raise ConfigError(f"{name}.{field}", f"{value.dtype}{list(value.shape)}", f"must be int64{list(shape)}")
            _check_range(f"{name}.{field}", value, low, high)
        _check_range(f"the magnitudes of a row of {name}.weight", abs(self.weight).sum(axis=1), 0, config.most_row_sum)


@dataclasses.dataclass(frozen=True)
class Parameters:
    """All parameters of a block, loaded or baked in: W1 (CR x C), W2 (C x CR), and the ``Config.signed_zero_point``.

    ``prior``, an int64 array (C), is the sum of the ``Config.prior_rows`` imaginary rows in the signed range, from
    which the sums of a frame start; None if there are no such rows. ``signed_outputs_zero_point`` is the config's if
    outputs have a format of their own (``requantised``), else None. ``factor`` is what gates are multiplied by where
    the config ``rescales``, in steps of ``2 ** -factor_bits``, unsigned, with an integer bit; else None.
    """

    layer1: Layer
    layer2: Layer
    signed_zero_point: int
    prior: np.ndarray | None = None
    signed_outputs_zero_point: int | None = None
    factor: int | None = None

    def validate(self, config: Config) -> None:
        """Raise ConfigError where a value does not fit `config`."""
        self.layer1.validate("layer1", config.squeeze, config.channels, config.shifts[0], config)
        self.layer2.validate("layer2", config.channels, config.squeeze, config.shifts[1], config)
        for name, used, low, high in (
                ("signed_zero_point", True, config.data.as_signed.low, config.data.as_signed.high),
                ("signed_outputs_zero_point", config.requantised, config.outputs.as_signed.low,
                 config.outputs.as_signed.high),
                ("factor", config.rescales, 0, (2 << config.factor_bits) - 1)):
            value = getattr(self, name)
            if not used and value is not None:
                raise ConfigError(name, value, "must be None for this config")
            if used:
                check_integer(name, value, low, high)
        self._validate_prior(config)

    def _validate_prior(self, config: Config) -> None:
        shape = (config.channels,) if config.prior_rows else None
        given = self.prior if self.prior is None else f"{self.prior.dtype}{list(self.prior.shape)}"
        wanted = shape if shape is None else f"int64{list(shape)}"
        if given != wanted:
            raise ConfigError("prior", given, f"must be {wanted} for prior_rows={config.prior_rows}")
        if self.prior is not None:
            elements = config.prior_rows * config.columns
            _check_range("prior", self.prior, config.data.as_signed.low * elements,
                         config.data.as_signed.high * elements)


def _packed(numbers: Sequence[int], bits: int) -> int:
    """The `numbers`, `bits` wide in two's complement, side by side; the first in the low bits."""
    return sum((number & ((1 << bits) - 1)) << bits * i for i, number in enumerate(numbers))


def weight_words(config: Config, parameters: Parameters) -> list[int]:
    """Words of the weight memory, ``macs`` weights of ``weight_bits`` each.

    Layer 1's passes come first, then layer 2's. Pass p of a layer has a word for each input. From the low bits, number
    j of the word is the weight of output ``p * macs + j`` (two's complement; 0 if there is no such output).
    """
    words = []
    for layer in (parameters.layer1, parameters.layer2):
        outputs, inputs = layer.weight.shape
        passes = -(-outputs // config.macs)
        padded = np.zeros((passes * config.macs, inputs), np.int64)
        padded[:outputs] = layer.weight
        grid = padded.reshape(passes, config.macs, inputs).transpose(0, 2, 1).reshape(-1, config.macs)
        words += [_packed(row, config.weight_bits) for row in grid.tolist()]
    return words


def record_words(config: Config, parameters: Parameters) -> list[int]:
    """Requantisation records, layer 1's outputs first: multiplier in the low bits, then shift index, then bias.

    Half of the result's LSB is added to the bias, so that truncation rounds to nearest.
    """
    words = []
    for layer in (parameters.layer1, parameters.layer2):
        for m, s, b in zip(layer.multiplier.tolist(), layer.shift.tolist(), layer.bias.tolist(), strict=True):
            bias = (b + (1 << (GUARD_BITS - 1))) & ((1 << config.requant_bits) - 1)
            words.append(m | s << config.multiplier_bits | bias << (config.multiplier_bits + 3))
    return words


def prior_words(config: Config, parameters: Parameters) -> list[int]:
    """The prior of each channel, ``prior_bits`` wide in two's complement; none if the block has no imaginary rows."""
    prior = [] if parameters.prior is None else parameters.prior.tolist()
    return [value & ((1 << config.prior_bits) - 1) for value in prior]


def stream_length(config: Config) -> int:
    """The number of words of :func:`stream_words`, whatever the parameters are."""
    return 2 + config.rescales + sum(depth * -(-bits // WORD_BITS) for depth, bits in (
        (config.weight_depth, config.weight_bits * config.macs),
        (config.squeeze + config.channels, config.record_bits + config.prior_bits)))


def stream_words(config: Config, parameters: Parameters) -> list[int]:
    """The 32-bit words that load a block through ``w_axis``, in order; the last has ``tlast``.

    They are the fingerprint of the configuration, the zero point, the weight memory and the records. The zero point is
    that of the signed range, in the low ``data.bits``. Outputs with a format of their own have theirs in the upper 16
    bits. A block that ``rescales`` has another word after it: the factor.
    If the block has a prior, it is in the upper bits of layer 2's records; those of layer 1 have 0 there.
    Each memory word takes as many 32-bit words as it needs, low bits first; unused bits are 0, and ignored.
    """
    zero_points = [parameters.signed_zero_point & config.data.steps]
    if parameters.signed_outputs_zero_point is not None:
        zero_points.append(parameters.signed_outputs_zero_point & config.outputs.steps)
    factor = [] if parameters.factor is None else [parameters.factor]
    words = [config.fingerprint, _packed(zero_points, ZERO_POINT_BITS), *factor]
    records = record_words(config, parameters)
    for channel, prior in enumerate(prior_words(config, parameters)):
        records[config.squeeze + channel] |= prior << config.record_bits
    for memory, bits in ((weight_words(config, parameters), config.weight_bits * config.macs),
                         (records, config.record_bits + config.prior_bits)):
        for word in memory:
            words += [word >> i & 0xFFFFFFFF for i in range(0, bits, WORD_BITS)]
    return words
