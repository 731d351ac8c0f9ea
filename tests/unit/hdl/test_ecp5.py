# SPDX-License-Identifier: Apache-2.0
"""The plan of ECP5 banks that make up a memory."""

import numpy as np
import pytest

from tiled_se.hdl.ecp5 import SHAPES, plan


@pytest.mark.parametrize(("width", "depth", "words", "blocks"), [
    (64, 3314, [2048, 1024, 512], 14),  # the headline's tile buffer
    (8, 25596, [16384, 8192, 1024], 13),
    (128, 128, [512], 4),
    (46, 600, [1024], 3),
    (64, 16384 * 3 + 1, [16384] * 3 + [512], 194),
    (1, 16385, [16384, 512], 2),
])
def test_plan(width, depth, words, blocks):
    """Known cases: a depth that is no power of two takes no more blocks than its banks."""
    banks = plan(width, depth)
    assert [bank.words for bank in banks] == words
    assert sum(bank.blocks(width) for bank in banks) == blocks


@pytest.mark.parametrize("seed", range(3))
def test_plan_covers_every_address_once(seed):
    rng = np.random.default_rng(seed)
    for _ in range(40):
        width, depth = int(rng.integers(1, 520)), int(rng.integers(33, 70000))
        banks = plan(width, depth)
        assert banks[-1].start < depth <= banks[-1].start + banks[-1].words
        for bank, after in zip(banks, banks[1:], strict=False):
            assert bank.start + bank.words == after.start
        assert all(bank.words in SHAPES and bank.start % bank.words == 0 for bank in banks)
        # Never more than one memory of one shape would take.
        assert sum(bank.blocks(width) for bank in banks) <= min(
            -(-depth // words) * -(-width // bits) for words, bits in SHAPES.items())
