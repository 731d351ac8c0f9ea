# SPDX-License-Identifier: Apache-2.0
"""Each arithmetic component of the block against the golden model's stage of the same name."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from tests.helpers.pysim import clocked, simulate
from tiled_se.golden import activation, budget, stages
from tiled_se.golden.reciprocal import element_counts, reciprocal
from tiled_se.golden.reference import GATES
from tiled_se.golden.rounding import saturate_signed
from tiled_se.hdl.activations import GateTable
from tiled_se.hdl.config import GUARD_BITS, Config, Context, DataType, Gate, GateKind, Mid
from tiled_se.hdl.gate import GateStage
from tiled_se.hdl.latency import (
    LOGIT,
    gate_latency,
    mac_latency,
    means_latency,
    mid_latency,
    record_ahead,
    requantise_latency,
)
from tiled_se.hdl.mac import MacArray
from tiled_se.hdl.means import Means
from tiled_se.hdl.mid import MidStage
from tiled_se.hdl.parameters import Layer
from tiled_se.hdl.reciprocal import Reciprocal
from tiled_se.hdl.requantise import Record, Requantise

HARD = Gate(GateKind.HARDSIGMOID)


def extremes_and_random(low, high, count, rng):
    """Both ends, the middle, and random values in between."""
    fixed = [low, low + 1, -1, 0, 1, high - 1, high]
    return np.array([v for v in fixed if low <= v <= high] + rng.integers(low, high + 1, count).tolist())


def pipeline(dut, i, o, latency, values):
    """What `o` shows `latency` cycles after each of `values` was at `i`."""
    seen = clocked(dut, [i], [o], [(int(v),) for v in values], extra=latency)
    return np.array([value for value, in seen[latency:latency + len(values)]])


@pytest.mark.parametrize(("bits", "operand_bits"), [(8, 10), (8, 16), (8, 18), (8, 23), (8, 40), (16, 26), (16, 44)])
@pytest.mark.parametrize(("k", "width"), [(7, 5), (1, 1), (3, 40), (8, 8)])
def test_means(k, width, operand_bits, bits):
    """Every row count; operand widths below and above that of a sum; products of one limb, and of several."""
    config = Config(k=k, width=width, channels=2, squeeze=1, lanes=2, operand_bits=operand_bits, data=DataType(bits))
    low, high = config.data.low, config.data.high
    rng = np.random.default_rng(k)
    for rows in range(1, k + 1):
        values = extremes_and_random(low * rows * width, high * rows * width, 20, rng)
        dut, latency = Means(config), means_latency(config)
        # Each value in the lane that is asked for, another in the other one; every fifth counts as 0.
        given = [(rows - 1, i % 2, i % 5 == 4, *((int(v), 77) if i % 2 == 0 else (77, int(v))))
                 for i, v in enumerate(values)]
        seen = clocked(dut, [dut.rows, dut.lane, dut.clear, dut.sums[0], dut.sums[1]], [dut.o], given,
                       extra=latency + 1)
        got = [value for value, in seen[latency:latency + len(values)]]
        values[4::5] = 0
        wanted = stages.means(torch.tensor(values)[None, :, None], [rows * width] * len(values), config)
        # The first results are those of a row count that was not there yet.
        assert got[2:] == wanted.flatten().tolist()[2:]


RUNNING = {
    "cumulative": dict(context=Context.CUMULATIVE, max_rows=70),
    "cumulative, prior": dict(context=Context.CUMULATIVE, max_rows=9, prior_rows=3),
    "causal": dict(context=Context.CAUSAL, max_rows=1 << 16, prior_rows=3),
    "causal, long prior": dict(context=Context.CAUSAL, max_rows=1 << 16, prior_rows=1 << 16),
}


def row_counts(config):
    """All row counts of a small block; of a large one those next to a power of two, and the ends."""
    counts = set((element_counts(config) // config.columns).tolist())
    if len(counts) > 100:
        counts &= {(1 << i) + step for i in range(18) for step in (-1, 0, 1)} | {min(counts), max(counts)}
    return sorted(counts)


@pytest.mark.parametrize("operand_bits", [10, 18, 23])
@pytest.mark.parametrize("name", RUNNING)
def test_reciprocal(name, operand_bits):
    config = Config(k=1, width=2, channels=1, squeeze=1, operand_bits=operand_bits, **RUNNING[name])
    counts = row_counts(config)
    dut, got = Reciprocal(config), []

    async def bench(ctx):
        for count in counts:
            ctx.set(dut.i_start, 1)
            ctx.set(dut.i["count"], count)
            ctx.set(dut.i.log, (count - 1).bit_length())
            await ctx.tick()
            ctx.set(dut.i_start, 0)
            ctx.set(dut.i["count"], 1)
            cycles = 1
            while not ctx.get(dut.o_valid):
                await ctx.tick()
                cycles += 1
            # The last bit is rounded in the cycle after.
            await ctx.tick()
            got.append((cycles, ctx.get(dut.o), ctx.get(dut.o_log)))

    simulate(dut, bench)
    value, _ = reciprocal(config, np.array(counts) * config.columns)
    assert got == [(config.reciprocal_bits, r, (count - 1).bit_length())
                   for count, r in zip(counts, value.tolist(), strict=True)]


@pytest.mark.parametrize("operand_bits", [10, 18, 23, 33])
@pytest.mark.parametrize("name", RUNNING)
def test_means_of_running_sums(name, operand_bits):
    """Of the sums and the prior, with the count's reciprocal and log."""
    config = Config(k=1, width=2, channels=2, squeeze=1, lanes=2, operand_bits=operand_bits, **RUNNING[name])
    rng = np.random.default_rng(operand_bits)
    for count in row_counts(config):
        most = 128 * config.columns
        priors = rng.integers(-most * config.prior_rows, (most - config.columns) * config.prior_rows + 1, 8)
        rows = count - config.prior_rows
        values = extremes_and_random(-most * rows, (most - config.columns) * rows, 8, rng)[:8]
        priors = priors[:len(values)]
        got, wanted = _means(config, values, priors, count)
        assert got == wanted, count


def _means(config, values, priors, count):
    """Means of sums `values`, every fifth of which counts as 0, by the hardware and by the golden model."""
    (value,), (q,) = reciprocal(config, np.array([count * config.columns]))
    assert config.reciprocal(1 << (count - 1).bit_length())[1] == q
    dut, latency = Means(config), means_latency(config)
    given = [(i % 2, i % 5 == 4, *((int(v), 77) if i % 2 == 0 else (77, int(v)))) for i, v in enumerate(values)]
    drive = [dut.lane, dut.clear, dut.sums[0], dut.sums[1], dut.reciprocal, dut.rows]
    rows = [(*row, int(value), (count - 1).bit_length()) for row in [*given, given[-1]]]
    if config.prior_rows:
        # A cycle later than its sum.
        drive.append(dut.prior)
        rows = [(*row, int(prior)) for row, prior in zip(rows, [0, *priors], strict=True)]
    seen = clocked(dut, drive, [dut.o], rows, extra=latency + 1)
    sums = np.where(np.arange(len(values)) % 5 == 4, 0, values) + (priors if config.prior_rows else 0)
    wanted = stages.means(torch.tensor(sums)[None, :, None], [count * config.columns] * len(sums), config)
    return [mean for mean, in seen[latency:latency + len(values)]], wanted.flatten().tolist()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("macs", "outputs", "inputs"), [(1, 1, 1), (3, 3, 5), (4, 2, 4), (7, 7, 9)])
def test_mac(macs, outputs, inputs, bits):
    """Two passes a cycle apart; accumulators of the first leave during the second, from the stated cycle on."""
    config = Config(k=1, width=1, channels=inputs, squeeze=outputs, macs=macs, data=DataType(bits))
    rng = np.random.default_rng(macs)
    weight = rng.choice([-127, 127, 5], (2, outputs, inputs))
    low = -(1 << (config.operand_bits - 1))
    operand = np.stack([np.full(inputs, low), rng.integers(low, -low, inputs)])
    dut = MacArray(config)
    length = max(inputs + 1, outputs)
    rows = []
    for p in range(2):
        for i in range(length):
            real = i < inputs
            weights = weight[p, :, i].tolist() + [99] * (macs - outputs) if real else [77] * macs
            rows.append([real, i == inputs - 1, int(operand[p, i]) if real else 1234, *weights])
    rows.append([0, 1, 7] + [1] * macs)
    seen = clocked(dut, [dut.i_valid, dut.i_last, dut.i_operand, *dut.i_weights], [dut.o], rows,
                   extra=outputs + mac_latency(config) + 1)
    for p in range(2):
        start = p * length + inputs - 1 + mac_latency(config)
        wanted = stages.acc("acc1", torch.tensor(operand[p]), torch.tensor(weight[p]), config).tolist()
        assert [value for value, in seen[start:start + outputs]] == wanted


@pytest.mark.parametrize(("requant_bits", "operand_bits", "multiplier_bits"), [
    (21, 18, 16), (27, 18, 18), (34, 25, 16), (34, 25, 24), (27, 18, 32), (56, 40, 16), (56, 40, 32)])
def test_requantise(requant_bits, operand_bits, multiplier_bits):
    """Both layers' records in turn, with accumulators at both ends and saturation before the bias."""
    shifts = ((0, 9, 18), (4, 30 + multiplier_bits - 16))
    config = Config(k=1, width=1, channels=3, squeeze=4, macs=3, requant_bits=requant_bits, operand_bits=operand_bits,
                    shifts=shifts, multiplier_bits=multiplier_bits)
    rng = np.random.default_rng(requant_bits)
    limit = 1 << (requant_bits - 2)
    layers = [Layer(None, rng.integers(0, 1 << multiplier_bits, n), rng.integers(0, len(s), n),
                    rng.integers(-limit, limit + 1, n))
              for n, s in zip((4, 3), shifts, strict=True)]
    tensors = [dataclasses.replace(layer, multiplier=torch.tensor(layer.multiplier), shift=torch.tensor(layer.shift),
                                   bias=torch.tensor(layer.bias)) for layer in layers]
    # As the memory holds them: half a result's LSB in the bias.
    records = [dict(multiplier=int(m), shift=int(n), bias=int(b) + (1 << (GUARD_BITS - 1)))
               for layer in layers for m, n, b in zip(layer.multiplier, layer.shift, layer.bias, strict=True)]
    end = 1 << (config.acc_bits - 1)
    values = np.concatenate([extremes_and_random(-end, end - 1, 28, rng), rng.integers(-300, 300, 35)])
    dut = Requantise(config)
    got = []

    # Accumulators in runs of a pass: two for layer 1, three for layer 2, twice, with pauses between them.
    ahead, runs = record_ahead(config), [(0, 2), (3, 2), (6, 3), (9, 2), (12, 2), (14, 3)]
    starts = {17 * lap + cycle: count for lap in range(len(values) // 14) for cycle, count in runs}
    comes = {cycle + ahead + i: None for cycle, count in starts.items() for i in range(count)}
    comes = dict(zip(comes, values.tolist(), strict=False))

    async def bench(ctx):
        addresses = [0] * ahead
        for cycle in range(max(comes) + requantise_latency(config) + 1):
            ctx.set(dut.i_start, cycle in starts)
            ctx.set(dut.i_outputs, starts.get(cycle, 0))
            ctx.set(dut.i, comes.get(cycle, 1))
            ctx.set(dut.record, records[addresses.pop(0)])
            if ctx.get(dut.o_valid):
                got.append((cycle - requantise_latency(config), ctx.get(dut.o_layer), ctx.get(dut.o_index),
                            ctx.get(dut.o)))
            await ctx.tick()
            addresses.append(ctx.get(dut.record_address))

    simulate(dut, bench)
    wanted = []
    for i, (cycle, value) in enumerate(comes.items()):
        layer, index = (0, i % 7) if i % 7 < 4 else (1, i % 7 - 4)
        acc = torch.full((len(layers[layer].bias),), int(value))
        result = stages.requantise("pre1", acc, tensors[layer], shifts[layer], config)[index]
        wanted.append((cycle, layer, index, int(result)))
    assert got == wanted
    assert Record(config).size == config.record_bits


@pytest.mark.parametrize(("bits", "operand_bits", "fields"), [
    (8, 12, {}), (8, 18, {}), (8, 34, {}), (9, 12, {"segment_bits": 1}), (12, 20, {"segment_bits": 5}),
    # Operands that do not reach the end of the table, and tables of one to three registers.
    (12, 24, {"hidden_frac": 20}), (16, 26, {"segment_bits": 1, "hidden_frac": 24}), (16, 36, {"segment_bits": 1}),
    (16, 36, {"segment_bits": 7}), (16, 44, {"segment_bits": 5})])
@pytest.mark.parametrize("mid", list(Mid))
def test_mid(mid, bits, operand_bits, fields):
    fields = {"hidden_frac": min(operand_bits - 6 - (bits > 8), 28 if bits == 8 else 30)} | fields
    config = Config(k=1, width=1, channels=1, squeeze=1, mid=mid, data=DataType(bits), operand_bits=operand_bits,
                    requant_bits=max(operand_bits + 9, 24), **fields if mid.tabulated else {"hidden_frac": 0})
    rng = np.random.default_rng(operand_bits)
    end = 1 << (config.requant_bits - GUARD_BITS)
    near = 1 << (operand_bits - 1)
    values = np.concatenate([extremes_and_random(-end, end - 1, 30, rng), extremes_and_random(-near, near, 150, rng),
                             rng.integers(-4 << config.hidden_frac, 4 << config.hidden_frac, 200),
                             *((sign * (config.mid_range << config.hidden_frac) + np.arange(-2, 3)).clip(-end, end - 1)
                               for sign in (-1, 1))])
    dut = MidStage(config)
    got = pipeline(dut, dut.i, dut.o, mid_latency(config), values)
    columns = activation.mid_columns(mid, config.hidden_frac, config.segment_bits, config.mid_range)
    assert got.tolist() == stages.hidden(values, config, columns).tolist()


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("gate", [Gate(), HARD], ids=str)
def test_gate(gate, residual):
    """Every logit, and values beyond both ends."""
    config = Config(k=1, width=1, channels=1, squeeze=1, gate=gate, residual=residual)
    end = 1 << (config.requant_bits - GUARD_BITS)
    values = np.concatenate([np.arange(-8200, 8200, 3), [-end, -8193, -8192, -8191, 8190, 8191, 8192, end - 1]])
    dut = GateStage(config)
    got = pipeline(dut, dut.i, dut.o, gate_latency(config), values)
    logit = saturate_signed(values, config.logit_bits)
    assert got.tolist() == activation.gate(logit, config, activation.gate_columns(config)).tolist()
    dut = GateStage(config)
    assert pipeline(dut, dut.i, dut.logit, LOGIT, values[-8:]).tolist() == logit[-8:].tolist()


@pytest.mark.parametrize("bits", [8, 12])
def test_steeper_gate(monkeypatch, bits):
    """Another function in the sigmoid's place, twice as steep: finer logits and segments, and as small an error."""
    config = Config(k=1, width=1, channels=1, squeeze=1, data=DataType(bits))
    sigmoid = config.logit_frac, budget.gate_error(config, 0.5)
    monkeypatch.setattr(GateKind.SIGMOID, "table", GateTable(lambda a: (1 + math.tanh(a)) / 2, steepness=1))
    monkeypatch.setitem(GATES, GateKind.SIGMOID, lambda v: 1 / (1 + np.exp(-2 * v)))
    assert config.logit_frac == sigmoid[0] + 1
    assert budget.gate_error(config, 0.5) == pytest.approx(sigmoid[1], rel=0.05)
    end = 1 << (config.logit_bits - 1)
    logit = np.unique(np.linspace(-end, end - 1, 4001).round().astype(int))
    got = activation.gate(logit, config, activation.gate_columns(config))
    exact = (1 + np.tanh(logit * 2.0**-config.logit_frac)) / 2
    assert np.abs(got - exact * config.gate_top).max() <= budget.gate_error(config, 0) * 2**config.gate_frac
    dut = GateStage(config)
    assert pipeline(dut, dut.i, dut.o, gate_latency(config), logit).tolist() == got.tolist()
