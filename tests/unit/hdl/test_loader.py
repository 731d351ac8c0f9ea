# SPDX-License-Identifier: Apache-2.0
"""The parameter stream: what it puts where. Which streams the loader refuses is proved, see hdl/proofs/loader.py."""

import dataclasses

import numpy as np
import pytest

from tests.helpers.pysim import simulate
from tiled_se.hdl.config import Config
from tiled_se.hdl.loader import Loader
from tiled_se.hdl.parameters import Layer, Parameters, record_words, stream_words, weight_words


def parameters(config, rng, **more):
    """Random parameters; `more` are other fields of them."""
    def layer(outputs, inputs):
        limit = 1 << (config.requant_bits - 2)
        weight = rng.integers(config.least_weight, config.largest_weight + 1, (outputs, inputs))
        return Layer(weight, rng.integers(0, 1 << config.multiplier_bits, outputs),
                     rng.integers(0, 8, outputs), rng.integers(-limit, limit + 1, outputs))

    result = Parameters(layer(config.squeeze, config.channels), layer(config.channels, config.squeeze),
                        **{"signed_zero_point": -77} | more)
    result.validate(config)
    return result


def load(config, streams, start=1, pause=None):
    """Send streams of (word, last); return the memories that were written and (loaded, error) after each stream."""
    dut = Loader(config)
    written = {"weights": {}, "records": {}}
    states = []

    async def bench(ctx):
        ctx.set(dut.start, start)
        for stream in streams:
            for word, last in stream:
                if pause is not None and pause.random() < 0.3:
                    ctx.set(dut.i_valid, 0)
                    await ctx.tick()
                ctx.set(dut.i_valid, 1)
                ctx.set(dut.i_data, word)
                ctx.set(dut.i_last, last)
                while not ctx.get(dut.i_ready):
                    await ctx.tick()
                await ctx.tick()
                ctx.set(dut.i_valid, 0)
                for name, enable, word in (("weights", dut.weights_write, dut.weights),
                                           ("records", dut.records_write, dut.record)):
                    if ctx.get(enable):
                        written[name][ctx.get(dut.address)] = ctx.get(word)
            ctx.set(dut.i_valid, 0)
            await ctx.tick()
            states.append((ctx.get(dut.loaded), ctx.get(dut.error)))
        for name in ("zero", "outputs_zero", "factor"):
            if hasattr(dut, name):
                written[name] = ctx.get(getattr(dut, name))

    simulate(dut, bench)
    return written, states


def framed(words):
    return [(word, i == len(words) - 1) for i, word in enumerate(words)]


@pytest.mark.parametrize("macs", [1, 3, 4, 5, 16, 40])
def test_stream_fills_the_memories(macs):
    config = Config(k=2, width=3, channels=6, squeeze=5, lanes=2, macs=macs, loadable=True)
    rng = np.random.default_rng(macs)
    values = parameters(config, rng)
    written, states = load(config, [framed(stream_words(config, values))] * 2, pause=rng)
    for name, words, bits in (("weights", weight_words(config, values), 8 * macs),
                              ("records", record_words(config, values), config.record_bits)):
        assert sorted(written[name]) == list(range(len(words)))
        assert [written[name][i] & ((1 << bits) - 1) for i in range(len(words))] == words
    assert written["zero"] == -77
    assert states == [(1, 0), (1, 0)]


def test_memory_layout():
    """Byte j of a weight word is output p * macs + j; a record is multiplier, shift index, bias with half an LSB."""
    config = Config(k=1, width=1, channels=2, squeeze=3, macs=2, loadable=True)
    values = Parameters(
        Layer(np.array([[1, 2], [3, 4], [5, -6]]), np.array([7, 8, 0xFFFF]), np.array([0, 1, 7]), np.array([0, -1, 2])),
        Layer(np.array([[11, 12, 13], [-127, 127, 0]]), np.array([1, 2]), np.array([3, 4]), np.array([5, 6])), 0)
    assert weight_words(config, values) == [0x0301, 0x0402, 0x0005, 0x00FA, 0x810B, 0x7F0C, 0x000D]
    assert record_words(config, values)[:3] == [7 | 32 << 19, 8 | 1 << 16 | 31 << 19, 0xFFFF | 7 << 16 | 34 << 19]
    low = Parameters(dataclasses.replace(values.layer1, bias=np.array([-33, -32, 0])), values.layer2, 0)
    assert [word >> 19 for word in record_words(config, low)[:2]] == [(1 << config.requant_bits) - 1, 0]
    assert len(stream_words(config, values)) == 2 + 7 + 5 * 2


@pytest.mark.parametrize("words", [1, 4], ids=["foreign", "short"])
def test_error_while_clearing(words):
    """An error in a cycle in which the one before is cleared stays: it shows for a cycle even if all cycles clear."""
    config = Config(k=1, width=1, channels=2, squeeze=3, macs=2, loadable=True)
    dut = Loader(config, clearable=True)
    seen = []

    async def bench(ctx):
        ctx.set(dut.start, 1)
        ctx.set(dut.clear, 1)
        for number in range(words):
            ctx.set(dut.i_data, config.fingerprint ^ (words == 1))
            ctx.set(dut.i_valid, 1)
            ctx.set(dut.i_last, number == words - 1 > 0)
            while not ctx.get(dut.i_ready):
                await ctx.tick()
            await ctx.tick()
            ctx.set(dut.i_valid, 0)
        for _ in range(6):
            seen.append(ctx.get(dut.error))
            await ctx.tick()

    simulate(dut, bench)
    assert sum(seen) == 1, seen
