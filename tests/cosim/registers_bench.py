# SPDX-License-Identifier: Apache-2.0
"""A cocotb test module for a block with registers, with cocotbext-axi's AXI4-Lite master and AXI4-Stream ends.

The variable ``SCENARIO`` names the function below that is run. The job has the parameter stream, of a loadable block,
and frames with the outputs of the golden model.
"""

import itertools
import json
import logging
import os
import random
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, Combine, RisingEdge, with_timeout
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp, AxiStreamBus, AxiStreamSink, AxiStreamSource

from tiled_se.cosim.job import JOB_VARIABLE, OUTPUTS, RESULT, Job, Load

ID, FINGERPRINT, WORDS, STATUS, PEAK, CONTROL, LOAD, LOAD_LAST = 0x00, 0x08, 0x20, 0x40, 0x44, 0x48, 0x50, 0x54
BUSY, FRAME_ERROR, LOADED, LOAD_ERROR, READY, OVERRUN = (1 << bit for bit in range(6))
SCENARIOS = {}


def scenario(function):
    """Make a function a scenario, by its name."""
    SCENARIOS[function.__name__] = function
    return function


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def run(dut):
    """The scenario; every assertion of it that fails is the result's failure."""
    folder = Path(os.environ[JOB_VARIABLE])
    Clock(dut.clk, 10, unit="ns").start()
    failures = []
    try:
        bench = Bench(dut, Job.load(folder))
        await bench.reset()
        await SCENARIOS[os.environ["SCENARIO"]](bench)
        assert bench.sink.empty(), "a frame came that nobody sent"
    except AssertionError as error:
        failures.append(str(error) or "assertion failed")
    np.savez(folder / OUTPUTS, occupancy=np.zeros(0, np.int64), counts=np.zeros(0, np.int64),
             beats=np.zeros((0, 1), np.uint8))
    (folder / RESULT).write_text(json.dumps({
        "failures": failures, "mismatches": 0, "compared": 0, "first_mismatches": [], "sections": [], "status": {},
        "snapshots": {}, "peak_in_flight": 0, "cycles": 0, "run_seconds": 0, "cpu_seconds": 0}))
    assert not failures, failures[0]


class Bench:
    """The ends of all ports, and what software does with them."""

    def __init__(self, dut, job):
        self.dut, self.job, self.rng = dut, job, random.Random(job.seed)
        self.words = [word for step in job.steps if isinstance(step, Load) for word in step.words.tolist()]
        self.bus = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.clk, dut.rst)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.clk, dut.rst)
        for logger in [self.source.log, self.sink.log, self.bus.write_if.log, self.bus.read_if.log]:
            logger.setLevel(logging.WARNING)

    def pauses(self, probability, seed):
        """Random pauses of every channel of every port; on the bus both of what we send and of what we take."""
        bus = self.bus
        for number, end in enumerate((bus.write_if.aw_channel, bus.write_if.w_channel, bus.write_if.b_channel,
                                      bus.read_if.ar_channel, bus.read_if.r_channel, self.source, self.sink)):
            rng = random.Random(f"{seed} {number}")
            end.set_pause_generator(iter(lambda rng=rng: rng.random() < probability, None))

    async def reset(self):
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 4)
        self.dut.rst.value = 0
        await ClockCycles(self.dut.clk, 2)

    async def read(self, address, resp=AxiResp.OKAY):
        got = await with_timeout(self.bus.read(address, 4), 20, "us")
        assert got.resp == resp, f"read of {address:#x}: {got.resp!r}"
        return int.from_bytes(got.data, "little")

    async def write(self, address, value, resp=AxiResp.OKAY):
        got = await with_timeout(self.bus.write(address, value.to_bytes(4, "little")), 20, "us")
        assert got.resp == resp, f"write of {address:#x}: {got.resp!r}"

    async def expect(self, status, why, mask=0xFFFFFFFF):
        got = await self.read(STATUS)
        assert got & mask == status, f"{why}: STATUS is {got:#b}, not {status:#b}"

    async def until(self, bits, why):
        for _ in range(200):
            if (status := await self.read(STATUS)) & bits == bits:
                return status
        raise AssertionError(f"{why}: STATUS stays {status:#b}")

    async def load(self, words=None):
        """Write a stream as a driver does: wait for `load_ready` before the first two words only."""
        words = self.words if words is None else words
        for number, word in enumerate(words):
            if number < 2:
                status = await self.until(READY, "a word may come")
                assert number == 0 or status & BUSY, "a stream is being loaded"
            await self.write(LOAD_LAST if number == len(words) - 1 else LOAD, word)
        await self.until(READY, "the last word is taken")

    async def send(self, *numbers):
        for number in numbers:
            await self.source.send(self.job.frames[number].beats.tobytes())

    async def receive(self, *numbers):
        """Take frames, and compare them with the golden model."""
        for number in numbers:
            got = await with_timeout(self.sink.recv(), 200, "us")
            assert bytes(got.tdata) == self.job.frames[number].expected.tobytes(), f"frame {number} is wrong"

    async def frames(self):
        """All frames of the job, back to back."""
        everything = range(len(self.job.frames))
        await self.send(*everything)
        await self.receive(*everything)

    async def cut(self):
        """A frame that ends before its row does: all its beats come out."""
        beats = self.job.frames[1].beats[:-1]
        await self.source.send(beats.tobytes())
        got = await with_timeout(self.sink.recv(), 200, "us")
        assert len(got.tdata) == self.job.frames[1].expected[:-1].size, "a cut frame lost beats"


@scenario
async def load_and_run(bench):
    """Load by writes, run all frames, load again."""
    await bench.expect(READY, "after reset")
    assert await bench.read(PEAK) == 0
    for _ in range(2):
        await bench.load()
        await bench.expect(READY | LOADED, "after loading")
        await bench.frames()
        await bench.expect(READY | LOADED, "after the frames")
    assert await bench.read(PEAK) == bench.dut.status_peak_words.value.to_unsigned() > 0
    assert await bench.read(WORDS) == len(bench.words)
    assert await bench.read(FINGERPRINT) == bench.words[0]


@scenario
async def pauses(bench):
    """The same with pauses on every channel of the bus and on both streams, while STATUS is polled."""
    bench.pauses(0.5, bench.job.seed)
    await bench.load()
    sending = cocotb.start_soon(bench.frames())
    seen = 0
    while not sending.done():
        seen |= await bench.read(STATUS)
    await sending
    assert seen & BUSY, "never busy"
    await bench.expect(READY | LOADED, "after the frames")


@scenario
async def errors(bench):
    """A frame error and its clearing, one bit at a time; a second error after that is seen, and so is a third."""
    loadable = bool(bench.words)
    ready = READY | LOADED if loadable else 0
    if loadable:
        await bench.load()
    for number in range(3):
        await bench.cut()
        await bench.expect(ready | FRAME_ERROR, f"error {number}")
        assert bench.dut.status_frame_error.value == 1
        await bench.write(STATUS, 0xFFFFFFFF ^ FRAME_ERROR)
        await bench.expect(ready | FRAME_ERROR, "other bits were written")
        await bench.write(STATUS, FRAME_ERROR)
        await bench.expect(ready, "cleared")
        await bench.frames()
        await bench.expect(ready, "right frames raise nothing")


@scenario
async def error_while_clearing(bench):
    """Clears all around a cut frame's end: an early one leaves its error, a late one clears it."""
    if bench.words:
        await bench.load()
    status = []
    for delay in range(20):
        await bench.cut()
        cutting = cocotb.start_soon(bench.cut())
        await ClockCycles(bench.dut.clk, delay)
        await bench.write(STATUS, FRAME_ERROR)
        await cutting
        status.append(bool(await bench.read(STATUS) & FRAME_ERROR))
        await bench.write(STATUS, FRAME_ERROR)
    # Clears before the error leave it; later ones remove it. Once late, always late.
    assert status == sorted(status, reverse=True), status
    assert set(status) == {True, False}, status


@scenario
async def soft_reset(bench):
    """A reset in the middle of a frame: nothing is left of it, and what comes afterwards is right."""
    loadable = bool(bench.words)
    if loadable:
        await bench.load()
    await bench.cut()
    bench.sink.pause = True
    await bench.send(0)
    while not await bench.read(STATUS) & BUSY:
        pass
    await ClockCycles(bench.dut.clk, 20)
    await bench.write(CONTROL, 1)
    # Software stops what is connected to the streams while the block is held in reset.
    bench.source.clear()
    assert await bench.read(CONTROL) == 1
    await bench.expect(0, "in reset")
    assert await bench.read(PEAK) == 0
    for _ in range(10):
        await RisingEdge(bench.dut.clk)
        ports = bench.dut.s_axis_tready, bench.dut.m_axis_tvalid
        assert [port.value for port in ports] == [0, 0], "a port moves in reset"
    if loadable:
        # The word is lost, and said to be.
        await bench.write(LOAD, bench.words[0])
        await bench.expect(OVERRUN, "a word was written in reset")
        await bench.write(STATUS, OVERRUN)
    bench.dut.rst.value = 1
    await ClockCycles(bench.dut.clk, 1)
    bench.dut.rst.value = 0
    assert await bench.read(CONTROL) == 0, "rst ends the soft reset"
    bench.sink.pause = False
    if loadable:
        await bench.expect(READY, "unloaded after reset")
        await bench.load()
    await bench.frames()


@scenario
async def busy_to_the_last_beat(bench):
    """A frame that has come in is in the block until its last beat is taken."""
    if bench.words:
        await bench.load()
    sizes = [len(bench.job.frames[number].beats) for number in (0, 1)]
    # The sink takes a beat every 20 cycles.
    bench.sink.set_pause_generator(itertools.cycle([False] + [True] * 19))
    await bench.send(1, 0)
    ready, valid = bench.dut.m_axis_tready, bench.dut.m_axis_tvalid
    taken = 0

    async def count():
        nonlocal taken
        while True:
            await RisingEdge(bench.dut.clk)
            taken += int(ready.value) & int(valid.value)

    counting = cocotb.start_soon(count())
    while taken < sum(sizes):
        status = await bench.read(STATUS)
        assert status & BUSY or taken == sum(sizes), f"not busy after {taken} of {sum(sizes)} beats"
    counting.cancel()
    bench.sink.clear_pause_generator()
    bench.sink.pause = False
    await bench.receive(1, 0)
    await bench.expect(0, "idle after the last beat", BUSY)


@scenario
async def soft_reset_alone(bench):
    """A soft reset without `rst`: a frame, an error, the peak, parameters and a word that waits are gone."""
    loadable = bool(bench.words)
    if loadable:
        await bench.load()
    await bench.cut()
    bench.sink.pause = True
    await bench.send(1)
    await bench.source.wait()
    await bench.expect(BUSY | FRAME_ERROR, "a frame waits", BUSY | FRAME_ERROR)
    if loadable:
        await bench.write(LOAD, bench.words[0])
        await bench.expect(0, "a word waits", READY)
    assert await bench.read(PEAK) > 0
    # The bit is in byte 0 only.
    await bench.bus.write(CONTROL + 1, b"\1\1\1")
    assert await bench.read(CONTROL) == 0
    await bench.write(CONTROL, 0xFFFFFFFF)
    assert await bench.read(CONTROL) == 1
    await bench.write(CONTROL, 0xFFFFFFFE)
    bench.sink.pause = False
    await bench.expect(READY if loadable else 0, "after reset")
    assert await bench.read(PEAK) == 0
    if loadable:
        await bench.load()
    await bench.frames()


@scenario
async def load_in_flight(bench):
    """A stream that begins while a frame is in the block waits; the bus does not, and surplus words are lost."""
    await bench.load()
    bench.sink.pause = True
    await bench.send(0, 1)
    await bench.until(BUSY, "a frame is in the block")
    await ClockCycles(bench.dut.clk, 30)
    await bench.write(LOAD, bench.words[0])
    await bench.expect(BUSY | LOADED, "the first word is held")
    # No write waits for the block, and no read does.
    for _ in range(3):
        await bench.write(LOAD, 0x55555555)
    await bench.expect(BUSY | LOADED | OVERRUN, "words were lost")
    await bench.write(STATUS, OVERRUN)
    await bench.expect(BUSY | LOADED, "the overrun is cleared")
    bench.sink.pause = False
    # The word that waits keeps the second frame out if that had not begun; it comes after the stream.
    got = bench.sink.recv()
    first = await with_timeout(got, 200, "us")
    assert bytes(first.tdata) == bench.job.frames[0].expected.tobytes(), "the frame in flight is wrong"
    await bench.until(READY, "the first word is taken")
    for number, word in enumerate(bench.words[1:], 2):
        await bench.write(LOAD_LAST if number == len(bench.words) else LOAD, word)
    await bench.receive(1)
    await bench.expect(READY | LOADED, "loaded again")


@scenario
async def overrun(bench):
    """What the map says that a driver does after an overrun: end the stream, clear the errors, send it again."""
    await bench.load()
    bench.sink.pause = True
    await bench.send(0)
    await bench.until(BUSY, "a frame is in the block")
    await bench.write(LOAD, bench.words[0])
    await bench.write(LOAD, bench.words[1])
    bench.sink.pause = False
    await bench.receive(0)
    status = await bench.until(READY, "the first word is taken")
    assert status & OVERRUN
    await bench.write(LOAD_LAST, 0)
    await bench.expect(READY | LOAD_ERROR | OVERRUN, "the stream lacks words")
    await bench.write(STATUS, LOAD_ERROR)
    await bench.expect(READY | OVERRUN, "one bit is cleared")
    await bench.write(STATUS, OVERRUN)
    await bench.load()
    await bench.expect(READY | LOADED, "loaded")
    await bench.frames()


@scenario
async def bad_streams(bench):
    """Another block's stream, a short one and a long one are refused, each error is seen, and the next one loads."""
    words = bench.words
    for number, bad in enumerate(([words[0] ^ 1, *words[1:]], words[:-1], [*words, 0], words[:1])):
        await bench.load(bad)
        await bench.expect(READY | LOAD_ERROR, f"bad stream {number}")
        await bench.write(STATUS, LOAD_ERROR)
        await bench.expect(READY, "cleared")
    await bench.load()
    await bench.expect(READY | LOADED, "the right stream")
    await bench.frames()


@scenario
async def strobes(bench):
    """A write with bytes missing does nothing: it is refused for parameters, and clears no error elsewhere."""
    for address, length in ((LOAD, 1), (LOAD, 3), (LOAD_LAST + 1, 3), (LOAD_LAST + 2, 2)):
        got = await bench.bus.write(address, bytes(length))
        assert got.resp == AxiResp.SLVERR, f"{length} bytes at {address:#x}: {got.resp!r}"
    await bench.expect(READY, "nothing was loaded")
    await bench.load()
    await bench.cut()
    await bench.bus.write(STATUS + 1, b"\xff\xff\xff")
    await bench.expect(READY | LOADED | FRAME_ERROR, "byte 0 was not written")
    await bench.bus.write(STATUS, bytes([FRAME_ERROR]))
    await bench.expect(READY | LOADED, "byte 0 alone was written")


@scenario
async def protocol(bench):
    """Address before data and data before address, responses that wait, many at once, and unmapped addresses."""
    write, read, clock = bench.bus.write_if, bench.bus.read_if, bench.dut.clk
    held = bench.bus.read(ID, 4)
    for first, second in ((write.aw_channel, write.w_channel), (write.w_channel, write.aw_channel)):
        for value in (1, 0):
            second.pause = True
            writing = cocotb.start_soon(bench.write(CONTROL, value))
            await ClockCycles(clock, 10)
            assert first.empty(), "one half of a write was not accepted"
            assert not writing.done(), "one half of a write was enough"
            # A read goes past it, and sees that nothing was written.
            assert await bench.read(CONTROL) == 1 - value
            second.pause = False
            await writing
            assert await bench.read(CONTROL) == value
    assert (await held).data == b"1EST", "a read was lost"
    # Responses that are not taken: valid and data stay, and nothing is overwritten.
    write.b_channel.pause = read.r_channel.pause = True
    tasks = [cocotb.start_soon(bench.read(ID)), cocotb.start_soon(bench.read(0xFFC, AxiResp.SLVERR)),
             cocotb.start_soon(bench.write(CONTROL, 0)), cocotb.start_soon(bench.write(0x7C, 0, AxiResp.SLVERR)),
             cocotb.start_soon(bench.write(ID, 0))]
    await ClockCycles(clock, 5)
    for _ in range(20):
        await RisingEdge(clock)
        dut = bench.dut
        assert (dut.s_axil_rvalid.value, dut.s_axil_bvalid.value) == (1, 1)
        assert (dut.s_axil_rdata.value.to_unsigned(), dut.s_axil_rresp.value.to_unsigned()) == (0x54534531, 0)
    write.b_channel.pause = read.r_channel.pause = False
    await Combine(*tasks)
    # Back to back, reads and writes at the same time, with pauses in any order.
    bench.pauses(0.3, "protocol")
    reads = [cocotb.start_soon(bench.read(address, AxiResp.OKAY if address == ID else AxiResp.SLVERR))
             for address in [ID, 0x24, 0x100] * 20]
    writes = [cocotb.start_soon(bench.write(address, 0, AxiResp.OKAY if address == PEAK else AxiResp.SLVERR))
              for address in [PEAK, 0x5C, 0x800, 0xFFC] * 15]
    await Combine(*reads, *writes)
    assert {task.result() for task in reads[::3]} == {0x54534531}


@scenario
async def whole_map(bench):
    """Every word of the 4 KiB: what the job's description says, else SLVERR."""
    expected = {int(address): value for address, value in json.loads(os.environ["EXPECTED_MAP"]).items()}
    for address in range(0, 0x1000, 4):
        value = await bench.read(address, AxiResp.OKAY if address in expected else AxiResp.SLVERR)
        assert value == expected.get(address, 0), f"{address:#x} is {value:#x}"


@scenario
async def run_baked(bench):
    """A block with baked parameters runs at once; it has no registers to load it."""
    bench.pauses(0.3, 1)
    await bench.expect(0, "after reset")
    for address in (LOAD, LOAD_LAST):
        await bench.write(address, bench.rng.getrandbits(32), AxiResp.SLVERR)
    await bench.frames()
    await bench.expect(0, "after the frames")
    assert await bench.read(WORDS) == 0
