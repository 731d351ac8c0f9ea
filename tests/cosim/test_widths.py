# SPDX-License-Identifier: Apache-2.0
"""Streams whose lanes are no bytes, and whose input and output differ, through every bench and simulator."""

import functools
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.cosim.test_simspeed import looped
from tiled_se.cosim.build import build_simulation
from tiled_se.cosim.job import Frame, Job, Reset, Send
from tiled_se.cosim.run import simulate
from tiled_se.cosim.standalone import build_model
from tiled_se.evaluate.simspeed.benches import AXI_TEST, unavailable
from tiled_se.evaluate.simspeed.cpp_loop import build_loop
from tiled_se.hdl.data_type import DataType
from tiled_se.verify.simulators.models import cxxrtl

VERILOG = (Path(__file__).parent / "widths.v").read_text()
PIXELS, FRAMES = 9, 3
# Lanes, input, output. The integers that go in are in the range of both.
STREAMS = {
    "3 bits, 5 lanes": (5, DataType(3), DataType(3)),
    "12 bits, 3 lanes": (3, DataType(12), DataType(12)),
    "3 to 12 bits, 5 lanes": (5, DataType(3, signed=False), DataType(12, signed=False)),
    "int8 to int4, 8 lanes": (8, DataType(8), DataType(4)),
}
BENCHES = ("compiled", "per beat", "icarus", "verilator model", "cxxrtl model")


def design(lanes, data, outputs, fault=-1):
    macros = {"LANES": lanes, "IN": data.bits, "OUT": outputs.bits, "IN_BYTES": data.beat_bytes(lanes),
              "OUT_BYTES": outputs.beat_bytes(lanes), "FAULT": fault}
    text = re.sub(r"`(\w+)", lambda match: str(macros[match[1]]), VERILOG)
    return re.sub(r"\[8\*(\d+)-1:0\]", lambda match: f"[{8 * int(match[1]) - 1}:0]", text)


def job_of(lanes, data, outputs, **options):
    rng = np.random.default_rng(lanes)
    low, high = max(data.low, outputs.low), min(data.high, outputs.high)
    x = rng.integers(low, high + 1, (FRAMES, PIXELS, 1, 2 * lanes))
    x[0, 0] = low
    x[0, 1] = high
    frames = tuple(Frame.of(one, one, lanes=lanes, data=data, outputs=outputs) for one in x)
    return x, Job(steps=(Reset(), Send(frames)), lanes=lanes, width=1, channels=2 * lanes, data=data, outputs=outputs,
                  **{"hang_cycles": 500, **options})


def runner(bench, text):
    if bench == "icarus" and not shutil.which("iverilog"):
        pytest.skip("needs iverilog")
    if bench == "cxxrtl model":
        return build_model(text, "widths", engine="cxxrtl", source=cxxrtl(text, "widths")).run
    if bench == "verilator model":
        return build_model(text, "widths").run
    return functools.partial(simulate, build_simulation(
        text, "widths", per_beat=bench == "per beat", simulator="icarus" if bench == "icarus" else "verilator"))


@pytest.mark.parametrize("bench", BENCHES)
@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_every_integer_arrives(stream, bench):
    run = runner(bench, design(*stream))
    x, job = job_of(*stream, stall_in=0.3, stall_out=0.4, seed=4)
    result = run(job)
    assert result.ok, result.failures
    assert (result.mismatches, result.compared) == (0, x.size)
    assert all(np.array_equal(job.elements(beats).reshape(one.shape), one)
               for beats, one in zip(result.outputs, x, strict=True))


@pytest.mark.parametrize("bench", BENCHES)
@pytest.mark.parametrize(("name", "fault", "channel"), [
    ("3 bits, 5 lanes", 11, 3), ("3 bits, 5 lanes", 15, 4), ("12 bits, 3 lanes", 39, 2)])
def test_every_bit_is_compared(name, fault, channel, bench):
    """Also the bits above the last lane, which then has an integer out of range."""
    lanes, data, outputs = STREAMS[name]
    x, job = job_of(lanes, data, outputs)
    result = runner(bench, design(lanes, data, outputs, fault))(job)
    # The third beat is the second pixel's first one.
    right = int(x[0, 1, 0, channel])
    place = fault - channel * outputs.bits
    got = right ^ 1 << place if place < outputs.bits - 1 else right + (1 << place)
    if place == outputs.bits - 1:
        got = right - (1 << place) if right >= 0 else right + (1 << place)
    assert result.first_mismatches == [
        {"frame": 0, "row": 1, "column": 0, "channel": channel, "expected": right, "got": got}]
    assert result.failures == [f"1 of {x.size} elements differ, the first in frame 0, row 1, column 0, channel "
                               f"{channel}: expected {right}, got {got}"]


@pytest.mark.parametrize("fault", [-1, 15])
def test_benches_of_other_people(fault, tmp_path):
    """The plain C++ loop, and cocotbext-axi's source and sink."""
    stream = STREAMS["3 bits, 5 lanes"]
    text, (_, job) = design(*stream, fault), job_of(*stream)
    failures = looped(build_loop(text, "widths"), job, tmp_path, FRAMES).failures
    assert bool(failures) == (fault >= 0)
    if unavailable():
        pytest.skip("needs cocotbext-axi")
    result = simulate(build_simulation(text, "widths", per_beat=True), job, module=AXI_TEST)
    assert result.failures == ([] if fault < 0 else [
        f"1 of {PIXELS * 10} elements of frame 0 differ, the first in place 14"])
