# SPDX-License-Identifier: Apache-2.0
"""The prior in a parameter stream. tests/unit/hdl/test_loader.py tests the other numbers."""

import dataclasses

import numpy as np
import pytest

from tests.helpers.blocks import random_parameters
from tiled_se.hdl.config import Config, Context
from tiled_se.hdl.parameters import prior_words, record_words, stream_words, weight_words


@pytest.mark.parametrize(("prior_rows", "width", "prior_bits"), [(3, 20, 14), (1 << 16, 1 << 16, 40)])
def test_prior(prior_rows, width, prior_bits):
    """In two's complement, above the records of layer 2; above those of layer 1 there is nothing."""
    config = Config(k=1, context=Context.CAUSAL, prior_rows=prior_rows, max_rows=1, width=width, channels=4, squeeze=2,
                    operand_bits=10, loadable=True)
    assert config.prior_bits == prior_bits
    elements = prior_rows * width
    given = np.array([-128 * elements, -5, 0, 127 * elements])
    parameters = dataclasses.replace(random_parameters(config, np.random.default_rng(1)), prior=given)
    parameters.validate(config)
    words = stream_words(config, parameters)
    length = -(-(config.record_bits + prior_bits) // 32)
    records = [sum(word << 32 * i for i, word in enumerate(words[start:start + length]))
               for start in range(2 + len(weight_words(config, parameters)), len(words), length)]
    assert [record & (1 << config.record_bits) - 1 for record in records] == record_words(config, parameters)
    upper = [record >> config.record_bits for record in records]
    assert upper == [0, 0, (1 << prior_bits) - 128 * elements, (1 << prior_bits) - 5, 0, 127 * elements]
    assert upper[2:] == prior_words(config, parameters)


def test_no_prior():
    """The stream of a block without imaginary rows has records alone."""
    config = Config(k=1, context=Context.CUMULATIVE, width=20, channels=4, squeeze=2, loadable=True)
    parameters = random_parameters(config, np.random.default_rng(1))
    assert not prior_words(config, parameters)
    assert len(stream_words(config, parameters)) == 2 + 2 * 4 + 4 * 2 + 6 * 2
