# SPDX-License-Identifier: Apache-2.0
"""The memory: any one of its words, from write to read, at each of its latencies."""

import functools

from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Assert, Assume, Cover, Module, Signal

from ..arithmetic import delay
from ..latency import ONE_BLOCK, SHALLOW, ram_latency
from ..ram import Ram
from .checks import later
from .proof import Fault, Inside, Proof

__all__ = ["PROOFS"]

WIDTH = 2


def _model(depth):
    m = Module()
    ram = Ram(width=WIDTH, depth=depth)
    m.submodules.ram = inside = Inside(ram)
    m.d.comb += [signal.eq(AnySeq(len(signal))) for signal in (ram.we, ram.waddr, ram.wdata, ram.re, ram.raddr)]
    place, held, known = Signal.like(ram.waddr), Signal(WIDTH), Signal()
    m.d.comb += [
        place.eq(AnyConst(len(place))),
        Assume((place < depth) & (ram.waddr < depth) & (ram.raddr < depth)),
    ]
    written = ram.we & (ram.waddr == place)
    with m.If(written):
        m.d.sync += [held.eq(ram.wdata), known.eq(1)]
    latency = ram_latency(depth)
    read = later(m, ram.re & (ram.raddr == place) & ~written & known, latency, "read")
    m.d.comb += [
        Assert(~known | (inside.word(m, "storage", place) == held), "a word stays as it was written"),
        Assert(~read | (ram.rdata == delay(m, held, latency, name="due")), "a word is read as it was written"),
        Cover(read & (place == depth - 1) & (ram.rdata != 0), "the last word is read"),
    ]
    return m


_FAULTS = (
    Fault("the output comes a cycle early", "ram.py", "self.latency - 1, name", "self.latency - 2, name",
          "a word is read as it was written"),
    Fault("a word is only written where one is read, too", "ram.py", "write.en.eq(self.we)",
          "write.en.eq(self.we & self.re)", "a word stays as it was written"),
)
# The induction must cover the memory's output registers.
PROOFS = tuple(Proof(f"ram depth={depth}", functools.partial(_model, depth), depth=4, faults=faults)
               for depth, faults in ((1, ()), (5, ()), (SHALLOW + 1, _FAULTS), (ONE_BLOCK + 1, ())))
