# SPDX-License-Identifier: Apache-2.0
"""What hdl/activations.py says of each function, against the float64 reference and PyTorch's functions."""

import numpy as np
import pytest
import torch

from tiled_se.golden.module import ACTIVATIONS, gate_function
from tiled_se.golden.reference import GATES, MIDS
from tiled_se.hdl.config import Gate, GateKind, Mid

STEP = 1 / 256
POINTS = np.arange(-32, 32 + STEP, STEP)
TABLES = [kind for kind in GateKind if kind.table]
GATE_FUNCTIONS = [*map(Gate, TABLES), Gate(GateKind.HARDSIGMOID), Gate(GateKind.HARDSIGMOID, 0.2, 0.4)]


def reference(gate):
    return GATES[gate.kind](POINTS) if gate.table else np.clip(gate.slope * POINTS + gate.offset, 0, 1)


def derivatives(values):
    """Largest magnitudes of the first three derivatives."""
    return [np.abs(np.diff(values, order)).max() / STEP**order for order in (1, 2, 3)]


@pytest.mark.parametrize("gate", GATE_FUNCTIONS, ids=str)
def test_gate_agrees(gate):
    """The row, the reference and PyTorch's function are the same function."""
    exact = reference(gate)
    assert np.abs([gate.exact(point) for point in POINTS] - exact).max() < 1e-12
    assert np.abs([gate.exact(point, -3.0) for point in POINTS] + 3 * exact).max() < 1e-11
    assert np.abs(gate_function(gate, torch.from_numpy(POINTS)).numpy() - exact).max() < 1e-12


@pytest.mark.parametrize("gate", GATE_FUNCTIONS, ids=str)
def test_gate_properties(gate):
    """Largest slope, and where the gate is 0."""
    exact = reference(gate)
    assert derivatives(exact)[0] == pytest.approx(gate.largest_slope, rel=1e-3 if not gate.table else 0.25)
    assert derivatives(exact)[0] <= gate.largest_slope + 1e-9
    assert np.array_equal(exact > 1e-12, POINTS > -gate.zero_below + 1e-9) or np.isinf(gate.zero_below)


@pytest.mark.parametrize("kind", TABLES)
def test_table_properties(kind):
    """Rising, symmetrical about one half, and no steeper or more curved than its steepness allows; one less would not
    do."""
    exact = GATES[kind](POINTS)
    assert (np.diff(exact) >= 0).all()
    assert np.abs(exact + exact[::-1] - 1).max() < 1e-12
    sigmoid = derivatives(1 / (1 + np.exp(-POINTS)))
    shares = [found / largest for found, largest in zip(derivatives(exact), sigmoid, strict=True)]
    limits = np.array([2.0**kind.table.steepness, 4.0**kind.table.steepness, 8.0**kind.table.steepness])
    assert (shares <= limits * (1 + 1e-3)).all()
    assert (shares > limits / [2, 4, 8]).any()
    assert kind.table.slope == limits[0] / 4
    assert kind.table.third == limits[2] / 8


@pytest.mark.parametrize("mid", Mid)
def test_mid_agrees(mid):
    """The row, the reference and PyTorch's function are the same function, with these ends and this slope."""
    exact = MIDS[mid](POINTS)
    values = np.array([max(point, 0) - mid.correction(abs(point)) for point in POINTS]) if mid.tabulated else \
        np.clip(POINTS, mid.low, mid.high)
    assert np.abs(values - exact).max() < 1e-12
    assert np.abs(ACTIVATIONS[mid](torch.from_numpy(POINTS)).numpy() - exact).max() < 1e-12
    assert mid.signed == (exact.min() < 0)
    assert derivatives(exact)[0] == pytest.approx(mid.slope, rel=1e-2)
    assert derivatives(exact)[0] <= mid.slope + 1e-9


@pytest.mark.parametrize("mid", [mid for mid in Mid if mid.tabulated])
def test_correction(mid):
    """Even, with a third derivative under 1 on each side, and 0 where the gate of the negative magnitude is."""
    correction = np.maximum(POINTS, 0) - MIDS[mid](POINTS)
    assert np.abs(correction - correction[::-1]).max() < 1e-12
    positive = correction[POINTS >= 0]
    # A hard swish is made of two parabolas, which meet at an end of segments.
    smooth = np.abs(POINTS[POINTS >= 0][:-3] + 1.5 * STEP - mid.gate.zero_below) > 2 * STEP
    assert np.abs(np.diff(positive, 3)[smooth]).max() / STEP**3 < 1
    assert not positive[POINTS[POINTS >= 0] >= mid.gate.zero_below].any()
    assert np.isinf(mid.gate.zero_below) or (mid.gate.zero_below * 2).is_integer()
