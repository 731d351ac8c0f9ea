# SPDX-License-Identifier: Apache-2.0
"""A SoC of LiteX without a processor: a block between two DMAs, and a host on the bus that controls them."""

import pathlib

from litex.build.generic_platform import GenericPlatform, Pins
from litex.soc.cores.dma import WishboneDMAReader, WishboneDMAWriter
from litex.soc.integration.builder import Builder
from litex.soc.integration.soc_core import SoCMini
from litex.soc.interconnect import wishbone
from migen import ResetInserter
from migen.genlib.io import CRG

from tiled_se.gen.litex import TiledSE

__all__ = ["SoC", "build"]

RAM_BYTES = 16 * 1024


class Platform(GenericPlatform):
    """No board: clock, reset and the host's bus are ports. For a board, take its platform in place of this one."""

    def __init__(self):
        super().__init__("none", [("clk", 0, Pins(1)), ("rst", 0, Pins(1))], name="soc")

    def build(self, fragment, build_dir, build_name, **_):
        """Write the SoC's Verilog, and the contents of its memories, into `build_dir`."""
        output = self.get_verilog(fragment, name=build_name)
        for name, text in {f"{build_name}.v": output.main_source, **output.data_files}.items():
            pathlib.Path(build_dir, name).write_text(text)
        return output.ns


class SoC(SoCMini):
    """RAM, the block, a DMA for each of its streams, and the host's Wishbone port ``host``.

    `options` are those of the block, which must be loadable and have beats of 32 bits.
    """

    def __init__(self, platform, **options):
        super().__init__(platform, clk_freq=100_000_000, ident_version=False)
        self.crg = CRG(platform.request("clk"), platform.request("rst"))
        self.add_ram("main_ram", self.mem_map["main_ram"], RAM_BYTES)
        self.add_host(platform)

        self.se = TiledSE(platform, **options)
        self.reader, self.writer, self.params_reader = self.reading(), self.writing(), self.reading()
        self.comb += [
            self.reader.source.connect(self.se.sink),
            self.se.source.connect(self.writer.sink),
            self.params_reader.source.connect(self.se.params),
        ]
        for name in ("reader", "writer", "params_reader"):
            self.bus.add_master(name, getattr(self, name).bus)

    def add_host(self, platform):
        """A Wishbone port for whoever controls the SoC; with a processor this would be the processor's."""
        host = wishbone.Interface(data_width=32, adr_width=30)
        platform.add_extension(host.get_ios("host"))
        self.comb += host.connect_to_pads(platform.request("host"), mode="slave")
        self.bus.add_master("host", host)

    def reading(self):
        """A DMA that reads RAM, with CSRs. A transfer is a frame: its last word has ``last``."""
        # "big" leaves the bytes of a word as they are: the first channel is the lowest byte.
        reader = ResetInserter()(WishboneDMAReader(wishbone.Interface(), endianness="big", with_csr=True))
        # The words in its FIFO are lost with the frame that the block loses.
        self.comb += reader.reset.eq(self.se.soft_reset)
        return reader

    def writing(self):
        """A DMA that writes RAM, with CSRs. It is done after ``last``, or after its length."""
        writer = WishboneDMAWriter(wishbone.Interface(), endianness="big")
        # By default it takes and drops what comes before it is enabled.
        writer.add_ctrl(ready_on_idle=0)
        writer.add_csr()
        return writer


def build(folder, **options):
    """Write the SoC into `folder`: the block's Verilog, soc.v, and soc.svd, which has all CSRs.

    Returns the :class:`SoC` and the Verilog files.
    """
    soc = SoC(Platform(), out=str(folder / "block"), **options)
    Builder(soc, output_dir=str(folder), gateware_dir=str(folder), csr_svd=str(folder / "soc.svd")).build(
        build_name="soc", run=False)
    return soc, [folder / "soc.v", *(pathlib.Path(path) for path, *_ in soc.platform.sources)]
