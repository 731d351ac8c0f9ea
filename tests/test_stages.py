# SPDX-License-Identifier: Apache-2.0
"""Each arithmetic component of the block against the golden model's stage of the same name."""

import dataclasses

import numpy as np
import pytest
import torch

from tiled_se.golden import activation, stages
from tiled_se.golden.rounding import saturate_signed
from tiled_se.hdl.config import GUARD, Config, Gate, GateKind, Mid
from tiled_se.hdl.gate import GateStage
from tiled_se.hdl.mac import MacArray
from tiled_se.hdl.means import Means
from tiled_se.hdl.mid import MidStage
from tiled_se.hdl.parameters import Layer
from tiled_se.hdl.requantise import Record, Requantise
from tiled_se.hdl.scale import Scale
from tiled_se.hdl.timing import ISSUE_TO_DRAIN, ISSUE_TO_READ, REQUANTISE, Timing

from .pysim import clocked, simulate

HARD = Gate(GateKind.HARDSIGMOID)


def extremes_and_random(low, high, count, rng):
    """Both ends, the middle, and random values in between."""
    fixed = [low, low + 1, -1, 0, 1, high - 1, high]
    return np.array([v for v in fixed if low <= v <= high] + rng.integers(low, high + 1, count).tolist())


def pipeline(dut, i, o, latency, values):
    """What `o` shows `latency` cycles after each of `values` was at `i`."""
    seen = clocked(dut, [i], [o], [(int(v),) for v in values], extra=latency)
    return np.array([value for value, in seen[latency:latency + len(values)]])


@pytest.mark.parametrize("operand_bits", [10, 16, 18, 23, 40])
@pytest.mark.parametrize(("k", "width"), [(7, 5), (1, 1), (3, 40), (8, 8)])
def test_means(k, width, operand_bits):
    """Every row count; operand widths below and above that of a sum."""
    config = Config(k=k, width=width, channels=2, squeeze=1, lanes=2, operand_bits=operand_bits)
    rng = np.random.default_rng(k)
    for rows in range(1, k + 1):
        values = extremes_and_random(-128 * rows * width, 127 * rows * width, 20, rng)
        dut = Means(config)
        seen = clocked(dut, [dut.rows, dut.lane, dut.sums[0], dut.sums[1]], [dut.o],
                       [(rows - 1, i % 2, int(v), int(v)) for i, v in enumerate(values)], extra=4)
        got = [value for value, in seen[3:3 + len(values)]]
        wanted = stages.means(torch.tensor(values)[None, :, None], [(rows, width)] * len(values), config)
        # The first result is that of a row count that was not there yet.
        assert got[1:] == wanted.flatten().tolist()[1:]


@pytest.mark.parametrize(("macs", "outputs", "inputs"), [(1, 1, 1), (3, 3, 5), (4, 2, 4), (7, 7, 9)])
def test_mac(macs, outputs, inputs):
    """Two passes back to back; accumulators of the first leave during the second, from the stated cycle on."""
    config = Config(k=1, width=1, channels=inputs, squeeze=outputs, macs=macs)
    rng = np.random.default_rng(macs)
    weight = rng.choice([-127, 127, 5], (2, outputs, inputs))
    low = -(1 << (config.operand_bits - 1))
    operand = np.stack([np.full(inputs, low), rng.integers(low, -low, inputs)])
    dut = MacArray(config)
    length = max(inputs, outputs)
    rows = []
    for p in range(2):
        for i in range(length):
            real = i < inputs
            weights = weight[p, :, i].tolist() + [99] * (macs - outputs) if real else [77] * macs
            rows.append([real, i == 0, i == inputs - 1, outputs, int(operand[p, i]) if real else 1234, *weights])
    rows.append([0, 1, 1, macs, 7] + [1] * macs)
    seen = clocked(dut, [dut.i_valid, dut.i_first, dut.i_last, dut.i_outputs, dut.i_operand, *dut.i_weights],
                   [dut.o_valid, dut.o], rows, extra=outputs + 4)
    got = [(cycle, value) for cycle, (valid, value) in enumerate(seen) if valid]
    wanted = []
    for p in range(2):
        acc = stages.acc("acc1", torch.tensor(operand[p]), torch.tensor(weight[p]), config).tolist()
        start = p * length + inputs - 1 + ISSUE_TO_DRAIN - ISSUE_TO_READ - 1
        wanted += [(start + j, value) for j, value in enumerate(acc)]
    assert got == wanted


@pytest.mark.parametrize(("pre_bits", "operand_bits"), [(21, 18), (27, 18), (34, 25), (56, 40)])
def test_requantise(pre_bits, operand_bits):
    """Both layers' records in turn, with accumulators at both ends and saturation before the bias."""
    shifts = ((0, 9, 18), (4, 30))
    config = Config(k=1, width=1, channels=3, squeeze=4, pre_bits=pre_bits, operand_bits=operand_bits, shifts=shifts)
    rng = np.random.default_rng(pre_bits)
    limit = 1 << (pre_bits - 2)
    layers = [Layer(None, rng.integers(0, 1 << 16, n), rng.integers(0, len(s), n), rng.integers(-limit, limit + 1, n))
              for n, s in zip((4, 3), shifts, strict=True)]
    tensors = [dataclasses.replace(layer, multiplier=torch.tensor(layer.multiplier), shift=torch.tensor(layer.shift),
                                   bias=torch.tensor(layer.bias)) for layer in layers]
    records = [dict(zip(("multiplier", "shift", "bias"), map(int, fields), strict=True))
               for layer in layers for fields in zip(layer.multiplier, layer.shift, layer.bias, strict=True)]
    end = 1 << (config.acc_bits - 1)
    values = np.concatenate([extremes_and_random(-end, end - 1, 28, rng), rng.integers(-300, 300, 35)])
    dut = Requantise(config)
    got = []

    async def bench(ctx):
        address = 0
        for cycle in range(2 * len(values) + REQUANTISE):
            valid = cycle % 2 == 0 and cycle // 2 < len(values)
            ctx.set(dut.i_valid, valid)
            ctx.set(dut.i, int(values[cycle // 2]) if valid else 1)
            ctx.set(dut.record, records[address])
            address = ctx.get(dut.record_address)
            if ctx.get(dut.o_valid):
                got.append((cycle - REQUANTISE, ctx.get(dut.o_layer), ctx.get(dut.o_index), ctx.get(dut.o)))
            await ctx.tick()

    simulate(dut, bench)
    wanted = []
    for i, value in enumerate(values):
        layer, index = (0, i % 7) if i % 7 < 4 else (1, i % 7 - 4)
        acc = torch.full((len(layers[layer].bias),), int(value))
        result = stages.requantise("pre1", acc, tensors[layer], shifts[layer], config)[index]
        wanted.append((2 * i, layer, index, int(result)))
    assert got == wanted
    assert Record(config).size == config.record_bits


@pytest.mark.parametrize("operand_bits", [12, 18, 34])
@pytest.mark.parametrize("mid", list(Mid))
def test_mid(mid, operand_bits):
    config = Config(k=1, width=1, channels=1, squeeze=1, mid=mid, operand_bits=operand_bits, pre_bits=operand_bits + 9,
                    hidden_frac=operand_bits - 6 if mid.tabulated else 0)
    rng = np.random.default_rng(operand_bits)
    end = 1 << (config.pre_bits - GUARD)
    near = 1 << (operand_bits - 1)
    values = np.concatenate([extremes_and_random(-end, end - 1, 30, rng), extremes_and_random(-near, near, 150, rng),
                             rng.integers(-4 << config.hidden_frac, 4 << config.hidden_frac, 200)])
    dut = MidStage(config)
    got = pipeline(dut, dut.i, dut.o, Timing(config).mid_latency, values)
    columns = activation.mid_columns(mid, config.hidden_frac, config.segment_bits)
    assert got.tolist() == stages.hidden(values, config, columns).tolist()


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("gate", [Gate(), HARD], ids=str)
def test_gate(gate, residual):
    """Every logit, and values beyond both ends."""
    config = Config(k=1, width=1, channels=1, squeeze=1, gate=gate, residual=residual)
    end = 1 << (config.pre_bits - GUARD)
    values = np.concatenate([np.arange(-8200, 8200, 3), [-end, -8193, -8192, -8191, 8190, 8191, 8192, end - 1]])
    dut = GateStage(config)
    got = pipeline(dut, dut.i, dut.o, Timing(config).gate_latency, values)
    logit = saturate_signed(values, config.logit_bits)
    assert got.tolist() == activation.gate(logit, config, activation.gate_columns(config)).tolist()
    dut = GateStage(config)
    assert pipeline(dut, dut.i, dut.logit, 0, values[-8:]).tolist() == logit[-8:].tolist()


@pytest.mark.parametrize("zero", [-128, 0, 37, 127])
def test_scale(zero):
    """Data at both ends, gates from 0 to 1, any zero point, with the reader pausing."""
    config = Config(k=1, width=50, channels=2, squeeze=1, lanes=2)
    rng = np.random.default_rng(zero + 200)
    x = rng.choice([-128, -127, -1, 0, 1, 126, 127, 55], (50, 2))
    gates = rng.choice([0, 1, 2047, 2048, 2049, 4095, 4096], (1, 2))
    wanted = stages.outputs(torch.tensor(x)[None, None], torch.tensor(gates)[None], config, zero)[0, 0].tolist()
    dut = Scale(config, range(50))
    got = []

    async def bench(ctx):
        ctx.set(dut.tile_valid, 1)
        ctx.set(dut.tile_end, 49)
        ctx.set(dut.tile_last, 1)
        ctx.set(dut.zero, zero)
        head = 0
        for _ in range(1000):
            if len(got) == 50:
                break
            ctx.set(dut.o_ready, bool(rng.random() < 0.6))
            ctx.set(dut.head, head)
            if ctx.get(dut.o_valid) and ctx.get(dut.o_ready):
                got.append(([ctx.get(dut.o_data[0]), ctx.get(dut.o_data[1])], ctx.get(dut.o_last)))
            read, released = ctx.get(dut.read), ctx.get(dut.release)
            assert released == (read and head == 49)
            await ctx.tick()
            if read:
                for lane in range(2):
                    ctx.set(dut.x[lane], int(x[head, lane]))
                    ctx.set(dut.gates[lane], int(gates[0, lane]))
                head += 1
            if released:
                ctx.set(dut.tile_valid, 0)
        await ctx.tick()
        assert ctx.get(dut.idle)

    simulate(dut, bench)
    assert got == [(row, i == 49) for i, row in enumerate(wanted)]

