# SPDX-License-Identifier: Apache-2.0
"""The prior in a parameter stream. tests/unit/hdl/test_loader.py tests the other memories."""

import dataclasses

import numpy as np

from tests.helpers.blocks import random_parameters
from tiled_se.hdl.config import Config, Context
from tiled_se.hdl.parameters import prior_words, stream_words


def test_prior_comes_last():
    """A word a channel in two's complement, after the records; the rest of the stream is that of a block without."""
    config = Config(k=1, context=Context.CAUSAL, prior_rows=3, width=20, channels=4, squeeze=2, loadable=True)
    assert config.prior_bits == 14
    bare = random_parameters(dataclasses.replace(config, context=Context.TILE), np.random.default_rng(1))
    parameters = dataclasses.replace(bare, prior=np.array([-128 * 60, -1, 0, 127 * 60]))
    parameters.validate(config)
    words = [(1 << 14) - 7680, 0x3FFF, 0, 7620]
    assert prior_words(config, parameters) == words
    assert stream_words(config, parameters) == stream_words(config, bare) + words
    assert not prior_words(config, bare)


def test_wide_prior():
    """Of more than 32 bits: the low word first."""
    config = Config(k=1, context=Context.CAUSAL, prior_rows=1 << 16, width=1 << 16, channels=1, squeeze=1,
                    max_rows=1, operand_bits=10, loadable=True)
    assert config.prior_bits == 40
    parameters = dataclasses.replace(
        random_parameters(dataclasses.replace(config, context=Context.TILE), np.random.default_rng(1)),
        prior=np.array([-5]))
    parameters.validate(config)
    assert stream_words(config, parameters)[-2:] == [0xFFFFFFFB, 0xFF]
