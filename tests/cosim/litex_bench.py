# SPDX-License-Identifier: Apache-2.0
"""A cocotb test module for the streams of blocks in LiteX modules, whose endpoints are ports of the simulated top."""

import json
import pathlib
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def streams(dut):
    """All frames of every block at once, with pauses on all sides, after the parameters of those that load them."""
    blocks = json.loads(pathlib.Path("blocks.json").read_text())
    for name, block in blocks.items():
        for stream in ("sink", "source", *(["params"] if block["params"] else [])):
            handle(dut, name, stream, "ready" if stream == "source" else "valid").value = 0
    dut.sys_rst.value = 1
    Clock(dut.sys_clk, 10, unit="ns").start()
    for _ in range(3):
        await RisingEdge(dut.sys_clk)
    dut.sys_rst.value = 0
    tasks = []
    for name, block in blocks.items():
        if block["params"]:
            tasks.append(cocotb.start_soon(send(dut, name, "params", [block["params"]])))
        tasks.append(cocotb.start_soon(send(dut, name, "sink", block["x"])))
        tasks.append(cocotb.start_soon(receive(dut, name, block["y"])))
    for task in tasks:
        await task


async def cycle(dut, *handles):
    """The values in this cycle, which then ends."""
    await FallingEdge(dut.sys_clk)
    values = [int(handle.value) for handle in handles]
    await RisingEdge(dut.sys_clk)
    return values


def handle(dut, name, stream, signal):
    return getattr(dut, f"{name}_{stream}_{signal}")


async def send(dut, name, stream, packets):
    """Send `packets`, lists of beats; `first`, which is not read, is random."""
    rng = random.Random(f"{name} {stream}")
    valid, ready, first, last, data = (
        handle(dut, name, stream, signal) for signal in ("valid", "ready", "first", "last", "data"))
    for packet in packets:
        for number, beat in enumerate(packet, 1):
            while rng.random() < 0.3:
                await RisingEdge(dut.sys_clk)
            data.value, last.value, first.value, valid.value = beat, number == len(packet), rng.random() < 0.5, 1
            while not (await cycle(dut, ready))[0]:
                pass
            valid.value = 0


async def receive(dut, name, packets):
    """Take what comes and compare it, with `first` and `last`."""
    rng = random.Random(name)
    valid, ready, first, last, data = (
        handle(dut, name, "source", signal) for signal in ("valid", "ready", "first", "last", "data"))
    for packet in packets:
        for number, beat in enumerate(packet):
            taken = None
            while taken is None:
                ready.value = takes = rng.random() < 0.7
                offered, *values = await cycle(dut, valid, data, first, last)
                taken = values if takes and offered else None
            expected = [beat, number == 0, number == len(packet) - 1]
            assert taken == expected, f"{name}: beat {number} is {taken}, expected {expected}"
    for _ in range(50):
        assert await cycle(dut, valid) == [0], f"{name}: a beat too many"
