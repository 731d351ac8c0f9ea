# SPDX-License-Identifier: Apache-2.0
"""Requantisation: every accumulator meets the multiplier, shift and bias of its own record.

Accumulators have a bit in each of two limbs, multipliers have one in their last limb, biases are 0 or 1, and shifts are
two constants, swapped between the layers; tests check all other arithmetic. The proof assumes what excite's proof
shows: a pass's accumulators are through before the next one's come.
"""

import dataclasses
import functools

from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Array, Assert, Assume, Cover, Module, Mux, Signal

from ..arithmetic import counter, delay
from ..config import GUARD_BITS, Config
from ..latency import LIMB_BITS, ram_latency, record_ahead, requantise_latency, requantise_limbs
from ..requantise import Requantise
from .checks import later
from .proof import Fault, Inside, Proof

__all__ = ["PROOFS"]

# By layer, by a record's index; beyond the multiplier's one bit.
SHIFTS = ((0, 1), (1, 0))
# Bits of an accumulator, one in either limb, that no result loses.
LOW, HIGH = GUARD_BITS + 1, LIMB_BITS + 1


def _place(config):
    """The multiplier's bit: in its last limb."""
    return LIMB_BITS * (requantise_limbs(config)[1] - 1)


def _records(m, config, requantise):
    """The memory of records, with any contents; returns a function from an address to its record."""
    count = config.squeeze + config.channels
    contents = [Signal(3, name=f"contents_{i}") for i in range(count)]
    m.d.comb += [word.eq(AnyConst(3)) for word in contents]
    record = delay(m, Array(contents)[requantise.record_address], ram_latency(count), name="record")
    m.d.comb += [
        requantise.record.multiplier.eq(record[0] << _place(config)), requantise.record.shift.eq(record[1]),
        requantise.record.bias.eq(record[2] << GUARD_BITS),
    ]
    return lambda address: Array(contents)[address]


def _counters(m, config, requantise, inside):
    """Count the accumulators; returns 'a record is read' and the record's number."""
    count = config.squeeze + config.channels
    left, reads = Signal(range(config.macs + 1)), Signal()
    m.d.comb += [
        requantise.i_start.eq(AnySeq(1)), requantise.i_outputs.eq(AnySeq(len(requantise.i_outputs))),
        Assume((requantise.i_outputs != 0) & (requantise.i_outputs <= config.macs)),
        Assume(~requantise.i_start | (left <= 1)), reads.eq(left != 0),
    ]
    m.d.sync += left.eq(Mux(requantise.i_start, requantise.i_outputs, left - reads))
    number, last = counter(m, count, reads, name="number")
    layer = number >= config.squeeze
    m.d.comb += [
        Assert((inside["reads"] == reads) & (~reads | (inside["left"] == left)), "as many records are read as are due"),
        Assert((number < count) & (last == (number == count - 1)), "records are counted around"),
        Assert((requantise.record_address == number) & (inside["last"] == last), "records are read in their order"),
        Assert((inside["layer2"] == layer) & (inside["index"] == number - Mux(layer, config.squeeze, 0)),
               "layer and index are the record's"),
    ]
    return reads, number


def _model(config):
    m = Module()
    requantise = Requantise(config)
    m.submodules.requantise = inside = Inside(requantise)
    record = _records(m, config, requantise)
    reads, number = _counters(m, config, requantise, inside)
    acc = Signal.like(requantise.i)
    m.d.comb += [acc.eq(AnySeq(1) << LOW | AnySeq(1) << HIGH), requantise.i.eq(acc)]

    # An accumulator comes `record_ahead` cycles after its pass's start.
    wait = record_ahead(config) - 1
    here, its = (later(m, value, wait, name)
                 for value, name in ((reads, "here"), (number, "its_number")))
    layer, (multiplier, shift, bias) = its >= config.squeeze, record(its)
    scaled = Mux(multiplier, acc >> Mux(shift ^ layer, SHIFTS[0][1], SHIFTS[0][0]), 0)
    result = ((scaled >> GUARD_BITS) + bias)[:len(requantise.o)]
    valid, due_layer, index, due = (
        later(m, value, requantise_latency(config), f"due_{i}")
        for i, value in enumerate((here, layer, its - Mux(layer, config.squeeze, 0), result)))
    m.d.comb += [
        Assert(requantise.o_valid == valid, "a value comes for each accumulator, in its cycle"),
        Assert(~valid | ((requantise.o_layer == due_layer) & (requantise.o_index == index)),
               "a value has its accumulator's layer and index"),
        Assert(~valid | (requantise.o.as_unsigned() == due),
               "an accumulator meets the multiplier, shift and bias of its own record"),
        Cover(valid & due_layer & (index == config.channels - 1) & (due != 0), "a tile's last accumulator is through"),
    ]
    return m


_RECORD = "an accumulator meets the multiplier, shift and bias of its own record"
_FAULTS = (
    Fault("the bias is that of the next accumulator", "requantise.py", "late + 2, name=\"bias\"",
          "late + 1, name=\"bias\"", _RECORD),
    Fault("the shift is that of the accumulator before", "requantise.py", "late, name=\"shift\"",
          "late + 1, name=\"shift\"", _RECORD),
    Fault("the layer is that of the accumulator after", "requantise.py", "wait + late, name=\"layer\"",
          "wait + late - 1, name=\"layer\"", "a value has its accumulator's layer and index"),
    Fault("the upper limb meets a lower one of another accumulator", "multiplier.py", "max(i - 1, 0)", "i", _RECORD),
    Fault("the index is that of the accumulator before", "requantise.py", "latency, name=\"index\"",
          "latency + 1, name=\"index\"", "a value has its accumulator's layer and index"),
)
_WIDE = (
    Fault("a product is expected before the limbs of its multiplier are added", "requantise.py",
          "late = product_latency(*parts)", "late = product_latency(parts[0])", _RECORD),
)
_SIZES = (
    ({"channels": 3, "squeeze": 2, "macs": 2}, _FAULTS),
    ({"channels": 2, "squeeze": 1, "macs": 1}, ()),
    ({"channels": 30, "squeeze": 3, "macs": 4}, ()),
    ({"channels": 3, "squeeze": 2, "macs": 2, "multiplier_bits": 24}, _WIDE),
)


def _proof(fields, faults):
    config = Config(k=1, width=1, **fields)
    config = dataclasses.replace(
        config, shifts=tuple(tuple(shift + _place(config) for shift in shifts) for shifts in SHIFTS))
    cycles = record_ahead(config) + requantise_latency(config)
    wide = "" if _place(config) == 0 else f" multiplier_bits={config.multiplier_bits}"
    return Proof(f"requantise C={config.channels} CR={config.squeeze} macs={config.macs}{wide}",
                 functools.partial(_model, config), depth=cycles, cover=config.squeeze + config.channels + cycles + 2,
                 faults=faults)


PROOFS = tuple(_proof(fields, faults) for fields, faults in _SIZES)
