# SPDX-License-Identifier: Apache-2.0
"""Gates, outputs and loaded numbers of every format, against formulas in plain integers and in float64."""

import numpy as np
import pytest

from tests.helpers.pysim import clocked, simulate
from tests.unit.hdl.test_loader import framed, load, parameters
from tiled_se.hdl.config import GUARD_BITS, Config, Gate, GateKind
from tiled_se.hdl.data_type import UINT8, DataType
from tiled_se.hdl.gate import GateStage
from tiled_se.hdl.latency import gate_latency
from tiled_se.hdl.parameters import record_words, stream_words, weight_words
from tiled_se.hdl.scale import Scale
from tiled_se.hdl.tables import gate_format, gate_table
from tiled_se.hdl.timing import DEVIATE, QUEUE, Timing

HARD = Gate(GateKind.HARDSIGMOID)
FORMATS = {
    "int2": {"data": DataType(2)}, "uint4": {"data": DataType(4, signed=False)}, "int5": {"data": DataType(5)},
    "uint8": {"data": UINT8}, "int9": {"data": DataType(9)}, "int12": {"data": DataType(12)},
    "int16": {"data": DataType(16)}, "int6, residual": {"data": DataType(6), "residual": True},
    "int12, residual": {"data": DataType(12), "residual": True}, "larger steps": {"y_ratio": 0.3},
    "smaller steps": {"y_ratio": 3.7, "y_data": DataType(10)},
    "few of many": {"data": DataType(16), "y_ratio": 0.0003, "y_data": DataType(4)},
    "many of few": {"data": DataType(4), "y_ratio": 900.0, "y_data": DataType(16, signed=False), "y_zero_point": 7},
    "smaller steps, residual": {"y_ratio": 1.3, "residual": True}, "another zero point": {"y_zero_point": -100},
    "clipped": {"y_ratio": 3.7}, "clipped, unsigned": {"data": UINT8, "zero_point": 128, "y_ratio": 64.0},
    # Rounded up, the largest gate would be above `gate_top`, and the least one below 0.
    "part of a step": {"y_ratio": 5000.49 / 4096},
    "almost nothing": {"data": DataType(3), "y_ratio": 2.0**-20},
    # Above a power of two by the rounding of float32 scales.
    "the same": {"y_ratio": 1 + 1e-7}, "the same, int16": {"data": DataType(16), "y_ratio": 1 + 1e-6},
    "twice": {"y_ratio": 2 + 2e-7, "residual": True},
    # Loadable hardware for larger ratios.
    "one of many": {"max_ratio": 2.0}, "small of many": {"y_ratio": 0.01, "max_ratio": 16.0, "y_data": DataType(5)},
    "of many, int16": {"data": DataType(16), "y_ratio": 0.3, "max_ratio": 4.0},
}

def block(fields, **more):
    fields = {"k": 1, "width": 2, "channels": 3, "squeeze": 1, "lanes": 3} | fields | more
    if not fields.get("loadable"):
        fields.pop("max_ratio", None)
    return Config(**fields)

def factor_of(config):
    """The factor of the parameters of a block that rescales."""
    top = config.ratio * (1 + config.residual) * 2**config.gate_frac
    return round(top / config.gate_top * 2**config.factor_bits)

def gates_of(config, values, factor=None):
    """What the gate stage makes of `values`, with this factor or that of the ratio."""
    dut = GateStage(config)
    latency = gate_latency(config)
    drive = [dut.i, dut.factor] if config.rescales else [dut.i]
    rows = [(int(v), factor_of(config) if factor is None else factor)[:len(drive)] for v in values]
    return np.array([value for value, in clocked(dut, drive, [dut.o], rows, extra=latency)[latency:][:len(values)]])

def arguments(config, count=1000):
    """Values of every kind before the gate: beyond the logit's range, both of its ends, its middle, and between."""
    rng = np.random.default_rng(config.precision)
    end, logit = 1 << (config.requant_bits - GUARD_BITS), 1 << (config.logit_bits - 1)
    ends = [-end, -logit - 1, -logit, 1 - logit, -1, 0, 1, logit - 1, logit, end - 1]
    return np.concatenate([ends, rng.integers(-logit, logit, count), rng.integers(-40, 40, 80).clip(-end, end - 1)])

def expected_sigmoid(config, value):
    """The gate by the formulas in docs/design.md, in Python's integers, without the factor."""
    form = gate_format(config)
    table = gate_table(form, config.gate_top, config.residual)
    n = form.frac - form.segment_bits
    most = form.reach * 2**form.frac - 1
    a = min(abs(value), most)
    t = a % 2**n
    if config.precision <= 8:
        c0, c1 = table[a // 2**n]
        positive = (c0 + c1 * t + 2 ** (n - 1)) // 2**n
    else:
        c0, c1, c2 = table[a // 2**n]
        positive = (c0 + (c1 + c2 * t // 2**n) * t // 2**n + 2) // 4
    whole = round(1.5 * config.gate_top) if config.residual else round(config.gate_top)
    return positive if value >= 0 else whole - positive

@pytest.mark.parametrize("loadable", [False, True], ids=["baked", "loadable"])
@pytest.mark.parametrize("name", FORMATS)
def test_sigmoid(name, loadable):
    config = block(FORMATS[name], loadable=loadable)
    values = arguments(config)
    got = gates_of(config, values)
    wanted = np.array([expected_sigmoid(config, int(value)) for value in values])
    if config.rescales:
        wanted = (wanted * factor_of(config) + 2 ** (config.factor_bits - 1)) // 2**config.factor_bits
    assert got.tolist() == wanted.tolist()
    # An output's error, in its steps, for the largest deviation of an input. A gate's rounding alone is 1/32.
    exact = ((1 + np.tanh(values / 2 ** (config.logit_frac + 1))) / 2 + config.residual) * config.ratio
    error = np.abs(got / 2**config.gate_frac - exact).max() * 2**config.data.bits
    assert error < 0.25
    assert got.min() >= 0
    assert got.max() <= round(config.ratio * (1 + config.residual) * 2**config.gate_frac)

@pytest.mark.parametrize("loadable", [False, True], ids=["baked", "loadable"])
@pytest.mark.parametrize("name", FORMATS)
def test_hard_sigmoid(name, loadable):
    """A hard sigmoid's logits are gates, which only the clamp changes; and the factor."""
    config = block(FORMATS[name], gate=HARD, loadable=loadable)
    values = arguments(config, 300)
    top = config.gate_top
    wanted = values.clip(round(top / 2) if config.residual else 0, round(top))
    if config.rescales:
        wanted = (wanted * factor_of(config) + 2 ** (config.factor_bits - 1)) // 2**config.factor_bits
    assert gates_of(config, values).tolist() == wanted.tolist()

@pytest.mark.parametrize("gate", [Gate(), HARD], ids=["sigmoid", "hardsigmoid"])
@pytest.mark.parametrize("name", [
    "one of many", "of many, int16", "smaller steps, residual", "almost nothing", "clipped"])
def test_no_factor_overflows(name, gate):
    """A loaded factor above 1, up to all ones, is multiplied exactly: the gate has a bit for it."""
    config = block(FORMATS[name], gate=gate, loadable=True)
    values = arguments(config, 100)
    low, high = round(config.gate_top / 2) if config.residual else 0, round(config.gate_top)
    whole = values.clip(low, high)
    if gate.table:
        whole = np.array([expected_sigmoid(config, int(value)) for value in values])
    assert high - 1 <= whole.max() <= high
    for factor in ((2 << config.factor_bits) - 1, (1 << config.factor_bits) + 1):
        wanted = [(int(value) * factor + (1 << config.factor_bits >> 1)) >> config.factor_bits for value in whole]
        assert max(wanted) < 1 << config.gate_bits
        assert gates_of(config, values, factor).tolist() == wanted

def outputs_of(config, x, gates, zero, outputs_zero):
    """Outputs of beats `x` with `gates`, both (beats, lanes), and the cycle of each; all are single beats of a tile."""
    timing = Timing(config)
    dut, given = Scale(config, range(timing.buffer_words)), []

    async def bench(ctx):
        ctx.set(dut.tile_valid, 1)
        ctx.set(dut.tile.single, 1)
        ctx.set(dut.o_ready, 1)
        ctx.set(dut.zero, zero)
        if config.requantised:
            ctx.set(dut.outputs_zero, outputs_zero)
        for cycle in range(len(x) + timing.scale_latency + QUEUE):
            for signal, values, wait in ((dut.x, x, timing.read_latency),
                                         (dut.gates, gates, timing.read_latency + DEVIATE)):
                if 0 <= cycle - wait < len(values):
                    for lane in range(config.lanes):
                        ctx.set(signal[lane], int(values[cycle - wait, lane]))
            if ctx.get(dut.o_valid):
                given.append((cycle, [ctx.get(lane) for lane in dut.o_data]))
            await ctx.tick()

    simulate(dut, bench)
    return [cycle for cycle, _ in given], [beat for _, beat in given]

@pytest.mark.parametrize("loadable", [False, True], ids=["baked", "loadable"])
@pytest.mark.parametrize("name", FORMATS)
def test_scale(name, loadable):
    """Every output is rounded to nearest, ties up, and saturates; a beat a cycle."""
    config = block(FORMATS[name], loadable=loadable)
    rng = np.random.default_rng(config.gate_bits)
    signed, y = config.data.as_signed, config.outputs.as_signed
    top = min(round(config.ratio * (1 + config.residual) * 2**config.gate_frac), round(config.gate_top))
    x = np.where(rng.random((300, 3)) < 0.3, rng.choice([signed.low, signed.high], (300, 3)),
                 rng.integers(signed.low, signed.high + 1, (300, 3)))
    gates = np.where(rng.random((300, 3)) < 0.3, rng.choice([0, top], (300, 3)), rng.integers(0, top + 1, (300, 3)))
    zero = config.signed_zero_point if not loadable else int(rng.integers(signed.low, signed.high + 1))
    outputs_zero = config.signed_outputs_zero_point if config.requantised else zero
    cycles, got = outputs_of(config, x, gates, zero, outputs_zero)
    wanted = ((x - zero) * gates + 2 ** (config.gate_frac - 1)) // 2**config.gate_frac + outputs_zero
    assert got == wanted.clip(y.low, y.high).tolist()
    if not config.requantised:
        assert wanted.tolist() == wanted.clip(y.low, y.high).tolist()
    assert cycles == list(range(cycles[0], cycles[0] + len(x)))
    assert cycles[0] == Timing(config).scale_latency + QUEUE

@pytest.mark.parametrize("name", ["few of many", "clipped", "clipped, unsigned"])
def test_outputs_saturate_at_both_ends(name):
    """The test above would not tell a wrong saturation if nothing saturated."""
    config = block(FORMATS[name], lanes=1)
    y = config.outputs.as_signed
    ends = np.array([[config.data.as_signed.low], [config.data.as_signed.high]])
    gates = np.full((2, 1), (1 << config.gate_bits) - 1)
    _, got = outputs_of(config, ends, gates, 0, config.signed_outputs_zero_point)
    assert got == [[y.low], [y.high]]

@pytest.mark.parametrize(("fields", "count"), [
    ({"data": DataType(4)}, 2), ({"data": DataType(4), "y_data": DataType(11, signed=False)}, 2),
    ({"data": DataType(16, signed=False), "y_ratio": 1.9, "y_data": DataType(16)}, 2),
    ({"data": DataType(9), "multiplier_bits": 25}, 2),
    ({"y_ratio": 0.21, "weight_bits": 3, "macs": 3}, 3), ({"weight_bits": 5, "macs": 7}, 2)])
def test_loaded_numbers(fields, count):
    """Zero points, factor and weights of any width come where they should, and a stream may follow another."""
    config = block(fields, loadable=True, squeeze=2)
    rng = np.random.default_rng(count)
    streams = []
    x, y = config.data.as_signed, config.outputs.as_signed
    for zero, outputs_zero, factor in ((-1, 2, 5), (x.low, y.low, (2 << config.factor_bits) - 1)):
        values = parameters(config, rng, signed_zero_point=zero, factor=factor if config.rescales else None,
                            signed_outputs_zero_point=outputs_zero if config.requantised else None)
        streams.append(stream_words(config, values))
    # A stream that ends with its `count`-th word, before the weights, comes between them.
    written, states = load(config, [framed(words) for words in (streams[0], streams[0][:count], streams[1])], pause=rng)
    assert written["zero"] == values.signed_zero_point
    assert written.get("outputs_zero") == values.signed_outputs_zero_point
    assert written.get("factor") == values.factor
    words = weight_words(config, values)
    assert [written["weights"][i] & ((1 << config.weight_bits * config.macs) - 1) for i in range(len(words))] == words
    assert [written["records"][i] & ((1 << config.record_bits) - 1)
            for i in range(config.squeeze + config.channels)] == record_words(config, values)
    assert [loaded for loaded, _ in states] == [1, 0, 1]
