# SPDX-License-Identifier: Apache-2.0
"""Excite computes a tile's gates from its sums, with one set of MAC units for both layers."""

from amaranth.hdl import Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import delay
from .config import Context
from .gate import GateStage
from .latency import LOGIT, gate_latency, mac_latency, mid_latency, prior_wait, ram_latency, record_ahead
from .mac import MacArray
from .means import Means
from .mid import MidStage
from .ram import Ram
from .reciprocal import Reciprocal
from .requantise import Record, Requantise
from .row_count import rows_shape
from .sequencer import Sequencer
from .timing import ISSUE, OPERAND, Timing

__all__ = ["Excite"]


class Excite(wiring.Component):
    """Takes a tile's sums, one group a cycle, and gives its gates, one channel a cycle, in order.

    The sums are copied to a memory, which layer 1 reads once a pass. Meanwhile the accumulator is free for the next
    tile.

    Members
    -------
    sums_free : Out
        The memory of sums may be written again.
    i_start, i_rows, i_words : In
        A tile's first sums arrive ``ram_latency(groups)`` cycles later; its rows, as in `rows_shape`; the number of
        groups that the tile has reached. Groups beyond it count as 0 (a tile can be cut short in its first pixel).
    i_valid, i_group, i_sums : In
        The sums: all groups, in order, without a pause.
    weight_address, record_address, prior_address : Out
    weights, record, prior : In
        From the parameter memories, ``ram_latency`` of their depth after the address. The prior only with imaginary
        rows.
    gates_free, gates_take : In, Out
        The scale FIFO has a place for a tile's gates; this tile takes it.
    o_valid, o : Out
        Gates.
    factor : In
        Only a block that ``rescales``: what its gates are multiplied by, see `GateStage`.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "sums_free": Out(1), "i_start": In(1), "i_rows": In(rows_shape(config)),
            "i_words": In(range(config.groups + 1)), "i_valid": In(1), "i_group": In(range(config.groups)),
            "i_sums": In(data.ArrayLayout(signed(config.sum_bits), config.lanes)),
            "weight_address": Out(range(config.weight_depth)),
            "weights": In(data.ArrayLayout(signed(config.weight_bits), config.macs)),
            "record_address": Out(range(config.squeeze + config.channels)), "record": In(Record(config)),
            **({"prior_address": Out(range(config.channels)), "prior": In(signed(config.prior_bits))}
               if config.prior_rows else {}),
            "gates_free": In(1), "gates_take": Out(1),
            "o_valid": Out(1), "o": Out(unsigned(config.gate_bits)),
            **({"factor": In(unsigned(config.factor_bits + 1))} if config.rescales else {}),
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
        """Name a stage's results for the test bench. Nothing in the block reads the signals: they cost no hardware."""
        for name, source in (("valid", valid), ("index", index), ("data", value)):
            source = Value.cast(source)
            tap = Signal(source.shape(), name=f"tap_{stage}_{name}", attrs={"keep": 1})
            m.d.comb += tap.eq(source)

    def _sums(self, m, sequencer):
        """The memory of sums, and the path from it to a mean."""
        config, latency = self.config, Timing(self.config).sums_latency
        sent, wait = sequencer.o, prior_wait(self.config)
        m.submodules.sums_ram = sums = Ram(width=self.i_sums.shape().size, depth=self.config.groups)
        m.submodules.means = means = Means(self.config)
        held = Signal()
        running = config.context.running
        if running:
            m.submodules.reciprocal = divide = Reciprocal(config)
            reciprocal = Signal.like(divide.o, reset_less=True)
            m.d.comb += [divide.i_start.eq(self.i_start), divide.i.eq(self.i_rows), means.reciprocal.eq(reciprocal)]
            waiting_rows, rows = divide.o_log, Signal.like(divide.o_log)
        else:
            waiting_rows, rows = Signal.like(self.i_rows), Signal.like(self.i_rows)
        waiting_words, words = Signal.like(self.i_words), Signal.like(self.i_words)
        m.d.comb += [
            self.sums_free.eq(~held),
            sums.we.eq(self.i_valid), sums.waddr.eq(self.i_group), sums.wdata.eq(self.i_sums),
            sums.re.eq(delay(m, sequencer.o_valid & ~sent.layer, wait, name="sums_re", reset_less=False)),
            sums.raddr.eq(delay(m, sent.group, wait, name="sums_raddr")),
            means.lane.eq(delay(m, sent.lane, wait + latency, name="lane")), means.rows.eq(rows),
            means.clear.eq(delay(m, sent.group >= words, wait + latency, name="clear")), means.sums.eq(sums.rdata),
        ]
        if not config.prior_rows:
            self._tap(m, "sums", self.i_valid, self.i_group,
                      Mux(self.i_group < waiting_words, self.i_sums.as_value(), 0))
        with m.If(sequencer.sums_read):
            m.d.sync += held.eq(0)
        with m.If(self.i_start):
            m.d.sync += [held.eq(1), *([] if running else [waiting_rows.eq(self.i_rows)]),
                         waiting_words.eq(self.i_words)]
        # Sums are read as they arrive, but not before the reciprocal of their rows is known.
        sums_arrived, waiting = (divide.o_valid if running else delay(
            m, self.i_start, latency - 1, name="sums_arrived", reset_less=False)), Signal()
        m.d.comb += sequencer.sums_valid.eq(sums_arrived | waiting)
        m.d.sync += waiting.eq(sequencer.sums_valid & ~sequencer.start)
        # The next tile's rows and words arrive while the last means of this tile are still computed.
        with m.If(delay(m, sequencer.start, 1, name="started", reset_less=False)):
            m.d.sync += [rows.eq(waiting_rows), words.eq(waiting_words)]
            if running:
                m.d.sync += reciprocal.eq(divide.o)
        if config.prior_rows:
            self._prior(m, sequencer, means, wait + latency, words)
        return means.o

    def _prior(self, m, sequencer, means, latency, words):
        """The path from the memory of the prior to `means`, which takes it a cycle after the sums, `latency` later."""
        config = self.config
        address = latency + 1 - ram_latency(config.channels)
        index = sequencer.o.index
        if config.channels & (config.channels - 1):
            # The memory may not be read beyond its end. Only layer 1's inputs are channels.
            index = Mux(sequencer.o_valid & ~sequencer.o.layer, index, 0)
        m.d.comb += self.prior_address.eq(delay(m, index, address, name="prior_address"))
        prior = self.prior
        if config.context is Context.WINDOW:
            # The prior stands for all rows, or for none.
            prior = Mux(delay(m, words == 0, latency + 1, name="alone"), prior, 0)
        m.d.comb += means.prior.eq(prior)

    def _multiply(self, m, sequencer, mean):
        """Operands and weights go to the MAC units, their accumulators to requantisation."""
        config, timing = self.config, Timing(self.config)
        m.submodules.mac = mac = MacArray(config)
        m.submodules.requantise = requantise = Requantise(config)
        m.submodules.hidden_ram = hidden = Ram(width=config.hidden_bits, depth=config.squeeze)

        def issued(field, cycles, name, **options):
            """A field of the input that was issued `cycles` ago."""
            return delay(m, field, cycles - ISSUE, name=name, **options)

        # Each field is delayed only as long as something uses it.
        sent, arrives = sequencer.o, timing.issue_to_operand
        before = arrives - OPERAND
        valid = issued(sequencer.o_valid, before, "valid", reset_less=False)
        layer = issued(sent.layer, before, "layer")
        address = arrives - ram_latency(config.weight_depth)
        ends = sequencer.o_valid & sent.last
        drains = arrives + mac_latency(config) - record_ahead(config)
        last = issued(sent.last, arrives, "last")
        index = issued(sent.index, before - timing.hidden_latency, "index")
        value = hidden.rdata.as_signed() if config.mid.signed else hidden.rdata
        operand = Signal(signed(config.operand_bits), reset_less=True)
        m.d.sync += operand.eq(Mux(layer, value, mean))
        m.d.comb += [
            self.weight_address.eq(issued(sent.address, address, "address")),
            hidden.raddr.eq(index),
            hidden.re.eq(issued(sequencer.o_valid & sent.layer, before - timing.hidden_latency, "hidden_re",
                                reset_less=False)),
            mac.i_valid.eq(delay(m, valid, OPERAND, name="operand_valid", reset_less=False)),
            mac.i_last.eq(last), mac.i_operand.eq(operand), mac.i_weights.eq(self.weights),
            requantise.i_start.eq(issued(ends, drains, "drains", reset_less=False)),
            requantise.i_outputs.eq(issued(sent.outputs, drains, "outputs")), requantise.i.eq(mac.o),
            self.record_address.eq(requantise.record_address), requantise.record.eq(self.record),
        ]
        self._tap(m, "means", mac.i_valid & ~delay(m, layer, OPERAND, name="operand_layer"),
                  delay(m, index, timing.hidden_latency + OPERAND, name="operand_index"), operand)
        self._hidden(m, requantise, hidden)
        return requantise

    def _hidden(self, m, requantise, hidden):
        m.submodules.mid = mid = MidStage(self.config)
        latency = mid_latency(self.config)
        m.d.comb += [
            mid.i.eq(requantise.o), hidden.wdata.eq(mid.o),
            hidden.we.eq(delay(m, requantise.o_valid & ~requantise.o_layer, latency, name="hidden_valid",
                               reset_less=False)),
            hidden.waddr.eq(delay(m, requantise.o_index, latency, name="hidden_index")),
        ]
        self._tap(m, "hidden", hidden.we, hidden.waddr, hidden.wdata)

    def _activate(self, m, requantise):
        m.submodules.gate = gate = GateStage(self.config)
        latency = gate_latency(self.config)
        is_logit = delay(m, requantise.o_valid & requantise.o_layer, LOGIT, name="is_logit", reset_less=False)
        index = delay(m, requantise.o_index, LOGIT, name="logit_index")
        m.d.comb += [
            gate.i.eq(requantise.o), self.o.eq(gate.o),
            self.o_valid.eq(delay(m, is_logit, latency - LOGIT, name="gate_valid", reset_less=False)),
        ]
        if self.config.rescales:
            m.d.comb += gate.factor.eq(self.factor)
        self._tap(m, "logits", is_logit, index, gate.logit)
        self._tap(m, "gates", self.o_valid, delay(m, index, latency - LOGIT, name="gate_index"), self.o)
