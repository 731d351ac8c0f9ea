# SPDX-License-Identifier: Apache-2.0
"""The AXI4-Lite subordinate, with a manager and registers that may do anything in any cycle.

The rules of the protocol for a subordinate: a response stays, unchanged, until it is taken; each request has one, in
order, and there is none without a request; none waits for anything but its request and the response before.
"""

import functools

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Cat, Cover, Module, Mux, Signal

from ..axi_lite import BYTE_BITS, OKAY, SLVERR, AxiLite
from .checks import held
from .proof import Fault, Proof

__all__ = ["PROOFS"]

# Most cycles from a request, if its response is taken at once.
PATIENCE = 2


def _model(side):
    m = Module()
    bus = AxiLite()
    m.submodules.bus = bus
    m.d.comb += [signal.eq(AnySeq(len(signal))) for signal in (
        bus.awvalid, bus.awaddr, bus.wvalid, bus.wdata, bus.wstrb, bus.bready, bus.write_error,
        bus.arvalid, bus.araddr, bus.rready, bus.read_data, bus.read_error)]
    side(m, bus)
    return m


def _accepted(m, name, valid, ready, valid_answer, answered, payload):
    """Count the accepted parts of requests that have no response yet; returns it, and the part accepted last.

    At most one waits inside, while the response before is offered.
    """
    count, latest = Signal(2, name=f"{name}_count"), Signal.like(payload, name=f"{name}_latest")
    m.d.sync += count.eq(count + (valid & ready) - answered)
    with m.If(valid & ready):
        m.d.sync += latest.eq(payload)
    m.d.comb += [
        Assert(count <= 1 + valid_answer, f"{name}: one waits at most"),
        Assert(~valid_answer | (count != 0), f"{name}: no response without it"),
        Assert(ready == (count == valid_answer), f"{name}: it is refused only while one waits"),
        Cover(count == 2, f"{name}: one waits while a response is offered"),
    ]
    return count, latest


def _prompt(m, offered, due, valid, ready):
    """A request inside is answered in the next cycle if no response is offered; `offered` ones soon, too."""
    was_due, patience = Signal(name="was_due"), Signal(3)
    m.d.sync += [was_due.eq(due & ~valid), patience.eq(Mux(offered & ready & ~valid, patience + 1, 0))]
    m.d.comb += [
        Assert(~was_due | valid, "a request is answered in the next cycle if no response is offered"),
        Assert(patience <= PATIENCE, "a request that is offered until then has a response within two cycles"),
    ]


def _writes(m, bus):
    answered = bus.bvalid & bus.bready
    addresses, address = _accepted(m, "address", bus.awvalid, bus.awready, bus.bvalid, answered, bus.awaddr)
    words, word = _accepted(m, "word", bus.wvalid, bus.wready, bus.bvalid, answered, Cat(bus.wdata, bus.wstrb))
    whole = (addresses > bus.bvalid) & (words > bus.bvalid)
    held(m, bus.bvalid, bus.bready, bus.bresp)
    _prompt(m, bus.awvalid & bus.wvalid, whole, bus.bvalid, bus.bready)
    response, written = Signal(2), Signal()
    m.d.sync += written.eq(bus.write)
    with m.If(bus.write):
        m.d.sync += response.eq(Mux(bus.write_error, SLVERR, OKAY))
    m.d.comb += [
        Assert(~bus.write | whole, "a write has an address and a word"),
        Assert((addresses <= bus.bvalid) | (bus.write_word == address[BYTE_BITS:]), "a write is of its address"),
        Assert((words <= bus.bvalid) | (Cat(bus.data, bus.strobes) == word), "a write has its word and its strobes"),
        Assert(~written | bus.bvalid, "a write has its response in the next cycle"),
        Assert(~bus.bvalid | (bus.bresp == response), "the response tells whether the write was one"),
        Cover(bus.write & bus.write_error, "a write is refused"),
        Cover((addresses == 1) & (words == 0), "an address comes before its word"),
        Cover((addresses == 0) & (words == 1), "a word comes before its address"),
    ]


def _reads(m, bus):
    answered = bus.rvalid & bus.rready
    count, address = _accepted(m, "address", bus.arvalid, bus.arready, bus.rvalid, answered, bus.araddr)
    reads = Signal()
    held(m, bus.rvalid, bus.rready, bus.rdata, bus.rresp)
    _prompt(m, bus.arvalid, count > bus.rvalid, bus.rvalid, bus.rready)
    value, response = Signal(32), Signal(2)
    m.d.comb += reads.eq((count != 0) & ~bus.rvalid)
    with m.If(reads):
        m.d.sync += [value.eq(bus.read_data), response.eq(Mux(bus.read_error, SLVERR, OKAY))]
    m.d.comb += [
        Assert((count <= bus.rvalid) | (bus.read_word == address[BYTE_BITS:]), "a read is of its address"),
        Assert(~bus.rvalid | (bus.rdata == value), "the response has what the register held in the cycle before"),
        Assert(~bus.rvalid | (bus.rresp == response), "the response tells whether there is such a register"),
        Cover(reads & bus.read_error, "a read is refused"),
    ]


_WRITE_FAULTS = (
    Fault("a response is replaced before it is taken", "axi_lite.py", "address_held & data_held & ~self.bvalid",
          "address_held & data_held", "address: it is refused only while one waits"),
    Fault("an address ends the response before it", "axi_lite.py", "with m.If(self.bready):",
          "with m.If(self.bready | address_held):", "valid is held until ready"),
    Fault("an error changes a response that waits", "axi_lite.py", "with m.If(self.bready):\n",
          "with m.If(self.write_error):\n            m.d.sync += self.bresp.eq(SLVERR)\n"
          "        with m.If(self.bready):\n",
          "payload 0 is held until ready"),
    Fault("a word is taken while one waits", "axi_lite.py", "self.wvalid & self.wready", "self.wvalid",
          "a write has its word and its strobes"),
    Fault("an address is taken while one waits", "axi_lite.py", "self.awvalid & self.awready", "self.awvalid",
          "a write is of its address"),
    Fault("a write does not need its word", "axi_lite.py", "address_held & data_held & ~self.bvalid",
          "address_held & ~self.bvalid", "word: no response without it"),
    Fault("a write waits for the manager's bready", "axi_lite.py", "address_held & data_held & ~self.bvalid",
          "address_held & data_held & ~self.bvalid & self.bready",
          "a request is answered in the next cycle if no response is offered"),
    Fault("an address is never taken again", "axi_lite.py", "m.d.sync += [address_held.eq(0), data_held.eq(0),",
          "m.d.sync += [data_held.eq(0),", "address: it is refused only while one waits"),
    Fault("a refused write is answered by OKAY", "axi_lite.py", "Mux(self.write_error, SLVERR, OKAY)", "OKAY",
          "the response tells whether the write was one"),
)
_READ_FAULTS = (
    Fault("an address ends the response before it", "axi_lite.py", "with m.If(self.rready):",
          "with m.If(self.rready | held):", "valid is held until ready"),
    Fault("data change while they wait", "axi_lite.py", "with m.If(held & ~self.rvalid):", "with m.If(held):",
          "payload 0 is held until ready"),
    Fault("a request has two responses", "axi_lite.py", "m.d.sync += [held.eq(0), self.rvalid.eq(1)",
          "m.d.sync += [held.eq(self.arvalid), self.rvalid.eq(1)", "address: it is refused only while one waits"),
    Fault("an address is taken while one waits", "axi_lite.py", "self.arvalid & self.arready", "self.arvalid",
          "a read is of its address"),
    Fault("a read waits for the manager's rready", "axi_lite.py", "with m.If(held & ~self.rvalid):",
          "with m.If(held & ~self.rvalid & self.rready):",
          "a request is answered in the next cycle if no response is offered"),
    Fault("a read of no register is answered by OKAY", "axi_lite.py", "Mux(self.read_error, SLVERR, OKAY)", "OKAY",
          "the response tells whether there is such a register"),
)
PROOFS = (Proof("AXI4-Lite writes", functools.partial(_model, _writes), depth=3, faults=_WRITE_FAULTS),
          Proof("AXI4-Lite reads", functools.partial(_model, _reads), depth=3, faults=_READ_FAULTS))
