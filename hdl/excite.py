# SPDX-License-Identifier: Apache-2.0
"""Excite: from a tile's sums to its gates, with one set of MAC units for both layers."""

from amaranth.hdl import Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import delay
from .gate import GateStage
from .mac import MacArray
from .means import Means
from .mid import MidStage
from .ram import Ram
from .requantise import Record, Requantise
from .sequencer import Issue, Sequencer, weight_depth
from .timing import ISSUE_TO_READ, Timing

__all__ = ["Excite"]


class Excite(wiring.Component):
    """Takes a tile's sums a group a cycle, gives its gates a channel a cycle, in order.

    Sums are held in a memory of their own while layer 1 reads them (once a pass); meanwhile the accumulator is free for
    the next tile.

    Members
    -------
    sums_free : Out
        The memory of sums may be written from the next cycle on.
    i_start, i_rows : In
        The next cycle brings a tile's first sums; its rows, less one.
    i_valid, i_group, i_sums : In
        Sums, all groups in order without a pause.
    weight_address, record_address : Out
    weights, record : In
        From the parameter memories, a cycle after their address.
    gates_free, gates_take : In, Out
        The scale FIFO has a place for a tile; it is taken.
    o_valid, o : Out
        Gates.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "sums_free": Out(1), "i_start": In(1), "i_rows": In(range(config.k)),
            "i_valid": In(1), "i_group": In(range(config.groups)),
            "i_sums": In(data.ArrayLayout(signed(config.sum_bits), config.lanes)),
            "weight_address": Out(range(weight_depth(config))),
            "weights": In(data.ArrayLayout(signed(8), config.macs)),
            "record_address": Out(range(config.squeeze + config.channels)), "record": In(Record(config)),
            "gates_free": In(1), "gates_take": Out(1),
            "o_valid": Out(1), "o": Out(unsigned(config.gate_bits)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.sequencer = sequencer = Sequencer(config)
        m.d.comb += [sequencer.gates_free.eq(self.gates_free), self.gates_take.eq(sequencer.gates_take)]
        mean = self._sums(m, sequencer)
        requantise = self._multiply(m, sequencer, mean)
        self._activate(m, requantise)
        return m

    @staticmethod
    def _tap(m, stage, valid, index, value):
        """Name a stage's results for the bench; nothing in the block reads them, so they cost nothing in hardware."""
        for name, source in (("valid", valid), ("index", index), ("data", value)):
            source = Value.cast(source)
            tap = Signal(source.shape(), name=f"tap_{stage}_{name}", attrs={"keep": 1})
            m.d.comb += tap.eq(source)

    def _sums(self, m, sequencer):
        """The memory of sums and the way from it to the operand."""
        m.submodules.sums_ram = sums = Ram(width=self.i_sums.shape().size, depth=self.config.groups)
        m.submodules.means = means = Means(self.config)
        held = Signal()
        waiting_rows, rows = Signal.like(self.i_rows), Signal.like(self.i_rows)
        first_valid = delay(m, self.i_start, 1, name="first_valid", reset_less=False)
        m.d.comb += [
            self.sums_free.eq(~held | sequencer.sums_read),
            sums.we.eq(self.i_valid), sums.waddr.eq(self.i_group), sums.wdata.eq(self.i_sums),
            sums.re.eq(sequencer.o_valid & ~sequencer.o.layer), sums.raddr.eq(sequencer.o.group),
            means.lane.eq(sequencer.o.lane), means.rows.eq(rows), means.sums.eq(sums.rdata),
        ]
        self._tap(m, "sums", self.i_valid, self.i_group, self.i_sums)
        with m.If(sequencer.sums_read):
            m.d.sync += [held.eq(0), sequencer.sums_valid.eq(0)]
        with m.If(self.i_start):
            m.d.sync += [held.eq(1), waiting_rows.eq(self.i_rows)]
        with m.If(first_valid):
            m.d.sync += sequencer.sums_valid.eq(1)
        # The next tile's rows arrive while the last means of this one are still being made.
        with m.If(sequencer.start):
            m.d.sync += rows.eq(waiting_rows)
        return means.o

    def _multiply(self, m, sequencer, mean):
        """Operand and weights to the MAC units, accumulators to requantisation."""
        config = self.config
        m.submodules.mac = mac = MacArray(config)
        m.submodules.requantise = requantise = Requantise(config)
        m.submodules.hidden_ram = hidden = Ram(width=config.hidden_bits, depth=config.squeeze)
        m.submodules.mid = mid = MidStage(config)
        issue = data.View(Issue(config), delay(m, sequencer.o.as_value(), ISSUE_TO_READ, name="issue"))
        valid = delay(m, sequencer.o_valid, ISSUE_TO_READ, name="valid", reset_less=False)
        value = hidden.rdata.as_signed() if config.mid.signed else hidden.rdata
        now = data.View(Issue(config), delay(m, issue.as_value(), 1, name="now"))
        m.d.comb += [
            self.weight_address.eq(issue.address), hidden.raddr.eq(issue.index), hidden.re.eq(valid & issue.layer),
            mac.i_valid.eq(delay(m, valid, 1, name="operand_valid", reset_less=False)),
            mac.i_first.eq(now.first), mac.i_last.eq(now.last), mac.i_outputs.eq(now.outputs),
            mac.i_operand.eq(Mux(now.layer, value, mean)), mac.i_weights.eq(self.weights),
            requantise.i_valid.eq(mac.o_valid), requantise.i.eq(mac.o),
            self.record_address.eq(requantise.record_address), requantise.record.eq(self.record),
        ]
        self._tap(m, "means", mac.i_valid & ~now.layer, now.index, mean)
        latency = Timing(config).mid_latency
        m.d.comb += [
            mid.i.eq(requantise.o), hidden.wdata.eq(mid.o),
            hidden.we.eq(delay(m, requantise.o_valid & ~requantise.o_layer, latency, name="hidden_valid",
                               reset_less=False)),
            hidden.waddr.eq(delay(m, requantise.o_index, latency, name="hidden_index")),
        ]
        self._tap(m, "hidden", hidden.we, hidden.waddr, hidden.wdata)
        return requantise

    def _activate(self, m, requantise):
        m.submodules.gate = gate = GateStage(self.config)
        latency = Timing(self.config).gate_latency
        is_logit = requantise.o_valid & requantise.o_layer
        self._tap(m, "logits", is_logit, requantise.o_index, gate.logit)
        self._tap(m, "gates", self.o_valid, delay(m, requantise.o_index, latency, name="gate_index"), self.o)
        m.d.comb += [
            gate.i.eq(requantise.o), self.o.eq(gate.o),
            self.o_valid.eq(delay(m, is_logit, latency, name="gate_valid",
                                  reset_less=False)),
        ]
