# SPDX-License-Identifier: Apache-2.0
"""What the components share: their streams, counters, delays, and tables of constants."""

from amaranth.hdl import Mux, Signal, signed
from amaranth.lib import data, memory, stream

__all__ = ["beats", "counter", "delay", "lanes_of", "rom"]


def lanes_of(bits, lanes):
    """The layout of so many signed integers of `bits` bits side by side."""
    return data.ArrayLayout(signed(bits), lanes)


def beats(lanes):
    """The signature of a stream of int8 feature maps, `lanes` channels of a pixel in a beat.

    Channels come first, then the pixels of a row, then rows. ``last`` is high with a frame's last beat.
    """
    return stream.Signature(data.StructLayout({"lanes": lanes_of(8, lanes), "last": 1}))


def rom(m, name, bits, rows, address):
    """Row `address` of `rows`, an int64 array (depth, columns), one cycle later: signed integers of `bits` bits."""
    layout = lanes_of(bits, rows.shape[1])
    m.submodules[name] = table = memory.Memory(shape=layout, depth=len(rows), init=rows.tolist())
    port = table.read_port()
    m.d.comb += port.addr.eq(address)
    return port.data


def counter(m, limit, step, clear=0, *, name):
    """A count from 0 to `limit` - 1, and whether it is the last one.

    `step` advances it or, with `clear`, sets it to 0.
    """
    count, last = Signal(range(limit), name=name), Signal(name=f"{name}_last")
    m.d.comb += last.eq(count == limit - 1)
    with m.If(step):
        m.d.sync += count.eq(Mux(last | clear, 0, count + 1))
    return count, last


def delay(m, value, cycles, *, name):
    """`value`, so many cycles later."""
    for number in range(1, cycles + 1):
        late = Signal.like(value, name=f"{name}_{number}")
        m.d.sync += late.eq(value)
        value = late
    return value
