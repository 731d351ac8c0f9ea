# SPDX-License-Identifier: Apache-2.0
"""The scale FIFO of patches of several rows: it holds the gates of a whole band."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import In

from .ram import Ram
from .scale_fifo import ScaleFifo
from .timing import Timing

__all__ = ["PatchGates"]


class PatchGates(ScaleFifo):
    """Takes gates, one channel a cycle, and gives them, one group a cycle, patch after patch for each row of the band.

    Members
    -------
    As those of :class:`ScaleFifo`, but for those that follow. There is no ``release``: patches are freed one by one.

    tile_valid : Out
        The patch that is read next has its gates. In rows after a band's first all have.
    passed, first_row, first_row_next : In
        The last beat of a patch is read in this row; it is the band's first row; so it is for the beat after.
    freed, again : In
        The patch is not read again; the band's first patch is read again.
    """

    def __init__(self, config):
        super().__init__(config, {name: In(1) for name in ("passed", "first_row", "first_row_next", "freed", "again")})

    def elaborate(self, platform):
        m = Module()
        config, places = self.config, Timing(self.config).gate_places
        m.submodules.ram = ram = Ram(width=self.layout.size, depth=places * config.groups)
        # Places that are taken; patches with gates that no first row has passed.
        taken, ahead = Signal(range(places + 1)), Signal(range(places + 1))
        safe, used = self._write(m, ram), self.passed & self.first_row
        m.d.comb += self.free.eq(taken != places)
        m.d.sync += [
            taken.eq(taken + self.take - self.freed),
            ahead.eq(ahead + safe - used),
            self.tile_valid.eq(~self.first_row_next | safe | (ahead > 1) | ((ahead == 1) & ~used)),
        ]
        self._read(m, ram, self._origin(m, places))
        return m

    def _origin(self, m, places):
        """The address of the gates of the patch that is read. The oldest patch's place is the band's first one."""
        groups = self.config.groups
        origin, oldest = Signal(range(places * groups)), Signal(range(places * groups))
        for pointer, step in ((oldest, self.freed), (origin, self.passed | self.freed)):
            with m.If(step):
                m.d.sync += pointer.eq(Mux(pointer == (places - 1) * groups, 0, pointer + groups))
        with m.If(self.passed & self.again):
            m.d.sync += origin.eq(oldest)
        return origin
