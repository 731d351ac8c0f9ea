# SPDX-License-Identifier: Apache-2.0
"""The memory that the project promises, read off netlists: a change that costs more than that is seen here."""

import dataclasses

import pytest

from tiled_se.evaluate.networks import load_networks
from tiled_se.gen.verilog import generate
from tiled_se.hdl.config import Config
from tiled_se.hdl.sizing import choose_macs, lanes_within
from tiled_se.hdl.timing import Timing


def sized(**shape):
    config = Config(**shape, loadable=True)
    return dataclasses.replace(config, macs=choose_macs(config, 0.05))


@pytest.mark.parametrize(("lanes", "slack", "most"), [(1, None, 1.05), (8, None, 1.10), (1, 0, 1.03), (8, 0, 1.03)])
def test_headline(lanes, slack, most, figure):
    """K=7 W=56 C=64: all memory but the parameters', over 8 * K * W * C bits."""
    config = sized(k=7, width=56, channels=64, squeeze=16, lanes=lanes, slack=slack)
    assert Timing(config).full_rate == (slack is None)
    over = generate(config).sram["over_bound"]
    figure(f"memory of K=7 W=56 C=64 LANES={lanes}{'' if slack is None else ' SLACK=0'}: {over:.3f} x the bound")
    assert over <= most


def test_efficientdet_d2(figure):
    """Over all its blocks, with two lanes: at least 90 % less than squeeze-and-excite of the same generator."""
    network, = (network for network in load_networks() if network.name == "EfficientDet-D2")
    bits = {7: 0, None: 0}
    for block in network.blocks:
        for k in bits:
            config = sized(k=k or block.height, width=block.width, channels=block.channels, squeeze=block.squeeze,
                           lanes=lanes_within(block.channels, 2))
            bits[k] += block.count * generate(config).sram["total_without_weights_bits"]
    less = 1 - bits[7] / bits[None]
    figure(f"memory of EfficientDet-D2's blocks, two lanes: {100 * less:.2f} % less than SE")
    assert less >= 0.9
