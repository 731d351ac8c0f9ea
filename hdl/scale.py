# SPDX-License-Identifier: Apache-2.0
"""Scale multiplies every beat of a finished tile by the tile's gates."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import counter, delay, saturate
from .latency import limbs
from .multiplier import multiply_limbs
from .queue import Queue
from .timing import Timing

__all__ = ["Scale", "Tile"]


class Tile(data.StructLayout):
    """A finished tile: the address of its last beat, whether it is a single beat, and whether it ends its frame."""

    def __init__(self, address_shape):
        super().__init__({"end": address_shape, "single": 1, "last": 1})


class Scale(wiring.Component):
    """Reads finished tiles from the tile buffer and multiplies them by their gates.

    A beat is read only if the output queue has a place for it. So the pipeline never stalls, and ``o_ready`` drives
    only the queue and the credit counter.

    Members
    -------
    tile_valid, tile : In
        A finished tile, whose gates can be read. Of a tile that is read before it has ended: its gates and a beat can
        be read; ``tile`` is valid with ``ended``.
    ended, head : In
        CAUSAL and WINDOW only: the oldest tile has ended; the address of the tile buffer's oldest word.
    release : Out
        The tile's last beat is read in this cycle.
    read, ahead : Out, In
        Read the tile buffer's oldest word; the address of the word after it.
    group : Out
        The group whose gates are read with it.
    x : In
        Data in the signed range, ``Timing.read_latency`` cycles after ``read``.
    gates : In
        Gates, ``DEVIATE`` cycles after the data.
    zero : In
        The zero point in the signed range.
    outputs_zero : In
        Only outputs with a format of their own: their zero point, in their signed range.
    o_valid, o_ready, o_data, o_last : stream
        Outputs in their signed range.
    idle : Out
        No beat is in the pipeline or in the queue.
    """

    def __init__(self, config, address_shape, tile=None, **more):
        self.config = config
        inputs, outputs = (data.ArrayLayout(signed(kind.bits), config.lanes) for kind in (config.data, config.outputs))
        super().__init__({
            "tile_valid": In(1), "tile": In(tile or Tile(address_shape)), "release": Out(1),
            "read": Out(1), "ahead": In(address_shape), "group": Out(range(config.groups)),
            "x": In(inputs), "gates": In(data.ArrayLayout(unsigned(config.gate_bits), config.lanes)),
            "zero": In(signed(config.data.bits)),
            **({"outputs_zero": In(signed(config.outputs.bits))} if config.requantised else {}),
            "o_valid": Out(1), "o_ready": In(1), "o_data": Out(outputs), "o_last": Out(1),
            "idle": Out(1),
            **({"ended": In(1), "head": In(address_shape)} if config.context.streams else {}),
            **more,
        })

    def elaborate(self, platform):
        m = Module()
        config, timing = self.config, Timing(self.config)
        credits, idle = Signal(range(timing.credits + 1), init=timing.credits), Signal(init=1)
        has_credit = Signal(init=1)
        m.d.comb += [
            self.read.eq(self.tile_valid & has_credit),
            self.release.eq(self.read & self._at_end(m)),
            self.idle.eq(idle),
        ]
        returned = self.o_valid & self.o_ready
        m.d.sync += [
            credits.eq(credits - self.read + returned),
            has_credit.eq((credits > 1) | returned | ((credits == 1) & ~self.read)),
            idle.eq(~self.read & (credits + returned == timing.credits)),
        ]
        group, _ = counter(m, config.groups, self.read, self.release, name="group_count")
        m.d.comb += self.group.eq(group)

        m.submodules.queue = queue = Queue(width=config.outputs.bits * config.lanes + 1, depth=timing.credits - 1)
        last = delay(m, self.release & self.tile.last, timing.scale_latency, name="last")
        m.d.comb += [
            queue.i_valid.eq(delay(m, self.read, timing.scale_latency, name="valid", reset_less=False)),
            queue.i.eq(Cat(self._multiply(m), last)),
            self.o_valid.eq(queue.o_valid), queue.o_ready.eq(self.o_ready), Cat(self.o_data, self.o_last).eq(queue.o),
        ]
        return m

    def _at_end(self, m):
        """Whether the next word to read is the tile's last. The comparison is made while the word before it is read."""
        at_tile_start, compared = Signal(init=1), Signal()
        if self.config.context.streams:
            # The tile may end, and be recorded, between two reads.
            with m.If(self.read):
                m.d.sync += at_tile_start.eq(self.release)
            m.d.sync += compared.eq(self.ended & (Mux(self.read, self.ahead, self.head) == self.tile.end))
            return Mux(at_tile_start, self.ended & self.tile.single, compared)
        with m.If(self.read):
            m.d.sync += [at_tile_start.eq(self.release), compared.eq(self.ahead == self.tile.end)]
        return Mux(at_tile_start, self.tile.single, compared)

    def _multiply(self, m):
        """``(x - zero) * gate``, rounded, plus the outputs' zero point.

        By default a gate is at most 1, so the result lies between the zero point and x, and fits. Only outputs with a
        format of their own can saturate.
        """
        config = self.config
        outputs_zero = self.outputs_zero if config.requantised else self.zero
        results = []
        for lane in range(config.lanes):
            deviation = Signal(signed(config.data.bits + 1), name=f"deviation_{lane}", reset_less=True)
            result = Signal(signed(config.outputs.bits), name=f"result_{lane}", reset_less=True)
            m.d.sync += deviation.eq(self.x[lane] - self.zero)
            product = multiply_limbs(m, deviation, self.gates[lane], (1, limbs(config.gate_bits)),
                                     name=f"multiply_{lane}")
            # `round_shift`, with one adder for its half and the zero point.
            halves = product >> (config.gate_frac - 1)
            rounded = (halves + Cat(Const(1, 1), outputs_zero).as_signed()) >> 1
            if config.requantised:
                unbounded = Signal(rounded.shape(), name=f"unbounded_{lane}", reset_less=True)
                m.d.sync += unbounded.eq(rounded)
                rounded = saturate(unbounded, result.shape())
            m.d.sync += result.eq(rounded)
            results.append(result)
        return Cat(results)
