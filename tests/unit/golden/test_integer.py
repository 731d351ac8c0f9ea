# SPDX-License-Identifier: Apache-2.0
"""The integer model: each stage against numbers worked out by hand, overflow, cut frames, tiles of any width."""

import dataclasses
import math
import random

import numpy as np
import pytest
import torch

from tiled_se.golden import activation, rounding, stages
from tiled_se.golden.block import FloatBlock
from tiled_se.golden.integer import STAGES, IntegerModel
from tiled_se.golden.quantise import quantise_within_error
from tiled_se.hdl.config import Config, ConfigError, DataType, Gate, GateKind, Mid
from tiled_se.hdl.data_type import UINT8
from tiled_se.hdl.parameters import Layer, Parameters

HARD = Gate(GateKind.HARDSIGMOID)
SHAPE = "must have the shape [N, H, W, C] or [H, W, C] with [W, C] = [4, 6]"


def t(*values):
    return torch.tensor(values)


def layer(weight, multiplier, shift, bias):
    return Layer(*(np.array(field, np.int64) for field in (weight, multiplier, shift, bias)))


def tensors(weight, multiplier, shift, bias):
    return Layer(*(torch.tensor(field) for field in (weight, multiplier, shift, bias)))


def quantised_model(k=3, width=4, channels=6, squeeze=2, **more):
    """A model with random weights, and its config."""
    rng = np.random.default_rng(9)
    block = FloatBlock(rng.normal(size=(squeeze, channels)), rng.normal(size=squeeze),
                       rng.normal(size=(channels, squeeze)), rng.normal(size=channels))
    config = Config(k=k, width=width, channels=channels, squeeze=squeeze, **more)
    fitted, quantised = quantise_within_error(config, block, 0.1)
    return IntegerModel(fitted, quantised.parameters), quantised


# Roundings.


def test_roundings():
    values = t(-6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6)
    assert rounding.floor_shift(values, 2).tolist() == [-2, -2, -1, -1, -1, -1, 0, 0, 0, 0, 1, 1, 1]
    assert rounding.round_shift(values, 2).tolist() == [-1, -1, -1, -1, 0, 0, 0, 0, 1, 1, 1, 1, 2]
    assert rounding.round_shift(values, 0).tolist() == values.tolist()
    assert rounding.clamp(values, -2, 1).tolist() == [-2] * 5 + [-1, 0] + [1] * 6
    assert rounding.saturate_signed(values, 3).tolist() == [-4, -4, -4, -3, -2, -1, 0, 1, 2, 3, 3, 3, 3]
    assert rounding.saturate_unsigned(values, 2).tolist() == [0] * 7 + [1, 2, 3, 3, 3, 3]


def test_requirements_met():
    rounding.require_signed("acc1", t(-8, 7), 4)
    rounding.require_unsigned("hidden", t(0, 15), 4)
    rounding.require_product("pre1", t(1 << 40), t(-(1 << 21)), 3)
    rounding.require_signed("acc1", torch.empty(0, dtype=torch.int64), 4)


def test_scaled_floor_has_no_int64_limit():
    """Products of up to 94 bits, every shift, both kinds of array; beyond 61 bits all that counts is the sign."""
    rng = random.Random(1)
    values = [rng.randint(-(1 << bits), 1 << bits) for bits in range(62) for _ in range(20)]
    values += [(1 << 61) - 1, -(1 << 61)]
    multipliers = [rng.choice([0, 1, (1 << 32) - 1, rng.randrange(1 << rng.randint(1, 32))]) for _ in values]
    multipliers[-2:] = [(1 << 32) - 1] * 2
    shifts = [rng.randrange(64) for _ in values]
    wanted = [a * m >> n for a, m, n in zip(values, multipliers, shifts, strict=True)]
    limit = 1 << 56
    for kind in (np.array, torch.tensor):
        got = rounding.scaled_floor(kind(values), kind(multipliers), kind(shifts)).tolist()
        assert [max(-limit, min(limit, v)) for v in got] == [max(-limit, min(limit, v)) for v in wanted]


def test_scaled_round_has_no_int64_limit():
    """Products of up to 77 bits, ties and their neighbours among them, every shift, both kinds of array."""
    rng = random.Random(2)
    cases = []
    for _ in range(3000):
        shift, bits = rng.randint(1, 63), rng.randint(1, 46)
        multiplier = rng.choice([1 << (bits - 1), (1 << bits) - 1, rng.getrandbits(bits)])
        value = rng.randint(-1 << 60, 1 << 60) >> rng.randint(max(0, bits + 60 - 77, bits - shift - 1), 60)
        cases += [(value, multiplier, shift), (rng.choice([-3, -1, 1, 5]), 1 << min(shift - 1, 45), shift)]
    cases = [case for case in cases if abs(case[0] * case[1] >> case[2]) < 1 << 61]
    expected = [(a * m + (1 << shift - 1)) >> shift for a, m, shift in cases]
    assert max(a * m for a, m, _ in cases) > 1 << 75
    for kind in (np.array, torch.tensor):
        assert rounding.scaled_round(*(kind(part) for part in zip(*cases, strict=True))).tolist() == expected


# Stages.


def test_means():
    """k = 3, W = 1: a sum of 100 over r rows is 100 * 3 / r on a full tile's grid, which 2 more bits make 4 finer."""
    config = Config(k=3, width=1, channels=1, squeeze=1, operand_bits=12)
    assert config.mean_frac == 2
    tile_sums = t(100, 100, 100, -100).reshape(1, 4, 1)
    got = stages.means(tile_sums, [3, 2, 1, 2], config)
    assert got.flatten().tolist() == [400, 600, 1200, -600]
    # A ratio that is no binary fraction.
    config = Config(k=7, width=1, channels=1, squeeze=1, operand_bits=12)
    assert config.mean_frac == 1
    assert stages.means(t(5).reshape(1, 1, 1), [3], config).item() == round(5 * 7 / 3 * 2)


def test_means_of_wide_sums():
    """Sums of more bits than a mean: the grid is coarser than a sum's, and ties go up."""
    config = Config(k=1, width=16, channels=1, squeeze=1, operand_bits=10)
    assert config.mean_frac == -2
    tile_sums = t(1, 2, 3, -2, -6, -7, 2032, -2048).reshape(1, 8, 1)
    got = stages.means(tile_sums, [16] * 8, config)
    assert got.flatten().tolist() == [0, 1, 1, 0, -1, -2, 508, -512]


def test_requantise():
    """Floor, saturation, bias, rounding, each where it shows; the shift is the record's index into the list."""
    config = Config(k=1, width=1, channels=1, squeeze=1, requant_bits=21)
    records = tensors([[0]] * 5, [3, 3, 1, 65535, 1], [1, 1, 0, 0, 2], [0, 31, -(1 << 19), 1 << 19, 64])
    got = stages.requantise("pre1", t(-1, 1, -5, 1000, 1023), records, (0, 1, 3), config)
    #  floor(-3/2) = -2 -> 0; floor(3/2) + 31 = 32 -> 1, a tie; -5 - 2**19 -> -8192.08;
    #  65535000 saturates to 2**20 - 1, and with 2**19 more it is 24576; 1023 >> 3 = 127, and 127 + 64 = 191 -> 3.
    assert got.tolist() == [0, 1, -8192, 24576, 3]


@pytest.mark.parametrize(("mid", "expected"), [
    (Mid.RELU, [0, 0, 0, 5, 511, 511, 511]), (Mid.RELU6, [0, 0, 0, 5, 511, 511, 511]),
    (Mid.IDENTITY, [-512, -512, -3, 5, 511, 511, 511])])
def test_hidden(mid, expected):
    config = Config(k=1, width=1, channels=1, squeeze=1, mid=mid, operand_bits=10)
    values = t(-100_000, -513, -3, 5, 511, 512, 100_000)
    assert stages.hidden(values, config, torch.zeros((3, 0), dtype=torch.int64)).tolist() == expected


@pytest.mark.parametrize("gate", [Gate(), HARD], ids=str)
def test_logits(gate):
    config = Config(k=1, width=1, channels=1, squeeze=1, gate=gate)
    values = t(-100_000, -8193, -5, 8191, 8192)
    assert stages.logits(values, config).tolist() == [-8192, -8192, -5, 8191, 8191]


def test_gates():
    """The sigmoid's half and ends, by its table; the hard one's clamp."""
    config = Config(k=1, width=1, channels=1, squeeze=1)
    columns = torch.tensor(activation.gate_columns(config))
    assert stages.gates(t(0, 8191, -8192), config, columns).tolist() == [2048, 4095, 1]
    hard = dataclasses.replace(config, gate=HARD)
    assert stages.gates(t(-3, 77, 5000), hard, columns).tolist() == [0, 77, 4096]


def test_outputs():
    """About the zero point, ties up, each tile its own gate; two columns of tiles."""
    config = Config(k=2, width=2, channels=1, squeeze=1, tile_width=1)
    x = t(10, 11, -10, 11, 127, -128).reshape(1, 3, 2, 1)
    gates = t(2048, 4096, 1024, 0).reshape(1, 4, 1)
    assert stages.outputs(x, gates, config, (0, 0)).flatten().tolist() == [5, 11, -5, 11, 32, 0]
    assert stages.outputs(x, gates, config, (1, 1)).flatten().tolist() == [6, 11, -4, 11, 33, 1]


def by_hand():
    """k = 2, W = 1, C = 2, CR = 1, hard sigmoid: means are sums times 2 (full tile) or 4 (one row)."""
    config = Config(k=2, width=1, channels=2, squeeze=1, gate=HARD, operand_bits=10, requant_bits=21, zero_point=3,
                    shifts=((4,), (0, 2)))
    parameters = Parameters(layer([[2, -1]], [40], [0], [70]), layer([[1], [-3]], [64, 200], [0, 1], [320, 131072]), 3)
    return config, parameters


def test_whole_block_by_hand():
    """Every stage of a block of three rows: one full tile, one of a single row."""
    config, parameters = by_hand()
    assert config.mean_frac == 1
    got = IntegerModel(config, parameters).run(np.array([[[10, 20]], [[30, -40]], [[-7, 103]]]))
    wanted = {
        "sums": [[40, -20], [-7, 103]],
        "means": [[80, -40], [-28, 412]],
        "acc1": [[200], [-468]],
        # 200 * 40 >> 4 = 500; + 70 = 570 -> 8.9. -468 * 40 >> 4 = -1170; - 1100 -> -17.2.
        "pre1": [[9], [-17]],
        "hidden": [[9], [0]],
        "acc2": [[9, -27], [0, 0]],
        # 9 * 64 + 320 = 896 -> 14; -27 * 200 >> 2 = -1350, + 131072 = 129722 -> 2026.9; the biases alone: 5, 2048.
        "logits": [[14, 2027], [5, 2048]],
        "gates": [[14, 2027], [5, 2048]],
    }
    assert {name: getattr(got, name)[0].tolist() for name in wanted} == wanted
    # 17 * 2027 / 4096 = 8.4, -43 * 2027 / 4096 = -21.3, 100 / 2 = 50; all about 3.
    assert got.y.tolist() == [[[3, 11]], [[3, -18]], [[3, 53]]]
    assert [*wanted, "y"] == list(STAGES)


# The model.


def test_batch_and_types():
    """A batch is its frames; arrays, read-only ones, lists and tensors of any integer type are the same."""
    model, _ = quantised_model()
    x = np.random.default_rng(1).integers(-128, 128, (3, 7, 4, 6))
    batch = model.run(x)
    assert batch.sums.shape == (3, 3, 6)
    assert batch.hidden.shape == (3, 3, 2)
    for n in range(3):
        single = model.run(x[n])
        assert single.y.shape == (7, 4, 6)
        for name in STAGES[:-1]:
            assert torch.equal(getattr(single, name)[0], getattr(batch, name)[n])
        assert torch.equal(single.y, batch.y[n])
    for other in (x.astype(np.int8), np.broadcast_to(x, x.shape), x.tolist(), torch.tensor(x, dtype=torch.int16)):
        assert torch.equal(model.run(other).y, batch.y)


def test_unsigned_is_signed_shifted():
    """uint8 data are int8's plus 128, and nothing else changes."""
    signed, _ = quantised_model(zero_point=-28)
    unsigned, _ = quantised_model(zero_point=100, data=UINT8)
    x = np.random.default_rng(1).integers(-128, 128, (2, 5, 4, 6))
    a, b = signed.run(x), unsigned.run(x + 128)
    assert torch.equal(a.y + 128, b.y)
    assert all(torch.equal(getattr(a, name), getattr(b, name)) for name in STAGES[:-1])


def test_tall_tiles_cost_nothing():
    """k far beyond the frame's height: a tile filled up with zeros would take 128 GB."""
    config = Config(k=1 << 16, width=512, channels=512, squeeze=1)
    x = torch.ones((1, 3, 512, 512), dtype=torch.int64)
    assert stages.sums(stages.line_sums(x, config), t(0), config).unique().tolist() == [3 * 512]
    assert stages.outputs(x, torch.full((1, 1, 512), 4096), config, (0, 0)).unique().tolist() == [1]


@pytest.mark.parametrize("signed", [True, False])
def test_cut_frame(signed):
    """What a cut row misses adds nothing, and the row counts as one of the tile's."""
    model, _ = quantised_model(k=3, lanes=2, zero_point=5, data=DataType(8, signed))
    low = -128 if signed else 0
    x = np.random.default_rng(1).integers(low, low + 256, (5, 4, 6))
    flat = x.reshape(-1, 2)
    whole = model.run(x)
    assert torch.equal(model.run_beats(flat).y, whole.y.reshape(-1, 2))
    # Two rows of the second tile have begun; the second has one beat, two channels of its first pixel.
    beats = flat[:4 * 12 + 1]
    cut = model.run_beats(beats)
    sums = (x[3] - (low + 128)).sum(axis=0)
    sums[:2] += beats[-1] - (low + 128)
    assert cut.sums[0].tolist() == [whole.sums[0, 0].tolist(), sums.tolist()]
    assert torch.equal(cut.means[:, 1:], stages.means(torch.tensor(sums)[None, None], [8], model.config))
    assert cut.y.shape == beats.shape
    assert torch.equal(cut.y[:36], whole.y.reshape(-1, 2)[:36])


@pytest.mark.parametrize("tile_width", [1, 3, 4, 9])
def test_patches(tile_width):
    """Tiles of k x w, ragged on two sides, against float64."""
    rng = np.random.default_rng(9)
    model, quantised = quantised_model(k=4, width=9, tile_width=tile_width)
    x = rng.integers(-128, 128, (1, 9, 9, 6))
    y = model.run(x).y.numpy()
    assert model.run(x).gates.shape == (1, 3 * math.ceil(9 / tile_width), 6)
    for top in range(0, 9, 4):
        for left in range(0, 9, tile_width):
            tile = (slice(0, 1), slice(top, top + 4), slice(left, left + tile_width))
            h = np.maximum(quantised.w1 @ x[tile].mean(axis=(0, 1, 2)) * 0.1 + quantised.b1, 0)
            gate = 1 / (1 + np.exp(-(quantised.w2 @ h + quantised.b2)))
            assert np.abs(y[tile] - x[tile] * gate).max() < 1


@pytest.mark.parametrize(("run", "error", "message"), [
    (lambda model: model.run(np.zeros((2, 3, 6), int)), ConfigError, f"x=[2, 3, 6]: {SHAPE}"),
    (lambda model: model.run(np.zeros((0, 4, 6), int)), ConfigError, f"x=[0, 4, 6]: {SHAPE}"),
    (lambda model: model.run(np.zeros((4, 6), int)), ConfigError, f"x=[4, 6]: {SHAPE}"),
    (lambda model: model.run(np.zeros((2, 4, 6))), TypeError, "x: must hold integers, not torch.float64"),
    (lambda model: model.run(np.zeros((2, 4, 6), bool)), TypeError, "x: must hold integers, not torch.bool"),
    (lambda model: model.run(np.full((2, 4, 6), 128)), OverflowError, "x: 128 does not fit 8 bits, signed"),
    (lambda model: model.run_beats(np.zeros((3, 1), int)), ConfigError, "beats=[3, 1]: must have the shape [B, 2]"),
    (lambda model: model.run_beats(np.zeros((3, 2))), TypeError, "beats: must hold integers, not torch.float64"),
    (lambda model: IntegerModel(dataclasses.replace(by_hand()[0], shifts=((4,), (0,))), by_hand()[1]), ConfigError,
     "layer2.shift=1: must be from 0 to 0"),
    (lambda model: rounding.require_signed("acc1", t(0, 8), 4), OverflowError, "acc1: 8 does not fit 4 bits, signed"),
    (lambda model: rounding.require_signed("acc1", t(-9, 8), 4), OverflowError, "acc1: -9 does not fit 4 bits, signed"),
    (lambda model: rounding.require_unsigned("hidden", t(0, 16), 4), OverflowError,
     "hidden: 16 does not fit 4 bits, unsigned"),
    (lambda model: rounding.require_unsigned("hidden", t(-1, 3), 4), OverflowError,
     "hidden: -1 does not fit 4 bits, unsigned"),
    (lambda model: rounding.require_product("pre1", t(1 << 40), t(-(1 << 21)), 4), OverflowError,
     f"pre1: a product of {1 << 63} does not fit 64 bits, signed"),
])
def test_refuses(run, error, message):
    model, _ = quantised_model(lanes=2)
    with pytest.raises(error) as caught:
        run(model)
    assert str(caught.value) == message


# Overflow of each stage: with data or operands that no legal block can have.


@pytest.mark.parametrize(("stage", "run"), [
    ("sums", lambda c: stages.sums(torch.full((1, 2, 2, 1), -1000), t(0), c)),
    ("means", lambda c: stages.means(t(1000).reshape(1, 1, 1), [2], c)),
    ("means", lambda c: stages.means(t(1 << 60).reshape(1, 1, 1), [2], c)),
    ("acc2", lambda c: stages.acc("acc2", t(1 << 20).reshape(1, 1), t(127).reshape(1, 1), c)),
    ("acc2", lambda c: stages.acc("acc2", t(1 << 62).reshape(1, 1), t(4).reshape(1, 1), c)),
    ("pre1", lambda c: stages.requantise("pre1", t(1), tensors([[0]], [1], [0], [1 << 40]), (0,), c)),
    ("gates", lambda c: stages.gates(t(0), c, torch.full((2, 64), 1 << 30))),
    ("y", lambda c: stages.outputs(torch.full((1, 1, 2, 1), 100), t(8000).reshape(1, 1, 1), c, (0, 0))),
])
def test_overflow_names_the_stage(stage, run):
    config = Config(k=2, width=2, channels=1, squeeze=1, operand_bits=10)
    with pytest.raises(OverflowError, match=rf"^{stage}: .*-?\d+ does not fit \d+ bits, (un)?signed$"):
        run(config)
