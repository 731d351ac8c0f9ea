# SPDX-License-Identifier: Apache-2.0
"""The window of 3 x 3 pixels around each pixel of a stream of rows, with zeros around the frame."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .beats import beats, counter, lanes_of

__all__ = ["Delay", "Window"]


class Delay(wiring.Component):
    """``o`` is the word that was ``i`` `depth` advances ago. A RAM holds the words, or, if there is one, a register.

    The RAM's word is read an advance before it is needed, so ``o`` is there when ``advance`` comes.
    """

    def __init__(self, width, depth):
        self.depth = depth
        super().__init__({"advance": In(1), "i": In(width), "o": Out(width)})

    def elaborate(self, platform):
        m = Module()
        if self.depth == 1:
            with m.If(self.advance):
                m.d.sync += self.o.eq(self.i)
            return m
        m.submodules.ram = ram = memory.Memory(shape=len(self.i), depth=self.depth, init=[])
        write, read = ram.write_port(), ram.read_port()
        place, last = counter(m, self.depth, self.advance, name="place")
        m.d.comb += [
            write.en.eq(self.advance), write.addr.eq(place), write.data.eq(self.i),
            read.en.eq(self.advance), read.addr.eq(Mux(last, 0, place + 1)), self.o.eq(read.data),
        ]
        return m


class Window(wiring.Component):
    """Beats in, windows out: one for each beat, one a cycle.

    The window of a beat is complete when the beat below it and to the right of it has come, a row and a pixel later.
    If the next frame is there by then, its beats push the last windows out, and no cycle is lost. If the input pauses
    after a frame, the component takes as many beats of nothing, and then the next frame.

    Parameters
    ----------
    width, groups, lanes : int
        Pixels of a row, 2 at least, beats of a pixel, channels of a beat.
    zero : int
        The integer that stands for 0, around the frame.

    Members
    -------
    i : In(beats(lanes))
        Frames of one row at least, of whole rows.
    o : Out(stream)
        ``taps`` are the nine beats, row by row. ``last`` is that of the window's middle.
    error : Out
        Sticky: ``last`` came off a row's end. What follows is wrong until reset.
    """

    def __init__(self, width, groups, lanes, zero):
        self.width, self.groups, self.lanes, self.zero = width, groups, lanes, zero
        super().__init__({
            "i": In(beats(lanes)),
            "o": Out(stream.Signature(data.StructLayout({
                "taps": data.ArrayLayout(lanes_of(8, lanes), 9), "last": 1}))),
            "error": Out(1),
        })

    @property
    def behind(self):
        """Beats between a beat and its window."""
        return (self.width + 1) * self.groups

    def elaborate(self, platform):
        m = Module()
        advance, take, give = Signal(), Signal(), Signal()
        flushing, full = self._phases(m, advance, take)
        m.d.comb += [
            self.o.valid.eq((self.i.valid | flushing) & full),
            self.i.ready.eq(~flushing & (self.o.ready | ~full)),
            advance.eq((self.i.valid | flushing) & (self.o.ready | ~full)),
            take.eq(self.i.valid & self.i.ready), give.eq(self.o.valid & self.o.ready),
        ]
        left, right, top, bottom = self._edges(m, take, give)
        outside = {0: (top, left), 1: (top,), 2: (top, right), 3: (left,), 5: (right,),
                   6: (bottom, left), 7: (bottom,), 8: (bottom, right)}
        zeros = sum((self.zero & 255) << 8 * lane for lane in range(self.lanes))
        for number, tap in enumerate(self._taps(m, advance)):
            edges = Cat(*outside.get(number, ()))
            m.d.comb += self.o.p.taps[number].as_value().eq(Mux(edges.any(), zeros, tap))
        return m

    def _phases(self, m, advance, take):
        """Returns 'beats of nothing come' and 'a window is complete with the next beat'."""
        flushing, ended, full = Signal(), Signal(), Signal()
        held, left = Signal(range(self.behind)), Signal(range(self.behind))
        with m.If(advance & ~full):
            m.d.sync += [held.eq(held + 1), full.eq(held == self.behind - 1)]
        with m.If(take):
            m.d.sync += [ended.eq(self.i.p.last), left.eq(self.behind - 1)]
        with m.Elif(ended & ~self.i.valid):
            m.d.sync += flushing.eq(1)
        with m.If(flushing & advance):
            m.d.sync += left.eq(left - 1)
            with m.If(left == 0):
                m.d.sync += [flushing.eq(0), ended.eq(0), full.eq(0), held.eq(0)]
        return flushing, full

    def _edges(self, m, take, give):
        """Whether the window reaches beyond the frame: on the left, on the right, above, below."""
        row = self.width * self.groups
        # Of the newest row that is complete in the input: it is the frame's last one.
        final, last_row = Signal(), Signal()
        _, row_end = counter(m, row, take, take & self.i.p.last, name="input_beat")
        with m.If(take & row_end):
            m.d.sync += final.eq(self.i.p.last)
        with m.If(take & self.i.p.last & ~row_end):
            m.d.sync += self.error.eq(1)
        _, pixel_end = counter(m, self.groups, give, name="group")
        pixel, right = counter(m, self.width, give & pixel_end, name="pixel")
        top, bottom, row_start = Signal(init=1), Signal(), Signal(init=1)
        # `final` is this row's until the next one is complete, which is after this one's first window.
        m.d.comb += [bottom.eq(Mux(row_start, final, last_row)), self.o.p.last.eq(bottom & right & pixel_end)]
        with m.If(give):
            m.d.sync += [last_row.eq(bottom), row_start.eq(right & pixel_end)]
            with m.If(right & pixel_end):
                m.d.sync += top.eq(bottom)
        return pixel == 0, right, top, bottom

    def _taps(self, m, advance):
        """The nine beats around the middle, row by row."""
        column = [self.i.p.lanes.as_value()]
        for name in ("row_1", "row_2"):
            column.append(self._delay(m, name, column[-1], self.width * self.groups, advance))
        # From the top; the newest pixel is the right one.
        columns = [Cat(*column[::-1])]
        for name in ("column_1", "column_2"):
            columns.append(self._delay(m, name, columns[-1], self.groups, advance))
        bits = 8 * self.lanes
        return [columns[2 - x][bits * y:bits * (y + 1)] for y in range(3) for x in range(3)]

    @staticmethod
    def _delay(m, name, value, depth, advance):
        m.submodules[name] = line = Delay(len(value), depth)
        m.d.comb += [line.advance.eq(advance), line.i.eq(value)]
        return line.o
