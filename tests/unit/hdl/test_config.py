# SPDX-License-Identifier: Apache-2.0
"""The parameter object refuses what is not legal, by name, and its widths hold what they must."""

import dataclasses
import fractions
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiled_se.hdl.config import Config, ConfigError, Context, Gate, GateKind, Mid
from tiled_se.hdl.data_type import UINT8

HEADLINE = Config(k=7, width=56, channels=64, squeeze=16, lanes=8, macs=16)


@pytest.mark.parametrize(("change", "message"), [
    ({"k": 0}, "k=0: must be from 1 to 65536"),
    ({"width": 0}, "width=0: must be from 1 to 65536"),
    ({"squeeze": -3}, "squeeze=-3: must be from 1 to 65536"),
    ({"lanes": 7}, "lanes=7: must divide channels=64"),
    ({"macs": 5000}, "macs=5000: must be from 1 to 4096"),
    ({"zero_point": 128}, "zero_point=128: must be from -128 to 127"),
    ({"data": UINT8, "zero_point": -1}, "zero_point=-1: must be from 0 to 255"),
    ({"slack": -1}, "slack=-1: must be from 0 to 1048576"),
    ({"operand_bits": 9}, "operand_bits=9: must be from 10 to 40"),
    ({"operand_bits": 40, "channels": 65536}, "operand_bits=40: at most 39 for 65536 channels and a squeeze of 16"),
    ({"shifts": ((), (0,))}, "shifts=(): must be 1 to 8 numbers"),
    ({"k": 65536, "width": 65536, "operand_bits": 28}, "operand_bits=28: at most 27 for means of 65536 rows of 65536"),
    ({"mid": Mid.SILU, "hidden_frac": 2}, "hidden_frac=2: must be from 4 to 17"),
])
def test_refuses(change, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        dataclasses.replace(HEADLINE, **change)


@pytest.mark.parametrize(("change", "message"), [
    ({"k": 7.0}, "k=7.0: must be an integer"),
    ({"macs": True}, "macs=True: must be an integer"),
    ({"mid": "relu"}, "mid='relu': must be a Mid"),
])
def test_refuses_types(change, message):
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        dataclasses.replace(HEADLINE, **change)


def test_integers_of_numpy():
    """They are stored as int, and lists as tuples: a Config is hashable, and its fingerprint is that of the same ints.
    """
    fields = dict(width=56, channels=64, lanes=8, macs=16, slack=3, zero_point=1, operand_bits=20, segment_bits=2)
    given = {name: np.int64(value) for name, value in fields.items()} | {"shifts": [[np.int64(0), 3], (2,)]}
    config = dataclasses.replace(HEADLINE, mid=Mid.SILU, hidden_frac=np.int64(11), **given)
    wanted = dataclasses.replace(HEADLINE, mid=Mid.SILU, hidden_frac=11, shifts=((0, 3), (2,)), **fields)
    assert (hash(config), repr(config), config.fingerprint) == (hash(wanted), repr(wanted), wanted.fingerprint)


def test_hidden_frac_has_a_default():
    assert HEADLINE.hidden_frac == 0
    assert Config(k=1, width=1, channels=1, squeeze=1, mid=Mid.SILU).hidden_frac == 11


@pytest.mark.parametrize("shape", [{"k": 65536, "width": 65536}, {"channels": 65536}, {"k": 3000, "width": 300}])
def test_widest_operands(shape):
    most = dataclasses.replace(HEADLINE, **shape).most_operand_bits
    widest = dataclasses.replace(HEADLINE, **shape, operand_bits=most)
    assert max((widest.k * widest.width - 1).bit_length() + widest.reciprocal_bits + 1, widest.acc_bits) == 62
    assert widest.most_operand_bits == most
    with pytest.raises(ConfigError, match=f"^operand_bits={most + 1}: at most {most} for "):
        dataclasses.replace(widest, operand_bits=most + 1)


def test_gate_limits():
    with pytest.raises(ConfigError, match="slope must be from"):
        Gate(GateKind.HARDSIGMOID, slope=0.0)
    with pytest.raises(ConfigError, match="offset must be from"):
        Gate(GateKind.HARDSIGMOID, offset=math.nan)


@given(k=st.integers(1, 300), width=st.integers(1, 600), operand=st.integers(10, 28))
def test_sums_and_reciprocals(k, width, operand):
    """A sum of the extreme value fits; R / 2**q is k / r on the mean's grid to less than half a step of any mean."""
    config = Config(k=k, width=width, channels=4, squeeze=4, operand_bits=operand)
    low = -(1 << (config.sum_bits - 1))
    assert low <= -128 * k * width
    assert config.sum_bits == 8 or -(1 << (config.sum_bits - 2)) > -128 * k * width
    for r, (value, q) in enumerate(config.reciprocals, start=1):
        wanted = fractions.Fraction(k, r) * fractions.Fraction(2) ** config.mean_frac
        got = fractions.Fraction(value, 1 << q)
        assert value.bit_length() == config.reciprocal_bits
        assert abs(wanted - got) * 128 * r * width < fractions.Fraction(1, 2 if operand <= 18 else 8)
        assert 2 * abs(wanted - got) <= fractions.Fraction(1, 1 << q)
    full, q = config.reciprocals[-1]
    assert fractions.Fraction(full, 1 << q) == fractions.Fraction(2) ** config.mean_frac


def test_fingerprint_tells_layouts_apart():
    """A stream for other numbers is refused; what does not change its meaning does not change the fingerprint."""
    prints = {dataclasses.replace(HEADLINE, **change).fingerprint for change in (
        {}, {"macs": 15}, {"operand_bits": 19}, {"k": 6}, {"width": 55}, {"mid": Mid.RELU6}, {"residual": True},
        {"gate": Gate(GateKind.HARDSIGMOID)}, {"gate": Gate(GateKind.HARDSIGMOID, slope=0.2)}, {"requant_bits": 28},
        {"multiplier_bits": 17})}
    assert len(prints) == 11
    assert dataclasses.replace(HEADLINE, lanes=1, slack=0, zero_point=3).fingerprint == HEADLINE.fingerprint


def test_fingerprint_of_a_window():
    """What a window ignores does not tell two streams apart; the same two numbers do where they count."""
    for context, count in (({"context": Context.WINDOW, "window": (1, 2)}, 1),
                           ({"context": Context.CUMULATIVE}, 4)):
        prints = {dataclasses.replace(HEADLINE, **context, k=k, max_rows=rows).fingerprint
                  for k in (1, 7) for rows in (2, 4096)}
        assert len(prints) == count
    blocks = [dataclasses.replace(HEADLINE, context=Context.WINDOW, window=window) for window in ((1, 2), (1, 3))]
    assert len({HEADLINE.fingerprint, *(block.fingerprint for block in blocks)}) == 3
