# SPDX-License-Identifier: Apache-2.0
"""Sets of parameters, unlike those of networks, for which every bit of the data path matters."""

import dataclasses

import numpy as np

from ...golden.integer import IntegerModel
from ...hdl.config import GUARD_BITS
from ...hdl.tables import gate_format

__all__ = ["centred", "pinned", "segments", "spread"]


def spread(config, parameters, seed):
    """Parameters for `config` in which about half of each layer's rows are drawn anew.

    The drawn rows have weights of the whole range, in some rows many zeros, and a multiplier, a shift and a bias of any
    size. The other rows are those of `parameters`.
    """
    rng = np.random.default_rng(seed)
    layer1, layer2 = (_layer(layer, shifts, config, rng)
                      for layer, shifts in zip((parameters.layer1, parameters.layer2), config.shifts, strict=True))
    return dataclasses.replace(parameters, layer1=layer1, layer2=layer2, **_numbers(config, rng),
                               prior=_prior(config, rng))


def centred(config, parameters, seed):
    """Parameters for `config` whose hidden values and logits lie about 0, each in a range that is drawn for it.

    In a narrow range the last bits of an accumulator change gates, so that those bits matter, too.
    """
    rng = np.random.default_rng([seed, 1])
    heights = [int(height) for height in rng.integers(1, 4 * config.tile_rows + 1, 6)]
    x = [rng.integers(config.data.low, config.data.high + 1, (height, config.width, config.channels))
         for height in heights]
    result = dataclasses.replace(parameters, **_numbers(config, rng), prior=_prior(config, rng))
    ends = config.requant_bits - 1, config.logit_bits + GUARD_BITS + 1
    for name, sums, shifts, end in zip(("layer1", "layer2"), ("acc1", "acc2"), config.shifts, ends, strict=True):
        layer = getattr(result, name)
        layer = dataclasses.replace(layer, weight=_weights(layer.weight.shape, config.weight_bits, rng))
        model = IntegerModel(config, dataclasses.replace(result, **{name: layer}))
        acc = np.concatenate([getattr(model.run(one), sums).numpy()[0] for one in x])
        result = dataclasses.replace(result, **{name: _scaled(layer, acc, shifts, config, end, rng)})
    return result


def pinned(config, parameters, seed):
    """Parameters for `config` that put every value beside a power of two, where carries and saturation begin.

    Some rows have one weight. The others have none, so that their results are their biases alone.
    """
    rng = np.random.default_rng([seed, 2])
    layers, largest, most = [], config.largest_weight, (1 << config.multiplier_bits) - 1
    ends = [0, 0, config.least_weight, -(largest + 1 >> 1), -1, 1, largest + 1 >> 1, largest]
    for layer, shifts in zip((parameters.layer1, parameters.layer2), config.shifts, strict=True):
        outputs, inputs = layer.weight.shape
        weight = np.zeros_like(layer.weight)
        only = rng.integers(0, inputs, outputs)
        weight[np.arange(outputs), only] = rng.choice(ends, outputs)
        limit = 1 << (config.requant_bits - 2)
        bias = rng.choice([-1, 1], outputs) * _beside(config.requant_bits - 1, outputs, rng)
        layers.append(dataclasses.replace(
            layer, weight=_legal(weight, config), bias=np.clip(bias, -limit, limit),
            shift=rng.integers(0, len(shifts), outputs),
            multiplier=np.clip(_beside(config.multiplier_bits + 1, outputs, rng), 0, most)))
    return dataclasses.replace(parameters, layer1=layers[0], layer2=layers[1], **_numbers(config, rng, ends=True),
                               prior=_prior(config, rng, ends=True))


def segments(config, parameters):
    """Sets of Parameters that together reach both ends of each segment of the tables of `config`, for either sign.

    Hidden values and logits are biases alone, as far as biases reach. There is no set where nothing is tabulated.
    """
    hidden, logits, limit = np.zeros(0, np.int64), np.zeros(0, np.int64), 1 << (config.requant_bits - 2)
    if config.mid.tabulated:
        hidden = _ends(config.mid_range << config.segment_bits, config.hidden_frac - config.segment_bits)
    if config.gate.table:
        logits = _ends(gate_format(config).segments, gate_format(config).offset_bits)
    count = max(-(-len(hidden) // config.squeeze), -(-len(logits) // config.channels))
    return tuple(dataclasses.replace(parameters, layer1=_only(parameters.layer1, hidden, number, limit),
                                     layer2=_only(parameters.layer2, logits, number, limit)) for number in range(count))


def _ends(count, bits):
    """First and last inputs of `count` segments of `bits` bits, and their negatives."""
    first = np.arange(count) << bits
    magnitudes = np.concatenate([first, first + (1 << bits) - 1])
    return np.concatenate([magnitudes, -magnitudes])


def _only(layer, values, number, limit):
    """The layer whose results are the `number`-th group of `values`, one each; the same layer after the last group."""
    count = len(layer.bias)
    values = values[number * count:(number + 1) * count]
    if not len(values):
        return layer
    bias = np.clip(np.resize(values, count) << GUARD_BITS, -limit, limit)
    return dataclasses.replace(layer, weight=np.zeros_like(layer.weight), bias=bias)


def _beside(bits, count, rng):
    """Powers of two below ``1 << bits``, and the numbers on both sides of them."""
    return (1 << rng.integers(0, bits, count)) + rng.integers(-1, 2, count)


def _drawn(low, high, rng, ends, count=None):
    """Integers from `low` to `high`: any, or with `ends` those at both ends and about 0, where they are in range."""
    if not ends:
        return rng.integers(low, high + 1, count)
    return rng.choice([min(max(value, low), high) for value in (low, low + 1, -1, 0, 1, high - 1, high)], count)


def _numbers(config, rng, ends=False):
    """The numbers that a loadable block loads beside its layers and prior: zero points, and a factor of its gates."""
    if not config.loadable:
        return {}
    data, outputs = config.data.as_signed, config.outputs.as_signed
    numbers = {"signed_zero_point": int(_drawn(data.low, data.high, rng, ends))}
    if config.requantised:
        numbers["signed_outputs_zero_point"] = int(_drawn(outputs.low, outputs.high, rng, ends))
    if config.rescales:
        numbers["factor"] = int(_drawn(0, (2 << config.factor_bits) - 1, rng, ends))
    return numbers


def _prior(config, rng, ends=False):
    """A prior, which is of any size or at the ends of its range; None if the block has none."""
    if not config.prior_rows:
        return None
    count, data = config.prior_rows * config.columns, config.data.as_signed
    return _drawn(data.low * count, data.high * count, rng, ends, config.channels)


def _weights(shape, bits, rng):
    """Rows of few or many weights of `bits`, small or large ones."""
    most = (1 << (bits - 1)) - 1
    largest = 2 ** rng.uniform(0, bits - 1, (shape[0], 1))
    weight = np.rint(rng.uniform(-1, 1, shape) * largest).astype(np.int64).clip(-most, most)
    weight *= rng.random(shape) < rng.random((shape[0], 1))
    # No row is without a weight.
    weight[np.arange(shape[0]), rng.integers(0, shape[1], shape[0])] = rng.choice([-most, -1, 1, most], shape[0])
    return weight


def _legal(weight, config):
    """The weights without rows of nothing but the least one that an accumulator does not hold."""
    weight[abs(weight).sum(axis=1) > config.most_row_sum, 0] += 1
    return weight


def _scaled(layer, acc, shifts, config, end, rng):
    """The layer with multipliers, shifts and biases that put results of `acc`, an array (tiles, outputs), about 0."""
    outputs, limit, most = acc.shape[1], 1 << (config.requant_bits - 2), (1 << config.multiplier_bits) - 1
    multiplier, shift, bias = (np.zeros(outputs, np.int64) for _ in range(3))
    for i in range(outputs):
        extent = max(1, int(acc[:, i].max() - acc[:, i].min()))
        ratio = 2 ** rng.uniform(GUARD_BITS, end) / extent
        fits = [n for n, s in enumerate(shifts) if 1 <= ratio * 2.0**s < most + 1]
        shift[i] = rng.choice(fits) if fits else 0
        multiplier[i] = min(max(1, int(ratio * 2.0 ** shifts[shift[i]])), most)
        middle = int(np.median(acc[:, i])) * int(multiplier[i]) >> shifts[shift[i]]
        bias[i] = min(max(-limit, int(rng.integers(-64, 65)) - middle), limit)
    return dataclasses.replace(layer, multiplier=multiplier, shift=shift, bias=bias)


def _layer(layer, shifts, config, rng):
    outputs, inputs = layer.weight.shape
    requant_bits = config.requant_bits
    limit = 1 << (requant_bits - 2)
    drawn = rng.random(outputs) < 0.5
    weight = rng.integers(config.least_weight, config.largest_weight + 1, (outputs, inputs))
    weight *= rng.random((outputs, inputs)) < rng.random((outputs, 1))
    weight = _legal(weight, config)
    bits = config.multiplier_bits
    multiplier = rng.integers(0, 1 << bits, outputs) >> rng.integers(0, bits, outputs)
    bias = rng.integers(-limit, limit + 1, outputs) >> rng.integers(0, requant_bits - 2, outputs)
    shift = rng.integers(0, len(shifts), outputs)
    return dataclasses.replace(
        layer, weight=np.where(drawn[:, None], weight, layer.weight), multiplier=np.where(drawn, multiplier,
        layer.multiplier), shift=np.where(drawn, shift, layer.shift), bias=np.where(drawn, bias, layer.bias))
