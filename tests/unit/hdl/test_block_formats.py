# SPDX-License-Identifier: Apache-2.0
"""Whole blocks of every format in Amaranth's simulator: outputs, padding and cycles."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.helpers.nightly import seldom
from tests.helpers.pysim import simulate
from tests.helpers.random_formats import hard_frames, pick, random_case
from tiled_se.gen.block_spec import assemble, prepare
from tiled_se.gen.data import Input, weights_of
from tiled_se.gen.options import BlockOptions
from tiled_se.golden.block import DataFormat, FloatBlock
from tiled_se.golden.integer import IntegerModel
from tiled_se.golden.quantise import quantise_within_error
from tiled_se.hdl.config import Context, DataType, Gate, GateKind, Mid
from tiled_se.hdl.parameters import stream_words
from tiled_se.hdl.schedule import predict
from tiled_se.hdl.tiled_se import TiledSE

# Three lanes of 4 bits; outputs of fewer and of more bits, that saturate; factors; tables of both kinds.
BLOCKS = {
    "int4, three lanes": dict(dtype="int4", channels=6, lanes=3, loadable=True),
    "uint2, weights of 2 bits": dict(dtype="uint2", weight_bits=2, channels=5, loadable=False),
    "uint12 to int5, clipped": dict(dtype="uint12", zero_point=900, y_dtype="int5", y_zero_point=-3, y_scale=0.078,
                                    channels=3, lanes=3, loadable=False),
    "int16, loaded factor": dict(dtype="int16", y_scale=0.0002, channels=4, lanes=2, loadable=True, mid=Mid.SILU),
    "int5 to uint16, residual": dict(dtype="int5", y_dtype="uint16", y_zero_point=30000, y_scale=0.003, residual=True,
                                     channels=4, lanes=1, loadable=True),
    "int8, larger steps": dict(y_scale=0.2, y_zero_point=5, zero_point=-9, channels=8, loadable=False,
                               gate=Gate(GateKind.HARDSIGMOID)),
    # The widest formats: means, products and the table of mid.
    "uint16, operands of 44 bits": dict(dtype="uint16", zero_point=5, channels=4, lanes=2, operand_bits=44,
                                        mid=Mid.SILU, residual=True, loadable=True),
    "int10, causal": dict(dtype="int10", weight_bits=4, context=Context.CAUSAL, channels=6, lanes=3, loadable=True),
    "uint6, cumulative": dict(dtype="uint6", y_dtype="int6", y_zero_point=0, context=Context.CUMULATIVE, channels=4,
                              lanes=4, loadable=True),
    "int12, patches": dict(dtype="int12", y_dtype="uint4", y_zero_point=7, y_scale=0.98, tile_width=2, channels=6,
                           lanes=2, loadable=False),
}


def packed(integers, bits):
    return sum((int(integer) & ((1 << bits) - 1)) << bits * i for i, integer in enumerate(integers))


def run(config, parameters, frames, stall, rng):
    """Outputs of the block, (beats, lanes), and the cycles in which beats enter and leave it."""
    dut = TiledSE(config, None if config.loadable else parameters)
    words = stream_words(config, parameters) if config.loadable else []
    data = [(packed(beat, config.data.bits), last) for frame in frames
            for beats in [frame.reshape(-1, config.lanes)]
            for beat, last in zip(beats, np.arange(len(beats)) == len(beats) - 1, strict=True)]
    outputs, entered, left, kind = [], [], [], config.outputs
    sent = {"w": 0, "s": 0}

    async def bench(ctx):
        cycle, offered = 0, False
        while len(left) < len(data):
            assert cycle < 20_000
            if words:
                waiting = sent["w"] < len(words)
                ctx.set(dut.w_axis_tvalid, waiting)
                if waiting:
                    ctx.set(dut.w_axis_tdata, words[sent["w"]])
                    ctx.set(dut.w_axis_tlast, sent["w"] == len(words) - 1)
                    sent["w"] += ctx.get(dut.w_axis_tready)
            offered = sent["s"] < len(data) and (offered or rng.random() >= stall)
            ctx.set(dut.s_axis_tvalid, offered)
            if offered:
                ctx.set(dut.s_axis_tdata, data[sent["s"]][0])
                ctx.set(dut.s_axis_tlast, bool(data[sent["s"]][1]))
                if ctx.get(dut.s_axis_tready):
                    entered.append(cycle)
                    sent["s"] += 1
                    offered = False
            ready = rng.random() >= stall
            ctx.set(dut.m_axis_tready, ready)
            if ready and ctx.get(dut.m_axis_tvalid):
                beat = ctx.get(dut.m_axis_tdata)
                assert beat < 1 << kind.bits * config.lanes
                assert ctx.get(dut.m_axis_tlast) == data[len(left)][1]
                codes = [beat >> kind.bits * lane & kind.steps for lane in range(config.lanes)]
                outputs.append([code - (kind.steps + 1) * (code > kind.high) for code in codes])
                left.append(cycle)
            await ctx.tick()
            cycle += 1

    simulate(dut, bench)
    return np.array(outputs), entered, left


@pytest.mark.parametrize("stall", [0, 0.3])
@pytest.mark.parametrize("name", BLOCKS)
def test_block(name, stall):
    """Outputs are the integer model's, what fills bytes is 0, and cycles are those that are predicted."""
    options = {"k": 2, "width": 3, "squeeze": 2, "height": 4, "seed": 5} | BLOCKS[name]
    wanted = check(prepare(BlockOptions(**options)), stall, np.random.default_rng(len(name)))
    if "clipped" in name:
        outputs = DataType.parse(options["y_dtype"])
        assert {outputs.low, outputs.high} <= set(wanted.flatten().tolist())


@pytest.mark.parametrize("loadable", [False, True], ids=["baked", "loadable"])
@pytest.mark.parametrize(("bits", "weight_bits"), [(8, 8), (16, 8), (4, 4)])
def test_given_steps(bits, weight_bits, loadable):
    """Weights with steps: rows of nothing but the least integer, and multipliers that take several limbs."""
    least, rng = -(1 << (weight_bits - 1)), np.random.default_rng(bits)
    weights = [rng.choice([least, least + 1, 3, -least - 1], shape) for shape in ((2, 4), (4, 2))]
    weights[0][0] = weights[1][:2] = least
    weights[0][1] = [least + 1, least, least, least]
    steps = [rng.uniform(1, 2, len(weight)) / abs(least) / 4 for weight in weights]
    block = FloatBlock(weights[0] * steps[0][:, None], np.zeros(2), weights[1] * steps[1][:, None], np.ones(4),
                       mid=Mid.IDENTITY, w1_step=steps[0], w2_step=steps[1])
    data = DataType(bits)
    # A tile has a power of two of elements, so that the lowest mean is the lowest operand.
    shape = Input("", "x_q", np.zeros((1, 4, 4, 4), data.numpy), DataFormat(2.0**(3 - bits), 0, data))
    spec = assemble(BlockOptions(k=2, lanes=2, loadable=loadable, weight_bits=weight_bits), weights_of(block), shape)
    assert (spec.config.multiplier_bits > 18) >= (loadable or bits > 8)
    # All that can be kept: half of the least is that with twice its step.
    found = spec.quantised.parameters.layer1.weight, spec.quantised.parameters.layer2.weight
    assert found[0].tolist() == [[least // 2] * 4, weights[0][1].tolist()]
    assert found[1].tolist() == weights[1].tolist()
    check(spec, 0.2, rng)


@pytest.mark.parametrize("first", seldom(range(0, 1000, 100), 0, 400, 600))
def test_random_blocks(first):
    """Of the 1,000 blocks whose error tests/unit/golden/test_formats.py bounds, a hundred, two of each context here."""
    for seed in range(first, first + 100, 11):
        config, block, x_scale, rng = random_case(seed)
        lanes = pick(rng, [lanes for lanes in range(1, config.channels + 1) if config.channels % lanes == 0])
        config, quantised = quantise_within_error(dataclasses.replace(config, lanes=lanes), block, x_scale)
        frames = hard_frames(rng, config, int(rng.integers(1, 12)))
        got, _, _ = run(config, quantised.parameters, frames, pick(rng, [0, 0.3]), rng)
        wanted = IntegerModel(config, quantised.parameters).run(frames).y.numpy()
        assert got.tolist() == wanted.reshape(-1, lanes).tolist(), (seed, config)


def check(spec, stall, rng):
    """Run frames through the block of `spec`; returns the integer model's outputs."""
    config = spec.config
    heights = (4, 3, 1, 4)
    frames = [rng.integers(config.data.low, config.data.high + 1, (height, config.width, config.channels))
              for height in heights]
    # A frame of extremes of both signs, and one of the lowest.
    frames[1] = rng.choice([config.data.low, config.data.high], frames[1].shape)
    frames[3][:] = config.data.low
    parameters = spec.quantised.parameters
    got, entered, left = run(config, parameters, frames, stall, rng)
    model = IntegerModel(config, parameters)
    wanted = np.concatenate([model.run(torch.tensor(frame[None])).y.numpy().reshape(-1, config.lanes)
                             for frame in frames])
    assert got.tolist() == wanted.tolist()
    if not stall:
        prediction = predict(config, heights)
        assert left[0] - entered[0] == prediction.first_output_latency
        assert left[-1] - entered[0] + 1 == prediction.total_cycles
    return wanted
