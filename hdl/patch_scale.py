# SPDX-License-Identifier: Apache-2.0
"""Scale for patches of several rows: it reads a band's rows, and knows which patch's gates each beat needs."""

from amaranth.hdl import Mux, Signal
from amaranth.lib.wiring import In, Out

from .patch_ingress import Band
from .patch_position import PatchPosition
from .scale import Scale

__all__ = ["PatchScale"]


class PatchScale(Scale):
    """Reads patches from the tile buffer, row by row, and multiplies them by their gates.

    A patch's gates are computed after its last beat came, and those of a band that ends early after the band has ended.
    So the beats of a patch that has gates are in the tile buffer, and so are those of all later rows: they are read
    after the gates of all patches. For the same reasons a band's record has come before the band's end is read.

    Members
    -------
    As those of :class:`Scale`, but for:

    tile_valid : In
        The patch that is read next has its gates.
    band_valid, tile : In
        The band that is read has ended; where.
    passed, first_row, first_row_next, again : Out
        To the gates, see :class:`PatchGates`.
    freed : Out
        A patch is not read again.
    skipping : Out
        Patches that a cut frame's last row has not reached are passed; nothing is read.
    """

    def __init__(self, config, address_shape):
        super().__init__(config, address_shape, Band(config, address_shape), band_valid=In(1), passed=Out(1),
                         first_row=Out(1), first_row_next=Out(1), again=Out(1), freed=Out(1), skipping=Out(1))

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.submodules.position = position = PatchPosition(self.config)
        last_row = position.last_row | (self.band_valid & (position.band_rows == self.tile.rows))
        m.d.comb += [
            position.i_valid.eq(self.read), position.i_last.eq(self.release),
            self.passed.eq(position.segment_end), self.first_row.eq(position.first_row),
            self.first_row_next.eq(self.release | (position.first_row & ~position.row_end)),
            self.again.eq(position.row_end & ~last_row),
            self.freed.eq((position.segment_end & last_row) | self.skipping),
        ]
        # A band's first row may be cut, too. Then the patches to the right don't exist.
        last = self.config.tiles_across - 1
        skipped = Signal(range(self.config.tiles_across))
        with m.If(self.skipping):
            m.d.sync += [skipped.eq(skipped + 1), self.skipping.eq(skipped != last)]
        with m.If(self.release):
            m.d.sync += [skipped.eq(position.patch + 1), self.skipping.eq(~position.last_patch & ~position.first_row)]
        return m

    def _at_end(self, m):
        # Until a band's record comes, that of an older band may stand there. Its end is not met: until then only words
        # of the band's first row are read, which are fewer than the buffer has.
        at_band_start, compared = Signal(init=1), Signal()
        with m.If(self.read):
            m.d.sync += [at_band_start.eq(self.release), compared.eq(self.ahead == self.tile.end)]
        return Mux(at_band_start, self.band_valid & self.tile.single, compared)
