# SPDX-License-Identifier: Apache-2.0
"""The order in which the layers' inputs go to the MAC units, cycle by cycle."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .timing import Timing

__all__ = ["Issue", "Sequencer"]


class Issue(data.StructLayout):
    """An input of a layer on its way to the MAC units.

    ``last`` ends a pass, after which ``outputs`` accumulators leave; ``layer`` is 0 or 1; ``address`` is the word of
    the weight memory, ``index`` the input's number, ``group`` and ``lane`` its place in the memory of sums (layer 1).
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
    """Issues the inputs of layer 1, waits until layer 2's first inputs are in time, and issues those of layer 2.

    The results of all comparisons (where a counter ends, whether an input is issued) are registers, computed a cycle
    ahead, so that no comparison is in the path from a counter to its use.

    Members
    -------
    sums_valid : In
        A tile's sums can be read from the next cycle on. Must hold until ``start``.
    start : Out
        Layer 1 starts in the next cycle.
    sums_read : Out
        The last sum is issued in this cycle, and not again.
    gates_free : In
        The scale FIFO can take a tile's gates.
    gates_take : Out
        The place is taken: layer 2 starts in the next cycle.
    o_valid, o : Out
        An input on its way to the MAC units, a cycle after its issue.
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
        # A layer waits only before its first input: layer 1 for sums, layer 2 for a place for gates.
        running, layer2, gap_over = Signal(), Signal(), Signal()
        gap = Signal(range(timing.gap))
        layer_done = self._layer(m, running, layer2)
        m.d.comb += [
            self.start.eq(~running & ~layer2 & self.sums_valid),
            self.gates_take.eq(~running & layer2 & gap_over & self.gates_free),
            self.sums_read.eq(layer_done & ~layer2),
        ]
        with m.If(self.start | self.gates_take):
            m.d.sync += running.eq(1)
        with m.If(layer_done):
            m.d.sync += [running.eq(0), layer2.eq(~layer2), gap.eq(timing.gap - 2), gap_over.eq(timing.gap == 2)]
        with m.Elif(~gap_over):
            m.d.sync += [gap.eq(gap - 1), gap_over.eq(gap == 1)]
        return m

    def _layer(self, m, running, layer2):
        """Counts a pass's positions and a layer's passes; returns 'the layer's last input is issued in this cycle'."""
        config, cycles = self.config, Timing(self.config).pass_cycles
        inputs = (config.channels, config.squeeze)
        position = Signal(range(max(cycles)))
        # Registers about the current position: it has an input; that input is the pass's last, or the layer's last; the
        # position is the pass's last. A layer's last pass ends with its last input, as no pass follows.
        single_input = [n == 1 for n in inputs]
        single_pass = [p == 1 for p in config.passes]
        has_input, last_input = Signal(init=1), Signal(init=single_input[0])
        layer_end = Signal(init=single_input[0] and single_pass[0])
        pass_end = Signal(init=cycles[0] == 1 or (single_input[0] and single_pass[0]))
        layer_done, pass_done = Signal(), Signal()
        m.d.comb += [layer_done.eq(running & layer_end), pass_done.eq(running & pass_end)]
        last_pass, next_last, outputs = self._passes(m, pass_done, layer_done, layer2)

        def either(values):
            """Of two constants, the current layer's."""
            return Mux(layer2, values[1], values[0])

        ending = position == either([n - 2 for n in inputs])
        with m.If(running):
            m.d.sync += [
                position.eq(position + 1), last_input.eq(ending), layer_end.eq(ending & last_pass),
                pass_end.eq((position == either([n - 2 for n in cycles])) | (ending & last_pass)),
            ]
            with m.If(last_input):
                m.d.sync += has_input.eq(0)
        with m.If(pass_done):
            m.d.sync += [
                position.eq(0), has_input.eq(1), last_input.eq(either(single_input)),
                layer_end.eq(either(single_input) & next_last),
                pass_end.eq(either([n == 1 for n in cycles]) | (either(single_input) & next_last)),
            ]
        with m.If(layer_done):
            m.d.sync += [flag.eq(Mux(layer2, *values)) for flag, values in (
                (last_input, single_input),
                (layer_end, [o and s for o, s in zip(single_input, single_pass, strict=True)]),
                (pass_end, [n == 1 or (o and s) for n, o, s in zip(cycles, single_input, single_pass, strict=True)]))]
        o = self.o
        m.d.sync += [
            self.o_valid.eq(running & has_input), o.last.eq(last_input), o.layer.eq(layer2), o.index.eq(position),
            o.outputs.eq(outputs),
        ]
        self._addresses(m, running & has_input, pass_done, layer_done & layer2)
        return layer_done

    def _passes(self, m, pass_done, layer_done, layer2):
        """Counts a layer's passes.

        Returns 'this is the last one', 'the next one is the last one', and how many outputs the current one has.
        """
        config = self.config
        left = Signal(range(max(config.passes) + 1), init=config.passes[0])
        last_pass = Signal(init=config.passes[0] == 1)
        next_last = left == 2
        with m.If(pass_done):
            m.d.sync += [left.eq(left - 1), last_pass.eq(next_last)]
        with m.If(layer_done):
            m.d.sync += [left.eq(Mux(layer2, *config.passes)),
                         last_pass.eq(Mux(layer2, *(p == 1 for p in config.passes)))]
        rest = [outputs - (passes - 1) * config.macs
                for outputs, passes in zip((config.squeeze, config.channels), config.passes, strict=True)]
        return last_pass, next_last, Mux(last_pass, Mux(layer2, rest[1], rest[0]), config.macs)

    def _addresses(self, m, issue, pass_done, tile_end):
        """The weights' address, and the place of the sum, for the input that is issued."""
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
        with m.If(pass_done):
            m.d.sync += [lane.eq(0), last_lane.eq(config.lanes == 1), group.eq(0)]
        with m.If(tile_end):
            m.d.sync += address.eq(0)
