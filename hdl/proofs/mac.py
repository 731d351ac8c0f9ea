# SPDX-License-Identifier: Apache-2.0
"""MAC units: every accumulator is the sum of its unit's products of the pass, and leaves in its turn.

Operands and weights are 0 or 1; an operand that is multiplied in two limbs has a bit in each. The proof assumes what
the sequencer's proof shows: no operand comes in the cycle after a pass's last one, and no pass ends before the
accumulators of the previous one have left.
"""

import functools

from amaranth.asserts import AnySeq
from amaranth.hdl import Array, Assert, Assume, Cover, Module, Mux, Signal

from ..config import Config
from ..data_type import INT8, DataType
from ..latency import LIMB_BITS, mac_latency, operand_limbs, product_latency
from ..mac import MacArray
from .checks import any_below, later
from .proof import Fault, Inside, Proof

__all__ = ["PROOFS"]


def _passes(m, mac, unit):
    """Passes of any length, with or without pauses; returns 'a pass ends'."""
    macs = mac.config.macs
    ends, behind, since = Signal(), Signal(), Signal(range(macs + 1), init=macs)
    m.d.comb += [
        mac.i_valid.eq(AnySeq(1)), mac.i_last.eq(AnySeq(1)), ends.eq(mac.i_valid & mac.i_last),
        Assume(~(mac.i_valid & behind)), Assume(~ends | (since > unit)),
    ]
    m.d.sync += [behind.eq(ends), since.eq(Mux(ends, 1, since + (since != macs)))]
    return ends


def _model(config):
    m = Module()
    mac = MacArray(config)
    m.submodules.mac = inside = Inside(mac)
    parts = operand_limbs(config, config.operand_bits)
    unit, operand, weights = any_below(m, config.macs, "unit"), Signal(parts), Signal(config.macs)
    ends = _passes(m, mac, unit)
    m.d.comb += [operand.eq(AnySeq(parts)), weights.eq(AnySeq(config.macs)),
                 mac.i_operand.eq(sum(bit << LIMB_BITS * i for i, bit in enumerate(operand)))]
    m.d.comb += [mac.i_weights[i].eq(weights[i]) for i in range(config.macs)]
    total, whole = Signal(config.acc_bits), Signal(config.acc_bits)
    m.d.comb += whole.eq(total + Mux(mac.i_valid & weights.bit_select(unit, 1), mac.i_operand, 0))
    m.d.sync += total.eq(Mux(ends, 0, whole))
    latency = product_latency(parts)
    ended = later(m, ends, latency + 1, "ended")
    expected = later(m, whole, latency + 1, "expected")
    running = later(m, total, latency, "running")
    # After the end of its pass an accumulator moves along the second row to the output.
    left, kept = Signal(range(config.macs + 1)), Signal(config.acc_bits)
    m.d.sync += left.eq(Mux(ended, unit + 1, left - (left != 0)))
    with m.If(ended):
        m.d.sync += kept.eq(expected)
    acc = Array(inside[f"acc_{i}"] for i in range(config.macs))[unit].as_unsigned()
    drain = Array(inside[f"drain_{i}"] for i in range(config.macs))[left - 1].as_unsigned()
    m.d.comb += [
        Assert(acc == Mux(ended, expected, running), "an accumulator is the sum of its unit's products of the pass"),
        Assert(left <= unit + 1, "a unit waits for those before it"),
        Assert((left == 0) | (drain == kept), "accumulators move up while they wait"),
        Assert((left != 1) | (mac.o.as_unsigned() == kept), "accumulators leave one a cycle, unit 0's first"),
        Assert(later(m, ended, 1, "moved") == (left == unit + 1),
               "the first leaves in its cycle, the others after it"),
        Cover((left == 1) & (unit == config.macs - 1) & (kept == 3) & mac.i_valid,
              "the last unit's accumulator leaves while the next pass runs"),
    ]
    return m


_TURN = "accumulators leave one a cycle, unit 0's first"
_FAULTS = (
    Fault("accumulators leave in reverse", "mac.py", "for unit in reversed(range(config.macs))",
          "for unit in range(config.macs)", _TURN),
    Fault("an accumulator is not cleared", "mac.py", "m.d.sync += acc.eq(0)", "m.d.sync += acc.eq(acc)",
          "an accumulator is the sum of its unit's products of the pass"),
    Fault("all units have the first one's weights", "mac.py", "self.i_weights[unit]", "self.i_weights[0]", _TURN),
    Fault("accumulators move before the last product is there", "mac.py", "latency + 1, name=\"last\"",
          "latency, name=\"last\"", _TURN),
)
_WIDE = (
    Fault("a product counts before its limbs are added", "mac.py", "latency = product_latency(*parts)",
          "latency = product_latency()", _TURN),
)
_SIZES = (
    (Config(k=1, width=1, channels=3, squeeze=2, macs=1), ()),
    (Config(k=1, width=1, channels=3, squeeze=2, macs=2, weight_bits=3), ()),
    (Config(k=1, width=1, channels=3, squeeze=2, macs=3), _FAULTS),
    (Config(k=1, width=1, channels=3, squeeze=2, macs=2, data=DataType(9)), _WIDE),
)
PROOFS = tuple(
    Proof(f"MAC units={c.macs} weights={c.weight_bits}{'' if c.data == INT8 else f' {c.data}'}",
          functools.partial(_model, c), depth=mac_latency(c) + 1, faults=faults) for c, faults in _SIZES)
