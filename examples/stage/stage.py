# SPDX-License-Identifier: Apache-2.0
"""The stage: three components, one after the other, each a stream in and a stream out."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from tiled_se.hdl import TiledSE

from .beats import beats
from .depthwise import Depthwise
from .projection import Projection

__all__ = ["Attention", "Stage"]


class Attention(wiring.Component):
    """The project's block, whose ports are named as AXI4-Stream has them, with streams of Amaranth."""

    def __init__(self, config, parameters):
        self.config, self.parameters = config, parameters
        super().__init__({"i": In(beats(config.lanes)), "o": Out(beats(config.lanes))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.block = block = TiledSE(self.config, self.parameters)
        m.d.comb += [
            block.s_axis_tvalid.eq(self.i.valid), self.i.ready.eq(block.s_axis_tready),
            block.s_axis_tdata.eq(self.i.p.lanes), block.s_axis_tlast.eq(self.i.p.last),
            self.o.valid.eq(block.m_axis_tvalid), block.m_axis_tready.eq(self.o.ready),
            self.o.p.lanes.eq(block.m_axis_tdata), self.o.p.last.eq(block.m_axis_tlast),
        ]
        return m


class Stage(wiring.Component):
    """The hardware of a ``quantise.QuantisedStage``.

    Members
    -------
    i : In(beats(lanes))
        Frames of any height, of whole rows of ``config.width`` pixels of C channels.
    o : Out(beats(lanes))
        Frames of the same size, of as many channels as the projection has outputs.
    error : Out
        Sticky: a frame did not end with a row. What follows is wrong until reset.
    """

    def __init__(self, stage):
        self.stage = stage
        self.lanes = lanes = stage.config.lanes
        super().__init__({"i": In(beats(lanes)), "o": Out(beats(lanes)), "error": Out(1)})

    def elaborate(self, platform):
        m = Module()
        stage, config = self.stage, self.stage.config
        m.submodules.depthwise = depthwise = Depthwise(stage.depthwise, config.width, config.lanes)
        m.submodules.attention = attention = Attention(config, stage.attention.parameters)
        m.submodules.projection = projection = Projection(stage.projection, config.lanes)
        connect(m, flipped(self.i), depthwise.i)
        connect(m, depthwise.o, attention.i)
        connect(m, attention.o, projection.i)
        connect(m, projection.o, flipped(self.o))
        m.d.comb += self.error.eq(depthwise.error)
        return m
