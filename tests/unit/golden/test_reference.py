# SPDX-License-Identifier: Apache-2.0
"""The float64 reference in every context, against means worked out by hand."""

import types

import numpy as np
import pytest

from tiled_se.golden.block import DataFormat, FloatBlock
from tiled_se.golden.reference import output_errors, squeeze_excite
from tiled_se.hdl.config import Config, Context, Gate, GateKind, Mid, Order
from tiled_se.hdl.data_type import UINT8

# Gates are the descriptors themselves: one channel, identity, a hard sigmoid of slope 1.
PLAIN = Gate(GateKind.HARDSIGMOID, 1.0, 0.0)
# Rows of means 0.1, 0.3, 0.2, 0.6, 0.8.
MAP = np.array([[0.1, 0.1, 0.1], [0.2, 0.3, 0.4], [0.0, 0.0, 0.6], [0.6, 0.9, 0.3], [0.8, 0.7, 0.9]])


def gates(x, prior=None, k=1, **form):
    """The gates (H, W) of a map (H, W) of one channel."""
    turned = form.get("order") is Order.COLUMNS
    config = Config(k=k, width=x.shape[0 if turned else 1], channels=1, squeeze=1, mid=Mid.IDENTITY, gate=PLAIN, **form)
    one = np.ones((1, 1))
    block = FloatBlock(one, [0.0], one, [0.0], Mid.IDENTITY, PLAIN, prior=None if prior is None else np.array([prior]))
    return squeeze_excite(x[..., None], block, config)[..., 0] / np.where(x, x, np.nan)


@pytest.mark.parametrize(("form", "expected"), [
    (dict(k=2), [0.2, 0.2, 0.4, 0.4, 0.8]),
    (dict(k=9), [0.4] * 5),
    (dict(k=1, context=Context.CUMULATIVE), [0.1, 0.2, 0.2, 0.3, 0.4]),
    (dict(k=2, context=Context.CUMULATIVE), [0.2, 0.2, 0.3, 0.3, 0.4]),
    (dict(k=2, context=Context.CUMULATIVE, max_rows=3), [0.2] * 5),
    (dict(k=3, context=Context.CUMULATIVE, prior_rows=3, prior=0.2), [0.2, 0.2, 0.2, 0.325, 0.325]),
    (dict(k=2, context=Context.CAUSAL, prior_rows=1), [0, 0, 0.4 / 3, 0.4 / 3, 0.24]),
    (dict(k=1, context=Context.CAUSAL, prior_rows=2, prior=0.5), [0.5, 1.1 / 3, 0.35, 0.32, 2.2 / 6]),
    (dict(k=1, context=Context.CAUSAL, prior_rows=2, prior=0.5, max_rows=2), [0.5, 1.1 / 3, 0.35, 0.35, 0.35]),
    (dict(context=Context.WINDOW, window=(1, 2)), [0.25] * 5),
    (dict(context=Context.WINDOW, window=(4, 9)), [0.8] * 5),
    (dict(context=Context.WINDOW, window=(5, 9), prior=0.7), [0.7] * 5),
    (dict(context=Context.WINDOW, window=(5, 9)), [0] * 5),
    # What the context has no use for.
    (dict(k=2, prior=0.5), [0.2, 0.2, 0.4, 0.4, 0.8]),
    (dict(k=1, context=Context.CUMULATIVE, prior=0.5), [0.1, 0.2, 0.2, 0.3, 0.4]),
])
def test_contexts(form, expected):
    """Rows as they are, and a map whose columns are those rows."""
    for x, order in ((MAP, Order.ROWS), (MAP.T, Order.COLUMNS)):
        got = gates(x, **form, order=order)
        got = got if order is Order.ROWS else got.T
        np.testing.assert_allclose(got[MAP > 0], np.broadcast_to(np.array(expected)[:, None], MAP.shape)[MAP > 0],
                                   rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("order", Order)
def test_patches(order):
    """Ragged both ways."""
    expected = np.array([[0.175, 0.175, 0.25], [0.175, 0.175, 0.25], [0.375, 0.375, 0.45], [0.375, 0.375, 0.45],
                         [0.75, 0.75, 0.9]])
    turned = order is Order.COLUMNS
    got = gates(MAP.T if turned else MAP, k=2, tile_width=2, order=order)
    got = got.T if turned else got
    np.testing.assert_allclose(got[MAP > 0], expected[MAP > 0])


def test_output_errors():
    """About the outputs' zero point, over all frames; beyond the end of their range, the end is right but clipped."""
    config = Config(k=1, width=1, channels=1, squeeze=1, mid=Mid.IDENTITY, gate=PLAIN)
    one, zero = np.ones((1, 1)), np.zeros(1)
    weights = types.SimpleNamespace(w1=one, b1=zero, w2=one, b2=zero, prior=None)
    job = types.SimpleNamespace(config=config, quantised=weights, format=DataFormat(0.125, 10),
                                y_format=DataFormat(0.0625, 250, UINT8))
    # Outputs are the squares of 0.5, 0.25 and 0.75: 4, 1 and 9 steps, of which 5 are left.
    x = np.array([14, 12, 16], np.int8).reshape(3, 1, 1, 1)
    for y, errors, noise in (([254, 250, 255], [0, 1, 0], 1 + 4**2), ([253, 252, 254], [1, 1, 1], 1 + 1 + 5**2)):
        found = output_errors(job, x, np.array(y, np.uint8).reshape(x.shape))
        assert found == {
            "lsb": {"max": max(errors), "mean": pytest.approx(sum(errors) / 3)}, "range": [0.0625, 0.5625],
            "clipped": 1 / 3, "sqnr_db": pytest.approx(10 * np.log10((4**2 + 1 + 9**2) / noise))}


@pytest.mark.parametrize(("zero", "clipped"), [(250, 1), (246.6, 1), (246.4, 0), (-1.4, 0), (-1.6, 1), (-11, 2)])
def test_outputs_are_clipped_from_half_a_step_beyond(zero, clipped):
    """At either end."""
    config = Config(k=1, width=1, channels=1, squeeze=1, mid=Mid.IDENTITY, gate=PLAIN)
    one, nothing = np.ones((1, 1)), np.zeros(1)
    weights = types.SimpleNamespace(w1=one, b1=nothing, w2=one, b2=nothing, prior=None)
    outputs = types.SimpleNamespace(scale=0.0625, zero_point=zero, data=UINT8, dequantise=lambda q: q)
    job = types.SimpleNamespace(config=config, quantised=weights, format=DataFormat(0.125, 10), y_format=outputs)
    # Steps 1 and 9.
    x = np.array([12, 16], np.int8).reshape(2, 1, 1, 1)
    assert output_errors(job, x, np.zeros_like(x))["clipped"] == clipped / 2
