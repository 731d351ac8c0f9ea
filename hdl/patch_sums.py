# SPDX-License-Identifier: Apache-2.0
"""The sums of a band of patches: those of the segment that comes, and those of all patches of the band."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .accumulate import Accumulator
from .arithmetic import counter, delay
from .ram import Ram
from .timing import Timing

__all__ = ["PatchSums"]


class PatchSums(wiring.Component):
    """Adds up each channel of each patch of a band.

    The accumulator goes on from row to row: a segment's first pixel is added to what a memory holds of its patch, and
    the segment's sums go back into that memory while the next segment's first pixel comes. With a band's last row the
    sums go to excite at the same time, if it is free. Else they are read from the memory later, as are all patches of
    a frame that ends before its band's last row.

    All addresses only count, as segments come, end and are read in their order.

    Members
    -------
    i_valid, i_group, i_first : In
        A beat is taken; its group in the pixel; whether it belongs to its segment's first pixel.
    i_resumes, i_end : In
        The beat belongs to a segment's first pixel in another row than the first; it ends its band.
    i_data : In
        The beat's channels in the signed range, a cycle later.
    flush, direct, words, end : In
        The segment that has ended goes to the memory; and to excite; only so many of its groups have new sums; it was
        its band's last.
    send, send_end : In
        The oldest patch that excite has not got goes there; it is its band's last.
    read_start, reading_next : In, Out
        It is read from the memory from the next cycle on; a patch is being read in the next cycle.
    busy : Out
        A sum is on its way into the accumulator, or into the memory.
    o_start, o_valid, o_group, o_sums : Out
        To excite: sums come from ``ram_latency(groups)`` cycles later on; the sums, one group a cycle.
    """

    def __init__(self, config):
        self.config = config
        layout = data.ArrayLayout(signed(config.sum_bits), config.lanes)
        super().__init__({
            "i_valid": In(1), "i_group": In(range(config.groups)), "i_first": In(1), "i_resumes": In(1), "i_end": In(1),
            "i_data": In(data.ArrayLayout(signed(config.data.bits), config.lanes)),
            "flush": In(1), "direct": In(1), "words": In(range(config.groups + 1)), "end": In(1),
            "send": In(1), "send_end": In(1), "read_start": In(1), "reading_next": Out(1), "busy": Out(1),
            "o_start": Out(1), "o_valid": Out(1), "o_group": Out(range(config.groups)), "o_sums": Out(layout),
        })

    def elaborate(self, platform):
        m = Module()
        config, wait = self.config, Timing(self.config).band_wait
        depth = config.tiles_across * config.groups
        m.submodules.accumulate = accumulate = Accumulator(config, resumes=True)
        m.submodules.ram = ram = Ram(width=accumulate.sums_layout.size, depth=depth)
        taken, _ = counter(m, depth, self.i_valid & self.i_first, self.i_end, name="taken")
        reading, address, group = self._read(m, depth)

        # The accumulator's memory has fewer words, and may be faster: all that it gets waits for the difference.
        valid = [self.i_valid]
        for i in range(wait):
            valid.append(delay(m, valid[-1], 1, name=f"valid_{i}", reset_less=False))
        m.d.comb += [
            accumulate.i_valid.eq(valid[-1]),
            accumulate.i_group.eq(delay(m, self.i_group, wait, name="group")),
            accumulate.i_first.eq(delay(m, self.i_first, wait, name="first")),
            accumulate.i_data.as_value().eq(delay(m, self.i_data.as_value(), wait, name="beat")),
            accumulate.flush.eq(delay(m, self.flush, wait, name="flush", reset_less=False)),
            self.busy.eq(accumulate.busy | accumulate.copying | Cat(valid[1:]).any()),
        ]
        fresh = delay(m, ~self.i_resumes, ram.latency, name="fresh")
        write = self._write(m, accumulate, wait)
        direct = write["direct"]
        written, _ = counter(m, depth, accumulate.o_valid, write["clear"], name="written")
        m.d.comb += [
            ram.re.eq((self.i_valid & self.i_resumes) | reading), ram.raddr.eq(Mux(reading, address, taken)),
            accumulate.i_sums.as_value().eq(Mux(fresh, 0, ram.rdata)),
            ram.we.eq(accumulate.o_valid & write["new"]), ram.waddr.eq(written),
            ram.wdata.eq(accumulate.o_sums.as_value()),
        ]
        arrives = delay(m, reading, ram.latency, name="reading", reset_less=False)
        start = self.flush & self.direct | delay(m, self.read_start, 1, name="read_start", reset_less=False)
        m.d.comb += [
            self.o_start.eq(delay(m, start, wait, name="start", reset_less=False)),
            self.o_valid.eq(arrives | (accumulate.o_valid & direct)),
            self.o_group.eq(Mux(arrives, delay(m, group, ram.latency, name="read_group"), accumulate.o_group)),
            self.o_sums.as_value().eq(Mux(arrives, ram.rdata, accumulate.o_sums.as_value())),
        ]
        return m

    def _read(self, m, depth):
        """Read a patch's sums for excite; returns whether a group is read, its address and its number."""
        config = self.config
        reading, address, origin = Signal(), Signal(range(depth)), Signal(range(depth))
        group, last = counter(m, config.groups, reading, name="read_group")
        m.d.comb += self.reading_next.eq(self.read_start | (reading & ~last))
        m.d.sync += [reading.eq(self.reading_next), address.eq(Mux(self.read_start, origin, address + 1))]
        with m.If(self.send):
            m.d.sync += origin.eq(Mux(self.send_end, 0, origin + config.groups))
        return reading, address, group

    def _write(self, m, accumulate, wait):
        """What is known of the segment whose sums leave the accumulator.

        ``direct``: excite gets them; ``new``: this group's sum is one of its own; ``clear``: its band's last leaves.
        """
        config, late = self.config, wait + accumulate.latency
        begins = delay(m, self.flush, late, name="begins", reset_less=False)
        now = {}
        for name in ("direct", "words", "end"):
            arrived = delay(m, getattr(self, name), late, name=f"{name}_arrives")
            held = Signal.like(arrived, name=f"{name}_held")
            now[name] = Signal.like(arrived, name=f"{name}_now")
            m.d.comb += now[name].eq(Mux(begins, arrived, held))
            m.d.sync += held.eq(now[name])
        last = accumulate.o_group == config.groups - 1
        return {"direct": now["direct"], "new": accumulate.o_group < now["words"],
                "clear": accumulate.o_valid & last & now["end"]}
