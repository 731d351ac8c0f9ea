# SPDX-License-Identifier: Apache-2.0
"""Order of work of the MAC units: which input of which layer goes in, cycle by cycle."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from .timing import Timing

__all__ = ["Issue", "Sequencer"]


class State(enum.Enum):
    """LAYER1 is also where the sequencer waits for a tile."""

    LAYER1 = 0
    GAP = 1
    LAYER2 = 2


class Issue(data.StructLayout):
    """An input of a layer on its way to the MAC units.

    ``first`` clears the accumulators, ``last`` hands ``outputs`` of them over; ``layer`` is 0 or 1; ``address`` is the
    word of the weight memory, ``index`` the input's number, ``group`` and ``lane`` its place in a word of sums (layer
    1).
    """

    def __init__(self, config):
        super().__init__({
            "first": 1, "last": 1, "layer": 1,
            "outputs": range(config.macs + 1),
            "address": range(weight_depth(config)),
            "index": range(max(config.channels, config.squeeze)),
            "group": range(config.groups),
            "lane": range(config.lanes),
        })


def weight_depth(config):
    """Words of the weight memory: one for each input of each pass."""
    return config.passes[0] * config.channels + config.passes[1] * config.squeeze


class Sequencer(wiring.Component):
    """Walks a tile through layer 1, the gap that the hidden vector's last values take, and layer 2.

    Members
    -------
    sums_valid : In
        A tile's sums can be read. Must hold until ``sums_read``.
    sums_read : Out
        The last sum is being addressed for the last time.
    gates_free : In
        The scale FIFO can take a tile's gates.
    gates_take : Out
        It will get one: layer 2 starts.
    o_valid, o : Out
        What goes to the MAC units in this cycle.
    start : Out
        The first input of a tile is issued.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "sums_valid": In(1), "sums_read": Out(1), "gates_free": In(1), "gates_take": Out(1), "start": Out(1),
            "o_valid": Out(1), "o": Out(Issue(config)),
        })

    def elaborate(self, platform):
        m = Module()
        timing = Timing(self.config)
        state = Signal(State)
        gap = Signal(range(timing.gap))
        # No other wait than for sums and for a place for gates, each at its layer's very start.
        tick = Signal()
        position = Signal(range(max(timing.pass_cycles)))
        done = self._layer(m, state, tick, position)

        with m.Switch(state):
            with m.Case(State.LAYER1):
                m.d.comb += [tick.eq(self.sums_valid), self.sums_read.eq(done)]
                with m.If(done):
                    m.d.sync += gap.eq(max(timing.gap - 2, 0))
                    m.d.sync += state.eq(State.GAP if timing.gap > 1 else State.LAYER2)
            with m.Case(State.GAP):
                m.d.sync += gap.eq(gap - 1)
                with m.If(gap == 0):
                    m.d.sync += state.eq(State.LAYER2)
            with m.Case(State.LAYER2):
                started = Signal()
                m.d.comb += [tick.eq(started | self.gates_free), self.gates_take.eq(tick & ~started)]
                m.d.sync += started.eq(tick & ~done)
                with m.If(done):
                    m.d.sync += state.eq(State.LAYER1)
        return m

    def _layer(self, m, state, tick, position):
        """Counters of a pass and of the passes of a layer; returns 'the layer's last input is issued'."""
        config = self.config
        timing = Timing(config)
        layer2 = state == State.LAYER2
        inputs = Signal(range(max(config.channels, config.squeeze) + 1))
        length = Signal(range(max(timing.pass_cycles) + 1))
        m.d.comb += [
            inputs.eq(Mux(layer2, config.squeeze, config.channels)),
            length.eq(Mux(layer2, timing.pass_cycles[1], timing.pass_cycles[0])),
        ]
        left = Signal(range(max(config.channels, config.squeeze) + 1), init=config.squeeze)
        last_pass, done = Signal(), Signal()
        m.d.comb += [
            last_pass.eq(left <= config.macs),
            self.o_valid.eq(tick & (position < inputs)),
            self.o.first.eq(position == 0),
            self.o.last.eq(position == inputs - 1),
            self.o.layer.eq(layer2),
            self.o.index.eq(position),
            self.o.outputs.eq(Mux(last_pass, left, config.macs)),
            self.start.eq(tick & (state == State.LAYER1) & (self.o.address == 0)),
            # The last pass has nothing to wait for at its end.
            done.eq(self.o_valid & self.o.last & last_pass),
        ]
        with m.If(tick):
            m.d.sync += position.eq(position + 1)
            with m.If((position == length - 1) | done):
                m.d.sync += [position.eq(0), left.eq(left - config.macs)]
            with m.If(done):
                m.d.sync += left.eq(Mux(layer2, config.squeeze, config.channels))
        self._addresses(m, done)
        return done

    def _addresses(self, m, done):
        config = self.config
        with m.If(self.o_valid):
            m.d.sync += [self.o.address.eq(self.o.address + 1), self.o.lane.eq(self.o.lane + 1)]
            with m.If(self.o.lane == config.lanes - 1):
                m.d.sync += [self.o.lane.eq(0), self.o.group.eq(self.o.group + 1)]
            with m.If(self.o.last):
                m.d.sync += [self.o.lane.eq(0), self.o.group.eq(0)]
        with m.If(done & self.o.layer):
            m.d.sync += self.o.address.eq(0)
