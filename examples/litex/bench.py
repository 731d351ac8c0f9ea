# SPDX-License-Identifier: Apache-2.0
"""The host's software, as cocotb tests: it finds CSRs and RAM by the names in soc.svd, and sees nothing but the bus."""

import itertools
import pathlib
import xml.etree.ElementTree as Xml

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

SVD, VECTORS = "soc.svd", "vectors.npz"
TEST = dict(timeout_time=1, timeout_unit="ms")


class Host:
    """The bus, and what software does with it. `folder` has the SVD file."""

    def __init__(self, dut, folder="."):
        self.dut = dut
        device = Xml.parse(pathlib.Path(folder, SVD)).getroot()
        self.ram = next(int(region.findtext("baseAddress"), 0) for region in device.iter("memoryRegion")
                        if region.findtext("name") == "MAIN_RAM")
        # Addresses, and fields as lowest and highest bit.
        self.registers, self.fields = {}, {}
        for peripheral in device.iter("peripheral"):
            for register in peripheral.iter("register"):
                name = f"{peripheral.findtext('name')}_{register.findtext('name')}".lower()
                self.registers[name] = sum(int(where, 0) for where in (
                    peripheral.findtext("baseAddress"), register.findtext("addressOffset")))
                self.fields[name] = {field.findtext("name"): (int(field.findtext("lsb")), int(field.findtext("msb")))
                                     for field in register.iter("field")}

    async def start(self):
        """Clock, and reset of the whole SoC."""
        dut = self.dut
        dut.host_cyc.value = dut.host_stb.value = 0
        dut.host_cti.value = dut.host_bte.value = 0
        dut.host_sel.value = 15
        dut.rst.value = 1
        Clock(dut.clk, 10, unit="ns").start()
        for _ in range(4):
            await RisingEdge(dut.clk)
        dut.rst.value = 0

    async def access(self, address, value=None):
        """Write a 32-bit word, or read it."""
        dut = self.dut
        dut.host_adr.value = address // 4
        dut.host_we.value = value is not None
        dut.host_dat_w.value = value or 0
        dut.host_cyc.value = dut.host_stb.value = 1
        acknowledged = False
        while not acknowledged:
            # The answer is that of the cycle, which is over with the next rising edge.
            await FallingEdge(dut.clk)
            acknowledged, read = bool(dut.host_ack.value), dut.host_dat_r.value
            assert not dut.host_err.value, f"no answer from address {address:#x}"
            await RisingEdge(dut.clk)
        dut.host_cyc.value = dut.host_stb.value = 0
        # In a cycle without a request the bus goes to the next master.
        await RisingEdge(dut.clk)
        return read.to_unsigned()

    async def read(self, register, field=None):
        """The value of a CSR, or of one of its fields."""
        value = await self.access(self.registers[register])
        if field is None:
            return value
        low, high = self.fields[register][field]
        return value >> low & (1 << high - low + 1) - 1

    async def write(self, register, *fields, value=None):
        """Write a CSR: a value, or 1 into these fields and 0 into the others."""
        bits = sum(1 << self.fields[register][field][0] for field in fields)
        await self.access(self.registers[register], bits if value is None else value)

    async def status(self):
        """The fields of the block's status that are 1."""
        value = await self.read("se_status")
        return {name for name, (low, _) in self.fields["se_status"].items() if value >> low & 1}

    async def begin(self, dma, offset, words):
        """Let a DMA transfer this many words, which are in RAM at `offset`."""
        await self.write(f"{dma}_enable", value=0)
        # 64 bits, in two words.
        await self.write(f"{dma}_base1", value=0)
        await self.write(f"{dma}_base0", value=self.ram + offset)
        await self.write(f"{dma}_length", value=4 * words)
        await self.write(f"{dma}_enable", value=1)

    async def done(self, dma):
        while not await self.read(f"{dma}_done"):
            pass

    async def put(self, offset, words):
        for number, word in enumerate(words):
            await self.access(self.ram + offset + 4 * number, int(word))

    async def get(self, offset, count):
        return [await self.access(self.ram + offset + 4 * number) for number in range(count)]


class Run:
    """A started SoC with all vectors in RAM."""

    def __init__(self, dut):
        self.host = Host(dut)
        with np.load(VECTORS) as vectors:
            self.words = {name: vectors[name].tolist() for name in vectors}
        ends = [0, *itertools.accumulate(4 * len(words) for words in self.words.values())]
        self.places = dict(zip(self.words, ends, strict=False))
        # Outputs come after all that.
        self.output = ends[-1]
        self.frames = sum(name.startswith("x") for name in self.words)

    async def start(self):
        await self.host.start()
        for name, words in self.words.items():
            if not name.startswith("y"):
                await self.host.put(self.places[name], words)

    async def load(self):
        """Send the parameter stream; returns the status after it."""
        await self.host.begin("params_reader", self.places["params"], len(self.words["params"]))
        await self.host.done("params_reader")
        # The last words are still on their way.
        while "busy" in (status := await self.host.status()):
            pass
        return status

    async def exact(self, number):
        """Send frame `number` from RAM to RAM, and compare it."""
        x, y = self.words[f"x{number}"], self.words[f"y{number}"]
        # Something else than what is expected.
        await self.host.put(self.output, [word ^ 0xFFFFFFFF for word in y])
        await self.host.begin("writer", self.output, len(y))
        await self.host.begin("reader", self.places[f"x{number}"], len(x))
        await self.host.done("writer")
        got = await self.host.get(self.output, len(y))
        wrong = [index for index, words in enumerate(zip(got, y, strict=True)) if words[0] != words[1]]
        assert not wrong, f"frame {number}: word {wrong[0]} is {got[wrong[0]]:08x}, expected {y[wrong[0]]:08x}"


async def started(dut):
    run = Run(dut)
    await run.start()
    return run, run.host


@cocotb.test(**TEST)
async def identification(dut):
    """The CSRs tell which tiled-se has made the block, and which parameter streams fit."""
    run, host = await started(dut)
    version = [await host.read("se_version", field) for field in ("major", "minor", "patch")]
    assert version == run.words["version"]
    assert await host.read("se_fingerprint") == run.words["params"][0]
    assert await host.read("se_peak_words") == 0
    assert await host.status() == set()


@cocotb.test(**TEST)
async def frames(dut):
    """Parameters, then frames, all from RAM and back to RAM, one after the other."""
    run, host = await started(dut)
    assert await run.load() == {"loaded"}
    for number in range(run.frames):
        await run.exact(number)
        assert await host.status() == {"loaded"}
    assert 0 < await host.read("se_peak_words") <= run.words["most_peak"][0]


@cocotb.test(**TEST)
async def cut_frame(dut):
    """tlast off a row's end is an error that software sees and clears; all beats come, and the next frame is right."""
    run, host = await started(dut)
    await run.load()
    beats = len(run.words["x0"]) - 1
    # The second error is seen as the first one was: a clear ends with its cycle.
    for _ in range(2):
        await host.begin("writer", run.output, beats + 1)
        await host.begin("reader", run.places["x0"], beats)
        await host.done("writer")
        assert await host.read("writer_offset") == beats
        assert await host.status() == {"loaded", "frame_error"}
        await run.exact(1)
        await host.write("se_control", "clear_load_error")
        assert await host.status() == {"loaded", "frame_error"}
        await host.write("se_control", "clear_frame_error")
        assert await host.status() == {"loaded"}


@cocotb.test(**TEST)
async def refused_parameters(dut):
    """Parameters that were made for another block are refused; those that fit are then taken."""
    run, host = await started(dut)
    place, first = run.places["params"], run.words["params"][0]
    await host.put(place, [first ^ 1])
    assert await run.load() == {"load_error"}
    await host.put(place, [first])
    assert await run.load() == {"loaded", "load_error"}
    await host.write("se_control", "clear_load_error")
    assert await host.status() == {"loaded"}
    await run.exact(0)


@cocotb.test(**TEST)
async def soft_reset(dut):
    """A reset in the middle of a frame, whose outputs nobody takes; then everything begins again."""
    run, host = await started(dut)
    await run.load()
    await host.begin("reader", run.places["x0"], len(run.words["x0"]))
    while await host.read("se_peak_words") < 2:
        pass
    assert await host.status() == {"loaded", "busy"}
    await host.write("se_control", "reset")
    await host.write("reader_enable", value=0)
    assert await host.status() == set()
    assert await host.read("se_peak_words") == 0
    await host.write("se_control")
    await run.load()
    await run.exact(0)
    assert await host.status() == {"loaded"}
