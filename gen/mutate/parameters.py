# SPDX-License-Identifier: Apache-2.0
"""Parameters that no network has, in which every bit of the data path matters."""

import dataclasses

import numpy as np

from ...hdl.config import MULTIPLIER_BITS

__all__ = ["spread"]


def spread(config, parameters, seed):
    """Parameters for `config`: about half of the rows of each layer are those of `parameters`.

    The others have weights of the whole range, many of them 0 in some rows, and a multiplier, a shift and a bias of any
    size.
    """
    rng = np.random.default_rng(seed)
    layers = (_layer(layer, shifts, config.pre_bits, rng)
              for layer, shifts in zip((parameters.layer1, parameters.layer2), config.shifts, strict=True))
    layer1, layer2 = layers
    zero = int(rng.integers(-128, 128)) if config.loadable else parameters.working_zero
    return dataclasses.replace(parameters, layer1=layer1, layer2=layer2, working_zero=zero)


def _layer(layer, shifts, pre_bits, rng):
    outputs, inputs = layer.weight.shape
    limit = 1 << (pre_bits - 2)
    drawn = rng.random(outputs) < 0.5
    weight = rng.integers(-127, 128, (outputs, inputs)) * (rng.random((outputs, inputs)) < rng.random((outputs, 1)))
    multiplier = rng.integers(0, 1 << MULTIPLIER_BITS, outputs) >> rng.integers(0, MULTIPLIER_BITS, outputs)
    bias = rng.integers(-limit, limit + 1, outputs) >> rng.integers(0, pre_bits - 2, outputs)
    shift = rng.integers(0, len(shifts), outputs)
    return dataclasses.replace(
        layer, weight=np.where(drawn[:, None], weight, layer.weight), multiplier=np.where(drawn, multiplier,
        layer.multiplier), shift=np.where(drawn, shift, layer.shift), bias=np.where(drawn, bias, layer.bias))
