# SPDX-License-Identifier: Apache-2.0
"""The registers are what the SystemRDL map says: every address, field, access and reset value."""

import pytest

from tests.helpers.blocks import quantised
from tests.helpers.pysim import simulate
from tiled_se.gen.registers.documents import compiled, map_values, rdl
from tiled_se.gen.registers.page import PAGE, SECTION, table
from tiled_se.hdl.config import Config, Order
from tiled_se.hdl.data_type import DataType
from tiled_se.hdl.registers import Registers
from tiled_se.hdl.tiled_se import TiledSE

pytest.importorskip("systemrdl", reason="pip install 'tiled-se[registers]'")
from systemrdl.rdltypes import OnWriteType

VERSION = (3, 14, 159)
CONFIGS = {
    "loadable": Config(k=65536, width=1000, channels=96, squeeze=60000, lanes=48, loadable=True, macs=7),
    "baked, columns, other outputs": Config(
        k=2, width=3, channels=6, squeeze=5, lanes=2, order=Order.COLUMNS, data=DataType(16, signed=False),
        y_data=DataType(2), y_zero_point=1, y_ratio=0.01, operand_bits=20),
}
# Inputs of the component by the field that shows them, and the outputs that a field of STATUS clears.
SHOWN = {"busy": "busy", "frame_error": "frame_error", "loaded": "loaded", "load_error": "load_error", "beats": "peak"}
CLEARED = {"frame_error": "clear_frame_error", "load_error": "clear_load_error"}


@pytest.fixture(params=CONFIGS.values(), ids=CONFIGS)
def config(request):
    return request.param


class Bus:
    """Accesses of the component by their addresses."""

    def __init__(self, ctx, dut):
        self.ctx, self.dut = ctx, dut

    def read(self, address):
        """The value, or None if there is no register."""
        self.ctx.set(self.dut.read_word, address // 4)
        return None if self.ctx.get(self.dut.read_error) else self.ctx.get(self.dut.read_data)

    async def write(self, address, value, strobes=15, watch=()):
        """Returns 'it was refused', and the values of the outputs `watch` in the cycle of the write."""
        ctx, dut = self.ctx, self.dut
        for signal, number in ((dut.write, 1), (dut.write_word, address // 4), (dut.data, value),
                               (dut.strobes, strobes)):
            ctx.set(signal, number)
        refused, seen = ctx.get(dut.write_error), [ctx.get(getattr(dut, name)) for name in watch]
        await ctx.tick()
        ctx.set(dut.write, 0)
        return refused, seen


def registers_of(config):
    """The registers of the map, by address."""
    return {register.absolute_address: register
            for register in compiled(rdl("block", map_values(config, VERSION))).registers()}


def run(config, bench):
    dut = Registers(config, VERSION)

    async def process(ctx):
        await bench(Bus(ctx, dut), registers_of(config))

    simulate(dut, process)


def mask(field):
    return ((1 << field.width) - 1) << field.low


def test_addresses_and_reset_values(config):
    async def bench(bus, registers):
        for address in range(0, 4096, 4):
            register = registers.get(address)
            expected = None if register is None else sum(
                field.get_property("reset") << field.low for field in register.fields() if field.is_sw_readable)
            assert bus.read(address) == expected, hex(address)
            assert (await bus.write(address, 0, strobes=0))[0] == (
                register is None or register.inst_name.startswith("LOAD")), hex(address)

    run(config, bench)


def test_what_hardware_writes(config):
    """Each input of the component shows in its field, and nowhere else."""
    async def bench(bus, registers):
        fields = {field.inst_name: (address, field) for address, register in registers.items()
                  for field in register.fields() if field.is_hw_writable}
        shown = {name: port for name, port in SHOWN.items() if hasattr(bus.dut, port)}
        assert shown.keys() == fields.keys() - {"load_ready", "load_overrun"}
        before = {address: bus.read(address) for address in registers}
        for name, port in shown.items():
            own, field = fields[name]
            signal = getattr(bus.dut, port)
            ones = (1 << len(signal)) - 1
            assert ones <= (1 << field.width) - 1, name
            bus.ctx.set(signal, ones)
            for address in registers:
                expected = before[address] | (ones << field.low if address == own else 0)
                assert bus.read(address) == expected, (name, hex(address))
            bus.ctx.set(signal, 0)

    run(config, bench)


def test_what_software_writes(config):
    """Fields that can be written are; those that 1 clears are cleared by 1 alone; nothing else changes."""
    async def bench(bus, registers):
        for address, register in registers.items():
            if register.inst_name.startswith("LOAD"):
                assert [field.is_sw_readable for field in register.fields()] == [False]
                continue
            writable = {field.inst_name: field for field in register.fields() if field.is_sw_writable}
            clears = {name for name, field in writable.items() if field.get_property("onwrite") is OnWriteType.woclr}
            plain = sum(mask(field) for name, field in writable.items() if name not in clears)
            watch = [CLEARED[name] for name in clears & CLEARED.keys()]
            fixed = bus.read(address) & ~plain
            for value, strobes in ((0xFFFFFFFF, 15), (0, 15), (0xFFFFFFFF, 14), (0xFFFFFFFF, 1), (0, 14), (0, 1)):
                before = bus.read(address) & plain
                refused, seen = await bus.write(address, value, strobes, watch)
                assert not refused
                # Everything that can be written is in byte 0.
                assert plain < 256
                expected = (value & plain) if strobes & 1 else before
                assert bus.read(address) == fixed | expected, (register.inst_name, hex(value), strobes)
                assert seen == [int(bool(value and strobes & 1))] * len(watch)
            for name in clears & CLEARED.keys():
                _, seen = await bus.write(address, 0xFFFFFFFF ^ mask(writable[name]), 15, watch)
                assert seen == [int(port != CLEARED[name]) for port in watch]

    run(config, bench)


def test_words_of_a_stream():
    """LOAD and LOAD_LAST send the word that was written, with last for the latter; a word too many is the overrun."""
    async def bench(bus, registers):
        names = {register.inst_name: address for address, register in registers.items()}
        fields = {field.inst_name: mask(field) for field in registers[names["STATUS"]].fields()}
        ctx, dut = bus.ctx, bus.dut
        for name, last in (("LOAD", 0), ("LOAD_LAST", 1), ("LOAD", 0)):
            word = 0x12345678 + last
            assert bus.read(names["STATUS"]) == fields["load_ready"]
            await bus.write(names[name], word)
            assert [ctx.get(signal) for signal in (dut.w_valid, dut.w_data, dut.w_last)] == [1, word, last]
            await bus.write(names["LOAD"], 0)
            assert bus.read(names["STATUS"]) == fields["load_overrun"]
            assert [ctx.get(signal) for signal in (dut.w_valid, dut.w_data, dut.w_last)] == [1, word, last]
            await bus.write(names["STATUS"], fields["load_overrun"])
            assert bus.read(names["STATUS"]) == 0
            ctx.set(dut.w_ready, 1)
            await ctx.tick()
            ctx.set(dut.w_ready, 0)
            assert not ctx.get(dut.w_valid)

    run(CONFIGS["loadable"], bench)


@pytest.mark.parametrize("tiling", [{}, {"tile_width": 2}], ids=["strips", "patches"])
def test_frame_error_while_clearing(tiling):
    """A frame error in a cycle in which the one before is cleared stays: it shows for a cycle if all cycles clear."""
    config, parameters = quantised(k=2, width=4, channels=4, squeeze=2, lanes=2, **tiling)
    dut = TiledSE(config, parameters, registers=True)
    seen = []

    async def bench(ctx):
        ctx.set(dut.m_axis_tready, 1)
        ctx.set(dut.clear_frame_error, 1)
        ctx.set(dut.s_axis_tvalid, 1)
        ctx.set(dut.s_axis_tlast, 1)
        while not ctx.get(dut.s_axis_tready):
            await ctx.tick()
        await ctx.tick()
        ctx.set(dut.s_axis_tvalid, 0)
        for _ in range(20):
            seen.append(ctx.get(dut.status_frame_error))
            await ctx.tick()

    simulate(dut, bench)
    assert sum(seen) == 1, seen


def test_map_lacks_a_parameter():
    with pytest.raises(ValueError, match="must have the parameter BLOCK_NONE once"):
        rdl("block", {"NONE": 1})


def test_page():
    """docs/block.md has the table of the map."""
    text = PAGE.read_text()
    assert SECTION.placed(text, table()) == text, "run python -m tiled_se.gen.registers.page"
    assert "`load_overrun`" in SECTION.find(text)
