# SPDX-License-Identifier: Apache-2.0
"""The activations' tables: every input against float64, and the evaluation against the documented formula."""

import math

import numpy as np
import pytest
import torch

from tiled_se.golden import activation, budget
from tiled_se.hdl.config import Config, Gate, GateKind, Mid
from tiled_se.hdl.tables import gate_format, gate_table, mid_table

LOGITS = np.arange(-8192, 8192)


def gate_config(**more):
    return Config(k=1, width=1, channels=1, squeeze=1, **more)


def mid_config(mid, frac, segment_bits, operand_bits=18):
    return gate_config(mid=mid, hidden_frac=frac, segment_bits=segment_bits, operand_bits=operand_bits)


def exact_mid(mid, a):
    return a / (1 + np.exp(-a)) if mid is Mid.SILU else a * np.clip(a + 3, 0, 6) / 6


@pytest.mark.parametrize("residual", [False, True])
def test_sigmoid(residual):
    """Within a step everywhere, symmetrical about one half, and within 0..1 (residual: 1/2..1)."""
    config = gate_config(residual=residual)
    gate = activation.gate(LOGITS, config, activation.gate_columns(config))
    exact = 1 / (1 + np.exp(-LOGITS / 1024))
    error = np.abs(gate - 4096 * ((1 + exact) / 2 if residual else exact)).max()
    assert error < (0.8 if residual else 1.0)
    # Neighbouring segments may meet with a step back.
    assert (np.diff(gate) >= -1).all()
    assert np.array_equal(gate[8193:] + gate[8191:0:-1], np.full(8191, 6144 if residual else 4096))
    assert gate.min() >= (2048 if residual else 0)
    assert gate.max() <= 4096


def test_sigmoid_formula():
    """Some logits by the formula in docs/design.md, in plain integers."""
    config = gate_config()
    table = gate_table(gate_format(config), 4096.0, residual=False)
    for logit in (-8192, -8191, -129, -128, -1, 0, 1, 127, 128, 3000, 8191):
        a = min(abs(logit), 8191)
        c0, c1 = table[a >> 7]
        p = math.floor((c0 + c1 * (a & 127) + 64) / 128)
        got = activation.gate(np.array([logit]), config, activation.gate_columns(config))
        assert got == (p if logit >= 0 else 4096 - p)


def test_hard_sigmoid():
    """Only the clamp is left; the residual's is to 1/2..1."""
    logit = np.array([-8192, -1, 0, 1, 2047, 2048, 4095, 4096, 4097, 8191])
    hard = Gate(GateKind.HARDSIGMOID)
    columns = activation.gate_columns(gate_config(gate=hard))
    assert activation.gate(logit, gate_config(gate=hard), columns).tolist() == [0, 0, 0, 1, 2047, 2048, 4095, 4096,
                                                                               4096, 4096]
    assert activation.gate(logit, gate_config(gate=hard, residual=True), columns).tolist() == [2048] * 6 + [4095] + [
        4096] * 3


@pytest.mark.parametrize(("mid", "frac", "segment_bits", "steps"), [
    (Mid.SILU, 4, 1, 0.8), (Mid.SILU, 8, 3, 0.95), (Mid.SILU, 11, 2, 0.9), (Mid.SILU, 14, 3, 1.0),
    (Mid.SILU, 15, 5, 1.0), (Mid.SILU, 14, 1, 4.1), (Mid.HARDSWISH, 4, 1, 0.7), (Mid.HARDSWISH, 14, 1, 0.75),
    (Mid.HARDSWISH, 12, 5, 0.75)])
def test_mid(mid, frac, segment_bits, steps):
    """Every magnitude of both signs, and what is beyond the table: within so many steps of float64."""
    config = mid_config(mid, frac, segment_bits, operand_bits=frac + 6)
    a = np.arange(-20 << frac, 20 << frac)
    got = activation.mid(a, config, activation.mid_columns(mid, frac, segment_bits, 16))
    error = np.abs(got - exact_mid(mid, a / (1 << frac)) * (1 << frac))
    assert error.max() < steps
    assert error.max() == pytest.approx(budget.mid_error(mid, frac, segment_bits, 16))
    outside = np.abs(a) >= 16 << frac
    assert np.array_equal(got[outside], a[outside].clip(0))


@pytest.mark.parametrize("mid", [Mid.SILU, Mid.HARDSWISH])
def test_mid_formula(mid):
    """Some values by the formula in docs/design.md, in plain integers."""
    frac, s = 9, 2
    n = frac - s
    columns = activation.mid_columns(mid, frac, s, 16)
    config = mid_config(mid, frac, s, 14)
    for a in (-8192, -8191, -1500, -130, -1, 0, 1, 127, 128, 129, 1535, 1536, 5000, 8191, 9000):
        h = max(a, 0)
        if abs(a) < 16 << frac:
            c0, c1, c2 = mid_table(mid, frac, s, 16)[abs(a) >> n]
            t = abs(a) & (2**n - 1)
            u = c1 + math.floor(c2 * t / 2**n)
            h -= math.floor((c0 + math.floor(u * t / 2**n) + 2) / 4)
        assert activation.mid(np.array([a]), config, columns) == min(h, 8191)


@pytest.mark.parametrize("mid", [Mid.SILU, Mid.HARDSWISH])
def test_bounded_error_is_a_bound(mid):
    """The bound that stands in for measuring fine tables, where both can be had; and it is not far off."""
    for frac in range(3, 15):
        for segment_bits in range(1, min(5, frac - 1) + 1):
            measured = budget.measured_table_error(mid, frac, segment_bits, 16)
            bound = budget.bounded_table_error(mid, frac, segment_bits, 16)
            assert measured <= bound < measured + 0.6


@pytest.mark.parametrize("frac", [16, 20])
def test_fine_tables_by_sample(frac):
    """Where the bound is used, a sample stays within it."""
    a = np.random.default_rng(frac).integers(0, 16 << frac, 100_000)
    for segment_bits in (1, 3, 5):
        columns = activation.mid_columns(Mid.SILU, frac, segment_bits, 16)
        correction = activation.correction(a, columns, frac - segment_bits)
        real = a / (1 << frac)
        error = np.abs(correction - real / (1 + np.exp(real)) * (1 << frac)).max()
        assert error <= budget.mid_error(Mid.SILU, frac, segment_bits, 16)


@pytest.mark.parametrize("mid", Mid)
def test_mid_slope(mid):
    functions = {Mid.RELU: lambda v: v.clip(0), Mid.RELU6: lambda v: v.clip(0, 6), Mid.IDENTITY: lambda v: v}
    a = np.linspace(-8, 8, 160_001)
    values = functions[mid](a) if mid in functions else exact_mid(mid, a)
    steepest = np.abs(np.diff(values) / np.diff(a)).max()
    assert steepest - 1e-6 <= mid.slope <= steepest + 1e-3


@pytest.mark.parametrize("mid", Mid)
def test_torch_as_numpy(mid):
    config = mid_config(mid, 8, 2, 14)
    a = np.random.default_rng(1).integers(-9000, 9000, 500)
    columns = activation.mid_columns(mid, 8, 2, 16)
    expected = activation.mid(a, config, columns)
    assert activation.mid(torch.tensor(a), config, torch.tensor(columns)).tolist() == expected.tolist()
    gates = activation.gate_columns(config)
    expected = activation.gate(LOGITS, config, gates)
    assert activation.gate(torch.tensor(LOGITS), config, torch.tensor(gates)).tolist() == expected.tolist()
