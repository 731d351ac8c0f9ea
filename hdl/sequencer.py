# SPDX-License-Identifier: Apache-2.0
"""Order of work of the MAC units: which input of which layer goes in, cycle by cycle."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .timing import Timing

__all__ = ["Issue", "Sequencer"]


class Issue(data.StructLayout):
    """An input of a layer on its way to the MAC units.

    ``last`` ends a pass, and ``outputs`` accumulators are handed over; ``layer`` is 0 or 1; ``address`` is the word of
    the weight memory, ``index`` the input's number, ``group`` and ``lane`` its place in a word of sums (layer 1).
    """

    def __init__(self, config):
        super().__init__({
            "last": 1, "layer": 1,
            "outputs": range(config.macs + 1),
            "address": range(config.weight_depth),
            "index": range(max(config.channels, config.squeeze)),
            "group": range(config.groups),
            "lane": range(config.lanes),
        })


class Sequencer(wiring.Component):
    """Walks a tile through layer 1, the gap that the hidden vector's last values take, and layer 2.

    All that is compared is compared a cycle ahead: the counters' ends, and whether an input is issued at all, are
    registers of their own.

    Members
    -------
    sums_valid : In
        A tile's sums can be read from the next cycle on. Must hold until ``start``.
    start : Out
        Layer 1 starts in the next cycle.
    sums_read : Out
        The last sum is being issued for the last time.
    gates_free : In
        The scale FIFO can take a tile's gates.
    gates_take : Out
        It will get one: layer 2 starts in the next cycle.
    o_valid, o : Out
        What goes to the MAC units, a cycle after it is issued.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "sums_valid": In(1), "start": Out(1), "sums_read": Out(1), "gates_free": In(1), "gates_take": Out(1),
            "o_valid": Out(1), "o": Out(Issue(config)),
        })

    def elaborate(self, platform):
        m = Module()
        timing = Timing(self.config)
        # No other wait than for sums and for a place for gates, each before its layer's very start.
        running, layer2, gap_over = Signal(), Signal(), Signal()
        gap = Signal(range(timing.gap))
        done = self._layer(m, running, layer2)
        m.d.comb += [
            self.start.eq(~running & ~layer2 & self.sums_valid),
            self.gates_take.eq(~running & layer2 & gap_over & self.gates_free),
            self.sums_read.eq(done & ~layer2),
        ]
        with m.If(self.start | self.gates_take):
            m.d.sync += running.eq(1)
        with m.If(done):
            m.d.sync += [running.eq(0), layer2.eq(~layer2), gap.eq(timing.gap - 2), gap_over.eq(timing.gap == 2)]
        with m.Elif(~gap_over):
            m.d.sync += [gap.eq(gap - 1), gap_over.eq(gap == 1)]
        return m

    def _layer(self, m, running, layer2):
        """Counters of a pass and of the passes of a layer; returns 'the layer's last input is being issued'."""
        config, cycles = self.config, Timing(self.config).pass_cycles
        inputs = (config.channels, config.squeeze)
        position = Signal(range(max(cycles)))
        # Of the present position: an input; the last one; that of the last pass; the last position of the pass, which
        # for the last pass, with nothing to wait for behind it, is its last input.
        only = [n == 1 for n in inputs]
        single = [p == 1 for p in config.passes]
        real, last_input = Signal(init=1), Signal(init=only[0])
        finish, end = Signal(init=only[0] and single[0]), Signal(init=cycles[0] == 1 or (only[0] and single[0]))
        done, pass_end = Signal(), Signal()
        m.d.comb += [done.eq(running & finish), pass_end.eq(running & end)]
        last_pass, next_last, outputs = self._passes(m, pass_end, done, layer2)

        def either(values):
            """The present layer's of two constants."""
            return Mux(layer2, values[1], values[0])

        ending = position == either([n - 2 for n in inputs])
        with m.If(running):
            m.d.sync += [
                position.eq(position + 1), last_input.eq(ending), finish.eq(ending & last_pass),
                end.eq((position == either([n - 2 for n in cycles])) | (ending & last_pass)),
            ]
            with m.If(last_input):
                m.d.sync += real.eq(0)
        with m.If(pass_end):
            m.d.sync += [position.eq(0), real.eq(1), last_input.eq(either(only)), finish.eq(either(only) & next_last),
                         end.eq(either([n == 1 for n in cycles]) | (either(only) & next_last))]
        with m.If(done):
            m.d.sync += [flag.eq(Mux(layer2, *values)) for flag, values in (
                (last_input, only), (finish, [o and s for o, s in zip(only, single, strict=True)]),
                (end, [n == 1 or (o and s) for n, o, s in zip(cycles, only, single, strict=True)]))]
        o = self.o
        m.d.sync += [
            self.o_valid.eq(running & real), o.last.eq(last_input), o.layer.eq(layer2), o.index.eq(position),
            o.outputs.eq(outputs),
        ]
        self._addresses(m, running & real, pass_end, done & layer2)
        return done

    def _passes(self, m, pass_end, done, layer2):
        """Counts a layer's passes.

        Returns 'this is the last one', 'the next one of the layer will be', and how many outputs the present one has.
        """
        config = self.config
        left = Signal(range(max(config.passes) + 1), init=config.passes[0])
        last_pass = Signal(init=config.passes[0] == 1)
        next_last = left == 2
        with m.If(pass_end):
            m.d.sync += [left.eq(left - 1), last_pass.eq(next_last)]
        with m.If(done):
            m.d.sync += [left.eq(Mux(layer2, *config.passes)),
                         last_pass.eq(Mux(layer2, *(p == 1 for p in config.passes)))]
        rest = [outputs - (passes - 1) * config.macs
                for outputs, passes in zip((config.squeeze, config.channels), config.passes, strict=True)]
        return last_pass, next_last, Mux(last_pass, Mux(layer2, rest[1], rest[0]), config.macs)

    def _addresses(self, m, issue, pass_end, tile_end):
        """The weights' address, and the place of a sum, of the input that is being issued."""
        config = self.config
        address, group = Signal.like(self.o.address), Signal.like(self.o.group)
        lane = Signal.like(self.o.lane)
        last_lane = Signal(init=config.lanes == 1)
        m.d.sync += [self.o.address.eq(address), self.o.group.eq(group), self.o.lane.eq(lane)]
        with m.If(issue):
            m.d.sync += [address.eq(address + 1), lane.eq(Mux(last_lane, 0, lane + 1)),
                         last_lane.eq(lane == config.lanes - 2 if config.lanes > 1 else 1)]
            with m.If(last_lane):
                m.d.sync += group.eq(group + 1)
        with m.If(pass_end):
            m.d.sync += [lane.eq(0), last_lane.eq(config.lanes == 1), group.eq(0)]
        with m.If(tile_end):
            m.d.sync += address.eq(0)
