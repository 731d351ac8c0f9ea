# SPDX-License-Identifier: Apache-2.0
"""Integer model and quantiser in every context: by hand, against the float64 reference, and what they refuse."""

import dataclasses
import re

import numpy as np
import pytest
import torch

from tiled_se.golden import budget
from tiled_se.golden.block import FloatBlock
from tiled_se.golden.integer import STAGES, IntegerModel
from tiled_se.golden.quantise import quantise_fixed_widths, quantise_within_error
from tiled_se.golden.reference import squeeze_excite
from tiled_se.golden.scales import RealLayer
from tiled_se.hdl.config import Config, ConfigError, Context, DataType, Gate, GateKind, Mid, Order
from tiled_se.hdl.data_type import UINT8
from tiled_se.hdl.parameters import Layer, Parameters

HARD = Gate(GateKind.HARDSIGMOID)
PADDLE = Gate(GateKind.HARDSIGMOID, 0.2, 0.5)


def random_tiling(rng, context):
    """Any options of a tiling with this context."""
    k = int(rng.integers(1, 6))
    form = {"k": k, "context": context, "order": rng.choice(list(Order))}
    if context.running:
        form["max_rows"] = int(rng.choice([1, 2, 7, 20, 4096]))
        form["prior_rows"] = int(rng.choice([1, 2, 3, 9])) - (context is Context.CUMULATIVE)
    elif context is Context.WINDOW:
        form["window"] = (int(rng.integers(0, 14)), int(rng.integers(1, 9)))
    else:
        form["tile_width"] = int(rng.integers(1, 13))
    return form


def random_block(rng, mid, gate, residual, low, high, given):
    """Weights of any gain, with a prior from `low` to `high` or, unless it is `given`, none."""
    channels, squeeze = int(rng.integers(1, 9)), int(rng.integers(1, 7))
    gain = 10**rng.uniform(-0.5, 1)
    return FloatBlock(rng.normal(size=(squeeze, channels)) * gain, rng.normal(size=squeeze),
                      rng.normal(size=(channels, squeeze)) * gain, rng.normal(size=channels), mid, gate, residual,
                      rng.uniform(low, high, channels) if given else None)


def hard_frames(rng, shape, low):
    """Random data, the two ends in turn by rows, by columns and at random, and nothing but each end."""
    row, column, _ = np.indices(shape)
    high = low + 255
    return [rng.integers(low, high + 1, shape), rng.choice([low, high], shape), np.where(row % 2, low, high),
            np.where(column % 2, low, high), np.where(row < shape[0] // 2, high, low), np.full(shape, low),
            np.full(shape, high)]


def turned(frames, config):
    """A map's frames as the stream brings them, or back."""
    return frames.swapaxes(-3, -2) if config.order is Order.COLUMNS else frames


@pytest.mark.parametrize("context", Context)
def test_contract(context, figure):
    """Blocks of all kinds, frames of all heights: every output within the bound, which is at most an LSB."""
    worst = bound = 0.0
    for seed in range(60):
        rng = np.random.default_rng([seed, list(Context).index(context)])
        signed, scale = bool(rng.integers(2)), 10**rng.uniform(-3, 0)
        low = -128 if signed else 0
        zero = int(rng.choice([low, low + 255, rng.integers(low, low + 256)]))
        block = random_block(rng, rng.choice(list(Mid)), [Gate(), HARD, PADDLE][seed % 3], seed % 4 == 1,
                             scale * (low - zero), scale * (low + 255 - zero), given=bool(rng.integers(4)))
        squeeze, channels = block.w1.shape
        config = Config(**random_tiling(rng, context), width=int(rng.integers(1, 13)), channels=channels,
                        squeeze=squeeze, data=DataType(8, signed), zero_point=zero, mid=block.mid, gate=block.gate,
                        residual=block.residual, loadable=bool(rng.integers(2)))
        config, quantised = quantise_within_error(config, block, scale)
        again = quantise_fixed_widths(config, block, scale)
        model = IntegerModel(config, again.parameters)
        for x in hard_frames(rng, (int(rng.integers(1, 31)), config.width, channels), low):
            y = turned(model.run(x).y.numpy(), config)
            real = squeeze_excite((turned(x, config) - zero) * scale, quantised, config)
            error = np.abs(y - zero - real / quantised.y_scale).max()
            assert error <= quantised.error_bound_lsb, (seed, config)
            worst, bound = max(worst, error), max(bound, quantised.error_bound_lsb)
    assert bound <= 1
    figure(f"{context.value}: largest error of 60 blocks {worst:.3f}, largest bound {bound:.3f} LSB")


@pytest.mark.parametrize("context", [Context.CUMULATIVE, Context.CAUSAL])
def test_tall_frame(context):
    """Beyond the default MAX_ROWS: the descriptor stays, and the contract holds on every row."""
    rng = np.random.default_rng(5)
    block = FloatBlock(rng.normal(size=(1, 2)), rng.normal(size=1), rng.normal(size=(2, 1)), rng.normal(size=2),
                       prior=np.array([0.5, -0.5]))
    config = Config(k=1, context=context, prior_rows=1, width=1, channels=2, squeeze=1)
    config, quantised = quantise_within_error(config, block, 0.1)
    x = rng.integers(1, 128, (5000, 1, 2))
    run = IntegerModel(config, quantised.parameters).run(x)
    assert run.means.shape == (1, 5000, 2)
    last = 4096 + (context is Context.CAUSAL)
    assert run.sums[0, last - 1:].unique(dim=0).shape == run.means[0, last - 1:].unique(dim=0).shape == (1, 2)
    assert torch.equal(run.sums[0, last - 1] - run.sums[0, last - 2], torch.tensor(x[4095, 0]))
    real = squeeze_excite(x * 0.1, quantised, config)
    assert np.abs(run.y.numpy() - real / quantised.y_scale).max() <= quantised.error_bound_lsb <= 1


def test_as_tiles():
    """What other contexts have in common with tiles: the same sums, and stages that differ by no more than rounding."""
    rng = np.random.default_rng(3)
    x = rng.integers(-128, 128, (2, 7, 3, 2))
    block = FloatBlock(*(rng.normal(size=shape) for shape in ((2, 2), 2, (2, 2), 2)))

    def run(frames, **form):
        config, quantised = quantise_within_error(Config(width=3, channels=2, squeeze=2, **form), block, 0.1)
        return IntegerModel(config, quantised.parameters).run(frames)

    whole = run(x, k=7)
    for form in (dict(context=Context.WINDOW, k=1, window=(0, 7)), dict(context=Context.CUMULATIVE, k=7)):
        other = run(x, **form)
        assert torch.equal(other.sums, whole.sums)
        assert (other.y - whole.y).abs().max() <= 1
    # A cumulative sum is that of tiles so far; a causal one that of the tiles before, and the prior.
    tiles = run(x, k=2).sums.cumsum(dim=1)
    assert torch.equal(run(x, context=Context.CUMULATIVE, k=2).sums, tiles)
    before = run(x, context=Context.CAUSAL, k=2, prior_rows=1).sums
    assert torch.equal(before[:, 1:], tiles[:, :-1])
    assert not before[:, 0].any()
    # A frame is the beginning of a longer one.
    short = run(x[:, :4], context=Context.CAUSAL, k=2, prior_rows=1)
    assert torch.equal(short.y, run(x, context=Context.CAUSAL, k=2, prior_rows=1).y[:, :4])


@pytest.mark.parametrize("form", [dict(k=3), dict(k=3, tile_width=1), dict(k=1, context=Context.CUMULATIVE, max_rows=9),
                                  dict(k=1, context=Context.CAUSAL, prior_rows=1, max_rows=4),
                                  dict(k=1, context=Context.WINDOW, window=(2, 5))])
def test_unit_that_never_fires(form):
    """Its error is no more than what it should have had: here 10/64 of a step, for data of nothing but 127."""
    config = Config(width=2, channels=1, squeeze=1, operand_bits=16, **form)
    ratio = 2.0**-6
    mean = 127 * config.scale_rows * config.columns * 2.0**config.mean_frac
    layer = Layer(np.array([[1]]), np.array([1]), np.array([0]), np.array([10 - round(mean * ratio)]))
    real = RealLayer(layer, np.ones((1, 1)), np.zeros(1), np.array([ratio]))
    rest = mean * ratio - round(mean * ratio)
    assert budget.hidden_error(config, real, (6,)) == pytest.approx((10 + rest) / 64, rel=1e-3)


def parameters(config, prior=None):
    """Parameters of one channel that make the gates the means / 2**mean_frac + 7: one weight a layer."""
    def layer(multiplier, bias):
        return Layer(*(np.array(values, np.int64) for values in ([[1]], [multiplier], [0], [bias])))

    return Parameters(layer(64 >> max(config.mean_frac, 0), 0), layer(64, 7 * 64), config.signed_zero_point,
                      None if prior is None else np.array([prior], np.int64))


@pytest.mark.parametrize(("form", "prior", "means"), [
    # Rows of a single pixel: 16, 48, 32, 64, 100. A full sum has 1, 2 or 4 rows, and its mean's step is a half of it.
    (dict(context=Context.CUMULATIVE, k=1, max_rows=4), None, [128, 256, 256, 320, 320]),
    (dict(context=Context.CUMULATIVE, k=2, max_rows=4), None, [256, 320, 320]),
    (dict(context=Context.CUMULATIVE, k=1, prior_rows=1, max_rows=3), -64, [-192, 0, 64, 64, 64]),
    (dict(context=Context.CAUSAL, k=2, prior_rows=2, max_rows=2), 32, [128, 192, 192]),
    (dict(context=Context.CAUSAL, k=1, prior_rows=1, max_rows=3), 8, [64, 96, 192, 208, 208]),
    (dict(context=Context.WINDOW, k=1, window=(1, 4)), 5, [488]),
    (dict(context=Context.WINDOW, k=1, window=(3, 4)), 5, [656]),
    (dict(context=Context.WINDOW, k=1, window=(5, 4)), 5, [40]),
])
def test_means_by_hand(form, prior, means):
    config = Config(width=1, channels=1, squeeze=1, mid=Mid.IDENTITY, gate=HARD, operand_bits=11, requant_bits=21,
                    shifts=((0,), (0,)), **form)
    assert config.scale_rows * config.columns == 4
    assert config.mean_frac == 1
    run = IntegerModel(config, parameters(config, prior)).run(np.array([16, 48, 32, 64, 100]).reshape(5, 1, 1))
    assert run.means.flatten().tolist() == means
    assert run.gates.shape == (1, len(means), 1)


def test_patches_by_hand():
    """Tiles in the order in which a band's last row completes them; each over its own elements."""
    config = Config(k=2, tile_width=2, width=3, channels=1, squeeze=1, mid=Mid.IDENTITY, gate=HARD, operand_bits=10,
                    requant_bits=21, shifts=((0,), (0,)))
    assert config.mean_frac == 0
    x = np.array([[1, 2, 3], [4, 5, 6], [7, 9, 10]]).reshape(3, 3, 1)
    run = IntegerModel(config, parameters(config)).run(x)
    assert run.sums.flatten().tolist() == [12, 9, 16, 10]
    assert run.means.flatten().tolist() == [12, 18, 32, 40]
    assert run.gates.flatten().tolist() == [19, 25, 39, 47]


@pytest.mark.parametrize(("form", "sums"), [
    (dict(k=2, tile_width=2), [10, 1, 2]),
    (dict(context=Context.CUMULATIVE, k=1, prior_rows=1), [13, 18, 20]),
    (dict(context=Context.CAUSAL, k=1, prior_rows=1), [7, 13, 18]),
    (dict(context=Context.WINDOW, k=1, window=(2, 1)), [2]),
    (dict(context=Context.WINDOW, k=1, window=(3, 1)), [7]),
])
def test_cut_frame(form, sums):
    """What the last row misses adds nothing, though the row counts. A patch without a beat is left out."""
    config = Config(width=3, channels=1, squeeze=1, mid=Mid.IDENTITY, gate=HARD, operand_bits=12, requant_bits=21,
                    shifts=((0,), (0,)), data=UINT8, zero_point=128, **form)
    model = IntegerModel(config, parameters(config, 7 if config.prior_rows else None))
    beats = np.array([1, 4, 1, 2, 3, 0, 2])[:, None] + 128
    cut = model.run_beats(beats)
    assert cut.sums.flatten().tolist() == sums
    whole = model.run(np.append(beats, [128, 128]).reshape(3, 3, 1))
    for name in STAGES[:-1]:
        assert torch.equal(getattr(cut, name), getattr(whole, name)[:, :len(sums)])
    assert torch.equal(cut.y.flatten(), whole.y.flatten()[:7])


def test_prior():
    """Rounded to a step of the sum, so within a 2 * P * W-th of a step of x; zeros by default, which are exact."""
    for seed, form in enumerate((dict(context=Context.CAUSAL, k=1, prior_rows=3),
                                 dict(context=Context.CUMULATIVE, k=2, prior_rows=1),
                                 dict(context=Context.WINDOW, k=1, window=(3, 2)))):
        rng = np.random.default_rng(seed)
        config = Config(width=5, channels=4, squeeze=1, data=UINT8, zero_point=77, **form)
        block = FloatBlock(rng.normal(size=(1, 4)), [0], rng.normal(size=(4, 1)), np.zeros(4),
                           prior=np.array([0.1 * (255 - 77), -7.7, 0, 1.2345]))
        _, quantised = quantise_within_error(config, block, 0.1)
        elements = 5 * config.prior_rows
        assert np.abs(quantised.prior - block.prior).max() <= 0.1 / (2 * elements) * (1 + 1e-9)
        assert quantised.parameters.prior.dtype == np.int64
        assert quantised.parameters.prior.tolist() == [127 * elements, -128 * elements, -51 * elements, round(
            elements * (12.345 - 51))]
        _, default = quantise_within_error(config, dataclasses.replace(block, prior=None), 0.1)
        assert not default.prior.any()
        assert default.parameters.prior.tolist() == [-51 * elements] * 4


@pytest.mark.parametrize("form", [dict(k=2), dict(k=2, context=Context.CUMULATIVE)])
def test_prior_without_use(form):
    """A tiling without imaginary rows ignores it, whatever it is."""
    block = FloatBlock([[0.5]], [0], [[1]], [0])
    config = Config(width=2, channels=1, squeeze=1, **form)
    for prior in (None, np.array([1e9])):
        _, quantised = quantise_within_error(config, dataclasses.replace(block, prior=prior), 0.1)
        assert quantised.prior is quantised.parameters.prior is None


def test_prior_a_little_outside():
    """The mean of data that were clipped by less than a step is taken for the end of the range."""
    config = Config(k=1, context=Context.CAUSAL, prior_rows=1, width=2, channels=2, squeeze=1)
    block = FloatBlock([[0.5, 1]], [0], [[1], [1]], [0, 0], prior=np.array([12.79, -12.89]))
    _, quantised = quantise_within_error(config, block, 0.1)
    assert quantised.parameters.prior.tolist() == [254, -256]
    np.testing.assert_allclose(quantised.prior, [12.7, -12.8])


CAUSAL = Config(k=1, context=Context.CAUSAL, prior_rows=2, width=3, channels=2, squeeze=1, zero_point=3)
BLOCK = FloatBlock([[0.5, 1]], [0], [[1], [1]], [0, 0])


def with_prior(prior):
    return dataclasses.replace(quantise_fixed_widths(CAUSAL, BLOCK, 0.1, 4).parameters, prior=prior)


@pytest.mark.parametrize(("run", "message"), [
    (lambda: dataclasses.replace(BLOCK, prior=np.zeros(3)),
     "prior=[3]: must have the shape [2] beside w1's [1, 2]"),
    (lambda: dataclasses.replace(BLOCK, prior=np.array(1.0)), "prior=[]: must have the shape [2] beside w1's [1, 2]"),
    (lambda: dataclasses.replace(BLOCK, prior=np.array([0, np.nan])),
     "prior=not finite: must hold finite float32 numbers only"),
    (lambda: dataclasses.replace(BLOCK, prior=np.array(["a", "b"])), "prior=<U1: must hold real numbers"),
    (lambda: quantise_within_error(CAUSAL, dataclasses.replace(BLOCK, prior=np.array([0, 12.6])), 0.1),
     "prior=12.6: must be from -13.1 to 12.4, the range of x"),
    (lambda: quantise_fixed_widths(CAUSAL, dataclasses.replace(BLOCK, prior=np.array([-13.3, 0])), 0.1),
     "prior=-13.3: must be from -13.1 to 12.4, the range of x"),
    (lambda: IntegerModel(CAUSAL, with_prior(None)), "prior=None: must be int64[2] for prior_rows=2"),
    (lambda: IntegerModel(CAUSAL, with_prior(np.zeros(2))), "prior=float64[2]: must be int64[2] for prior_rows=2"),
    (lambda: IntegerModel(CAUSAL, with_prior(np.zeros(3, np.int64))),
     "prior=int64[3]: must be int64[2] for prior_rows=2"),
    (lambda: IntegerModel(CAUSAL, with_prior(np.array([0, 763]))), "prior=763: must be from -768 to 762"),
    (lambda: IntegerModel(CAUSAL, with_prior(np.array([-769, 0]))), "prior=-769: must be from -768 to 762"),
    (lambda: IntegerModel(dataclasses.replace(CAUSAL, context=Context.TILE), with_prior(np.zeros(2, np.int64))),
     "prior=int64[2]: must be None for prior_rows=0"),
])
def test_refuses(run, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        run()
