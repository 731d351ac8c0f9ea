# SPDX-License-Identifier: Apache-2.0
"""A stand-in for excite, for proofs of the block's control."""

from unittest import mock

import numpy as np
from amaranth.asserts import AnySeq
from amaranth.hdl import Module, Mux, Signal

from .. import tiled_se
from ..excite import Excite
from ..parameters import Layer, Parameters
from ..timing import GATE_TILES
from .proof import Inside

__all__ = ["block_of"]


class AnyExcite(Excite):
    """Takes sums when it has a place for them, and gives gates for each tile, in order.

    A step takes one or two cycles or, if `slow`, any number of cycles. The gates' values and the addresses of
    parameters are free.
    """

    slow = True

    def elaborate(self, platform):
        m = Module()
        held, second, channel = Signal(), Signal(), Signal(range(self.config.channels))
        due = Signal(range(GATE_TILES + 1))
        done, gate_end = Signal(), Signal()

        def some_day(possible, name):
            waited = Signal(name=f"{name}_waited")
            m.d.sync += waited.eq(possible)
            return possible & (AnySeq(1) if self.slow else (AnySeq(1) | waited))

        m.d.comb += [
            done.eq(some_day(held & ~second, "done")), self.sums_free.eq(~held),
            self.gates_take.eq(some_day(second & self.gates_free & (due != GATE_TILES), "take")),
            self.o_valid.eq(some_day(due != 0, "gate")),
            gate_end.eq(self.o_valid & (channel == self.config.channels - 1)),
        ]
        free = [self.o, self.weight_address, self.record_address]
        if self.config.prior_rows:
            free.append(self.prior_address)
        m.d.comb += [port.eq(AnySeq(len(port))) for port in free]
        m.d.sync += [
            held.eq((held & ~done) | self.i_start), second.eq((second & ~self.gates_take) | done),
            due.eq(due + self.gates_take - gate_end),
        ]
        with m.If(self.o_valid):
            m.d.sync += channel.eq(Mux(gate_end, 0, channel + 1))
        return m


def _nothing(config):
    """Parameters, all zeros but for the zero points."""
    def layer(outputs, inputs):
        return Layer(np.zeros((outputs, inputs), np.int64), *(np.zeros(outputs, np.int64) for _ in range(3)))

    prior = np.zeros(config.channels, np.int64) if config.prior_rows else None
    return Parameters(layer(config.squeeze, config.channels), layer(config.channels, config.squeeze),
                      config.signed_zero_point, prior,
                      config.signed_outputs_zero_point if config.requantised else None)


def block_of(m, config, slow=True):
    """The block, as a submodule of `m`, with the stand-in for excite, and beats that come and go at any time.

    `slow` is whether excite's steps may take any number of cycles. Returns the TiledSE and its Inside.
    """
    block = tiled_se.TiledSE(config, _nothing(config))
    with mock.patch.object(tiled_se, "Excite", type("AnyExcite", (AnyExcite,), {"slow": slow})):
        m.submodules.block = inside = Inside(block)
    m.d.comb += [port.eq(AnySeq(1)) for port in (block.s_axis_tvalid, block.s_axis_tlast, block.m_axis_tready)]
    return block, inside
