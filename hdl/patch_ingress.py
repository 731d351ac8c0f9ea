# SPDX-License-Identifier: Apache-2.0
"""Ingress for patches of several rows: decides when a beat may come, and when which sums go to excite."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import delay
from .patch_position import PatchPosition
from .queue import Queue
from .row_count import rows_shape
from .timing import BANDS_UNDER_WAY, Timing

__all__ = ["Band", "PatchIngress"]


class Band(data.StructLayout):
    """A finished band: its rows, less one, and what a finished tile has."""

    def __init__(self, config, address_shape):
        super().__init__({"end": address_shape, "single": 1, "last": 1, "rows": range(config.k)})


class PatchIngress(wiring.Component):
    """Decides one cycle ahead whether a beat may come: ``ready`` is a register.

    Patches end one after the other in a band's last row, or all at once if the frame ends before. Excite gets their
    sums in order: with the patch's end if it is free and has got all before, else later (``pending``). A patch's sums
    are overwritten with the end of the next band's first segment in its place, which waits for that.

    Members
    -------
    i_valid, i_last, ready, in_frame, error, clear, admit, room, tail, sums_free, busy
        As those of :class:`Ingress`.
    take, group, first_pixel, resumes, band_end : Out
        A beat is taken; its group in the pixel; whether it belongs to its segment's first pixel, and there goes on with
        the sums of rows before; it ends its band.
    flush, direct, flush_words, flush_end, send, send_end, read_start, reading_next : Out but the last
        To and from the sums of the band, see :class:`PatchSums`.
    rows, words : Out
        Of the patch whose sums go to excite: its rows, as in `rows_shape`; the number of groups that it has reached.
    tile_valid, tile, release : Out, Out, In
        The oldest finished band; all of it was read.
    """

    def __init__(self, config, address_shape, clearable=False):
        self.config, self.clearable = config, clearable
        words = range(config.groups + 1)
        super().__init__({
            "i_valid": In(1), "i_last": In(1), "ready": Out(1), "in_frame": Out(1), "error": Out(1), "admit": In(1),
            "room": In(1), "tail": In(address_shape), "sums_free": In(1), "busy": In(1),
            "take": Out(1), "group": Out(range(config.groups)), "first_pixel": Out(1), "resumes": Out(1),
            "band_end": Out(1),
            "flush": Out(1), "direct": Out(1), "flush_words": Out(words), "flush_end": Out(1),
            "send": Out(1), "send_end": Out(1), "read_start": Out(1), "reading_next": In(1),
            "rows": Out(rows_shape(config)), "words": Out(words),
            "tile_valid": Out(1), "tile": Out(Band(config, address_shape)), "release": In(1),
            **({"clear": In(1)} if clearable else {}),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.position = position = PatchPosition(self.config)
        goes_on = Signal()
        m.d.comb += [
            self.take.eq(self.i_valid & self.ready),
            position.i_valid.eq(self.take), position.i_last.eq(self.i_last),
            self.group.eq(position.group), self.first_pixel.eq(position.first_pixel),
            self.resumes.eq(position.first_pixel & ~position.first_row), self.band_end.eq(position.band_end),
            goes_on.eq(self.in_frame),
        ]
        with m.If(self.take):
            m.d.comb += goes_on.eq(~self.i_last)
        if self.clearable:
            with m.If(self.clear):
                m.d.sync += self.error.eq(0)
        with m.If(position.cut):
            m.d.sync += self.error.eq(1)
        m.d.sync += [
            self.in_frame.eq(goes_on),
            self.ready.eq(self.room & self._bands(m, position) & self._sums(m, position) & (goes_on | self.admit)),
        ]
        return m

    def _bands(self, m, position):
        """The queue of finished bands; returns 'there is room for one more, even if a band ends in this cycle'."""
        m.submodules.bands = bands = Queue(width=self.tile.shape().size, depth=BANDS_UNDER_WAY)
        count = Signal(range(BANDS_UNDER_WAY + 1))
        m.d.sync += count.eq(count + position.band_end - self.release)
        m.d.comb += [
            bands.i_valid.eq(position.band_end),
            bands.i.eq(Cat(self.tail, position.first_beat, self.i_last, position.band_rows)),
            self.tile_valid.eq(bands.o_valid), self.tile.as_value().eq(bands.o), bands.o_ready.eq(self.release),
        ]
        return ~((count == BANDS_UNDER_WAY) | ((count == BANDS_UNDER_WAY - 1) & position.band_end))

    def _sums(self, m, position):
        """Returns 'neither accumulator nor memory of the band's sums keeps a beat from coming in the next cycle'."""
        config, timing = self.config, Timing(self.config)
        # Patches that have ended and that excite has not got; the next one that it gets, counted from the left.
        pending, following = Signal(range(config.tiles_across + 1)), Signal(range(config.tiles_across))
        complete, none, closing = Signal(), Signal(), Signal()
        m.d.comb += [complete.eq(position.segment_end & position.last_row & ~position.cut), none.eq(pending == 0)]

        sent = [self.send]
        for i in range(timing.band_wait + 1):
            sent.append(delay(m, sent[-1], 1, name=f"sent_{i}", reset_less=False))
        # `sums_free` falls so many cycles after a patch is sent.
        free, direct = self.sums_free & ~Cat(sent[1:]).any(), Signal()
        m.d.comb += direct.eq(complete & free & none)
        flushes, waiting, goes_on = self._flush(m, position, none, following)
        m.d.sync += self.direct.eq(direct)

        # The first sum of a patch is read after it was written. A patch whose beats come has the memory first.
        written = ~Cat(flushes).any()
        m.d.comb += [
            self.read_start.eq(~none & free & written & ~(self.take & position.later_row_next)),
            self.send.eq(direct | self.read_start),
        ]
        self._next_patch(m, position, pending, following, closing, (complete, direct, none & ~waiting))
        goes_on &= ~(self.reading_next & position.later_row_next)
        if not timing.sums_in_time:
            goes_on &= ~position.segment_end
        return goes_on & ~(position.band_end & ~complete) & ~(closing & ~(none & ~waiting))

    def _flush(self, m, position, none, following):
        """Hand the sums of a finished segment to the memory of the band's sums.

        They wait until excite has got those that they overwrite, and those of a cut segment until its last sum is
        written. Returns the flushes of the last cycles whose sums are not yet written; 'sums wait'; 'the next segment's
        first pixel may overwrite them in the next cycle'.
        """
        config = self.config
        waiting, cut, first_row = Signal(), Signal(), Signal()
        patch = Signal(range(config.tiles_across))
        at_once, later = Signal(), Signal()

        def vacant(first_row, patch):
            return ~first_row | none | (patch < following)

        m.d.comb += [
            at_once.eq(vacant(position.first_row, position.patch) & ~position.cut),
            later.eq(waiting & vacant(first_row, patch) & ~(cut & self.busy)),
        ]
        m.d.sync += self.flush.eq((position.segment_end & at_once) | later)
        with m.If(later):
            m.d.sync += waiting.eq(0)
        with m.If(position.segment_end):
            m.d.sync += [waiting.eq(~at_once), cut.eq(position.cut), first_row.eq(position.first_row),
                         patch.eq(position.patch), self.flush_end.eq(position.band_end),
                         self.flush_words.eq(Mux(position.first_pixel, position.group + 1, config.groups))]
        flushes = [self.flush]
        for i in range(Timing(config).band_sums_latency - 1):
            flushes.append(delay(m, flushes[-1], 1, name=f"flush_{i}", reset_less=False))
        return flushes, waiting, Mux(position.segment_end, at_once, ~waiting | later)

    def _next_patch(self, m, position, pending, following, closing, events):
        """Which patch excite gets next, and how many rows and groups it has; how many others have ended."""
        config = self.config
        complete, direct, may_close = events
        # Of the band whose patches go to excite: its rows, less one; the number of its patches, and the groups that the
        # last one has reached. Both are less than all only if the frame ends in the band's first row.
        full = (config.k - 1, config.tiles_across, config.groups)
        shapes = (range(config.k), range(config.tiles_across + 1), range(config.groups + 1))
        names = ("rows", "patches", "words")
        band = [Signal(shape, init=value, name=f"band_{name}")
                for shape, value, name in zip(shapes, full, names, strict=True)]
        ended = [Signal(shape, name=f"ended_{name}") for shape, name in zip(shapes, names, strict=True)]
        rows, patches, words = band
        last = following + 1 == patches
        narrow = (following == config.tiles_across - 1) & (config.last_columns != config.columns)
        m.d.comb += self.send_end.eq(last)
        m.d.sync += pending.eq(pending + (complete & ~direct) - self.read_start)
        with m.If(self.send):
            m.d.sync += [following.eq(Mux(last, 0, following + 1)), self.rows.eq(rows + Mux(narrow, config.k, 0)),
                         self.words.eq(Mux(last, words, config.groups))]
            with m.If(last):
                m.d.sync += [signal.eq(value) for signal, value in zip(band, full, strict=True)]
        # A band that ends early waits until excite has got the one before, and the accumulator's sums have gone.
        with m.If(closing & may_close):
            m.d.sync += [closing.eq(0), pending.eq(ended[1] - following)]
            m.d.sync += [signal.eq(value) for signal, value in zip(band, ended, strict=True)]
        with m.If(position.band_end & ~complete):
            m.d.sync += [closing.eq(1), ended[0].eq(position.band_rows), ended[1].eq(config.tiles_across),
                         ended[2].eq(config.groups)]
            with m.If(position.first_row):
                m.d.sync += ended[1].eq(position.patch + 1)
                with m.If(position.first_pixel):
                    m.d.sync += ended[2].eq(position.group + 1)
