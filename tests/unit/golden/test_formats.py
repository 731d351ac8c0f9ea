# SPDX-License-Identifier: Apache-2.0
"""Data of 2 to 16 bits, weights of 2 to 8, outputs with a format of their own: the contract, and stages by hand."""


import numpy as np
import pytest

from tiled_se.golden.block import FloatBlock
from tiled_se.golden.integer import IntegerModel
from tiled_se.golden.quantise import quantise_fixed_widths, quantise_within_error
from tiled_se.golden.reference import squeeze_excite
from tiled_se.hdl.config import Config, Context, DataType, Gate, GateKind, Mid, Order

HARD = Gate(GateKind.HARDSIGMOID)
GATES = [Gate(), Gate(), HARD, Gate(GateKind.HARDSIGMOID, 0.2, 0.5), Gate(GateKind.HARDSIGMOID, 3.0, -0.7)]


def pick(rng, values):
    return values[rng.integers(len(values))]


def random_tiling(rng, context):
    form = {"k": int(rng.integers(1, 6)), "context": context, "order": pick(rng, list(Order))}
    if context.running:
        form["max_rows"] = pick(rng, [1, 2, 7, 20, 4096])
        form["prior_rows"] = pick(rng, [1, 2, 3, 9]) - (context is Context.CUMULATIVE)
    elif context is Context.WINDOW:
        form["window"] = (int(rng.integers(0, 9)), int(rng.integers(1, 9)))
    else:
        form["tile_width"] = int(rng.integers(1, 9))
    return form


def random_case(seed):
    """(config, block, x_scale, rng): any formats, in any context, with weights of any gain."""
    rng = np.random.default_rng([22, seed])
    data = DataType(int(rng.integers(2, 17)), bool(rng.integers(2)))
    zero = pick(rng, [data.low, data.high, int(rng.integers(data.low, data.high + 1))])
    scale = 10**rng.uniform(-4, 0) * 256 / (data.steps + 1)
    residual = bool(rng.integers(2))
    outputs = {}
    if rng.integers(3):
        most = 20 - data.bits - residual
        exponent = pick(rng, [rng.uniform(-8, min(2, most)), rng.uniform(-8, most), float(rng.integers(-8, most + 1))])
        outputs["y_ratio"] = pick(rng, [None, 2.0**exponent, 2.0**exponent])
        outputs["y_data"] = pick(rng, [data, DataType(int(rng.integers(2, 17)), bool(rng.integers(2)))])
        y = outputs["y_data"]
        outputs["y_zero_point"] = pick(rng, [y.low, y.high, int(rng.integers(y.low, y.high + 1))])
    channels, squeeze, gain = int(rng.integers(1, 9)), int(rng.integers(1, 7)), 10**rng.uniform(-0.5, 1)
    prior = rng.uniform(scale * (data.low - zero), scale * (data.high - zero), channels)
    block = FloatBlock(rng.normal(size=(squeeze, channels)) * gain, rng.normal(size=squeeze),
                       rng.normal(size=(channels, squeeze)) * gain, rng.normal(size=channels), pick(rng, list(Mid)),
                       pick(rng, GATES), residual, prior if rng.integers(4) else None)
    config = Config(**random_tiling(rng, list(Context)[seed % len(Context)]), width=int(rng.integers(1, 9)),
                    channels=channels, squeeze=squeeze, data=data, zero_point=zero, mid=block.mid, gate=block.gate,
                    weight_bits=int(rng.integers(2, 9)), residual=residual, loadable=bool(rng.integers(2)), **outputs)
    return config, block, scale, rng


def hard_frames(rng, config, height):
    """Random data, the two ends in turn by rows, by columns and at random, and nothing but each end and the zero."""
    low, high, shape = config.data.low, config.data.high, (height, config.width, config.channels)
    row, column, _ = np.indices(shape)
    return np.stack([rng.integers(low, high + 1, shape), rng.choice([low, high], shape),
                     np.where(row % 2, low, high), np.where(column % 2, low, high), np.full(shape, low),
                     np.full(shape, high), np.full(shape, config.zero_point)])


def exact_outputs(config, quantised, x, x_scale, y_scale):
    """What the outputs for the stream's frames `x` should be, in steps of their integers: real numbers, not limited."""
    by_columns = config.order is Order.COLUMNS
    zero = config.zero_point if config.y_zero_point is None else config.y_zero_point
    real = [squeeze_excite(frame.swapaxes(0, 1) if by_columns else frame, quantised, config)
            for frame in (x.astype(np.float64) - config.zero_point) * x_scale]
    real = np.stack([frame.swapaxes(0, 1) if by_columns else frame for frame in real])
    return zero + real / y_scale


def test_contract(figure):
    """1,000 blocks of all formats and contexts: every output within the bound, which is at most an LSB."""
    worst = bound = share = saturated = 0.0
    for seed in range(1000):
        config, block, x_scale, rng = random_case(seed)
        y_scale = x_scale * (1 + block.residual) if config.y_ratio is None else x_scale / config.y_ratio
        config, quantised = quantise_within_error(config, block, x_scale)
        assert quantised.y_scale == pytest.approx(y_scale, rel=1e-12, abs=0)
        x = hard_frames(rng, config, int(rng.integers(1, 12)))
        y = IntegerModel(config, quantised.parameters).run(x).y.numpy()
        exact, outputs = exact_outputs(config, quantised, x, x_scale, y_scale), config.outputs
        low = -2.0**(outputs.bits - 1) if outputs.signed else 0.0
        limited = np.clip(exact, low, low + 2.0**outputs.bits - 1)
        error = np.abs(y - limited).max()
        assert error <= quantised.error_bound_lsb <= 1, (seed, config)
        saturated += (np.abs(limited - exact) > 1).any()
        worst, bound = max(worst, error), max(bound, quantised.error_bound_lsb)
        share = max(share, error / quantised.error_bound_lsb)
        if seed % 4 == 0:
            again = quantise_fixed_widths(config, block, x_scale)
            assert np.array_equal(IntegerModel(config, again.parameters).run(x).y.numpy(), y)
            assert again.error_bound_lsb == quantised.error_bound_lsb
    assert 300 < saturated < 700
    assert worst > 0.7
    figure(f"formats: largest error of 1000 blocks {worst:.4f}, largest bound {bound:.4f} LSB, largest share "
           f"{share:.3f}; {saturated:.0f} saturate")
