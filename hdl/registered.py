# SPDX-License-Identifier: Apache-2.0
"""The block with registers, which an AXI4-Lite port reads and writes."""

from amaranth.hdl import Module, ResetInserter
from amaranth.lib import wiring

from .axi_lite import AxiLite, axi_lite_members
from .registers import Registers
from .tiled_se import TiledSE

__all__ = ["PREFIX", "RegisteredTiledSE"]

# Of the AXI4-Lite port's names.
PREFIX = "s_axil_"


class RegisteredTiledSE(wiring.Component):
    """A :class:`TiledSE` and its :class:`Registers`; `version` is that of tiled-se, three numbers.

    Members
    -------
    s_axil_*
        AXI4-Lite, see :class:`AxiLite`.
    s_axis_*, m_axis_*, status_*
        Those of the block. A loadable one has no ``w_axis_*``: it is loaded by writes.
    """

    def __init__(self, config, parameters, version):
        self.config, self.version = config, version
        self.block = TiledSE(config, parameters, registers=True)
        self.shared = {name: member for name, member in self.block.signature.members.items()
                       if name.startswith(("s_axis_", "m_axis_", "status_"))}
        super().__init__({**axi_lite_members(PREFIX), **self.shared})

    def elaborate(self, platform):
        m = Module()
        m.submodules.axi_lite = bus = AxiLite()
        m.submodules.registers = registers = Registers(self.config, self.version)
        m.submodules.block = ResetInserter(registers.reset)(self.block)
        block = self.block
        self._wire(m, bus, axi_lite_members(), PREFIX)
        self._wire(m, block, self.shared)
        m.d.comb += [
            registers.write.eq(bus.write), registers.write_word.eq(bus.write_word), registers.data.eq(bus.data),
            registers.strobes.eq(bus.strobes), bus.write_error.eq(registers.write_error),
            registers.read_word.eq(bus.read_word), bus.read_data.eq(registers.read_data),
            bus.read_error.eq(registers.read_error),
            registers.busy.eq(block.busy), registers.peak.eq(block.status_peak_words),
            registers.frame_error.eq(block.status_frame_error), block.clear_frame_error.eq(registers.clear_frame_error),
        ]
        if self.config.loadable:
            m.d.comb += [
                registers.loaded.eq(block.status_loaded), registers.load_error.eq(block.status_load_error),
                block.clear_load_error.eq(registers.clear_load_error),
                block.w_axis_tvalid.eq(registers.w_valid), registers.w_ready.eq(block.w_axis_tready),
                block.w_axis_tdata.eq(registers.w_data), block.w_axis_tlast.eq(registers.w_last),
            ]
        return m

    def _wire(self, m, inner, members, prefix=""):
        """Connect the `members` of a component with our own, whose names have `prefix`."""
        for name, member in members.items():
            inside, outside = getattr(inner, name), getattr(self, prefix + name)
            m.d.comb += inside.eq(outside) if member.flow is wiring.In else outside.eq(inside)
