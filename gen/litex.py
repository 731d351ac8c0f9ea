# SPDX-License-Identifier: Apache-2.0
"""The block as a module of LiteX, with its streams as endpoints and its status in CSRs. Needs litex.

    from tiled_se.gen.litex import TiledSE

    self.se = TiledSE(platform, k=7, width=56, channels=64)
"""

import dataclasses
import os
from typing import Any

from litex.gen import LiteXModule
from litex.soc.interconnect import stream
from litex.soc.interconnect.csr import CSRField, CSRStatus, CSRStorage
from migen import ClockSignal, If, Instance, ResetSignal, Signal

from ..hdl.config import ConfigError
from ..hdl.parameters import stream_words
from .block_files import block_files, check_block_files, register_files
from .block_spec import BlockSpec, prepare
from .cores.core import Interface, core_of
from .files import discard, output_folder, write_all
from .manifest import hardware_files
from .options import VerilogOptions
from .text_table import warn
from .verilog import Design, Port, generate, release

__all__ = ["TiledSE"]

# The block's streams as attributes of the module.
ENDPOINTS = {"s_axis": "sink", "m_axis": "source", "w_axis": "params"}
# The status output that counts; the others are bits.
PEAK = "status_peak_words"


class TiledSE(LiteXModule):
    """A block for the SoC of `platform`, of the clock domain "sys".

    `options` are those of :class:`~tiled_se.gen.VerilogOptions`, but for ``registers``: its CSRs are in their place.
    The block's files are written into the folder ``out``, by default build/NAME, and its Verilog is a source of the
    platform. Blocks of one platform need different names. Raises ConfigError, one line, for bad options; a source or
    file is then neither added nor written.

    Attributes
    ----------
    sink, source : stream.Endpoint
        ``data`` is tdata, ``last`` is tlast, which ends a frame. ``first`` is set on `source` and ignored on `sink`.
    params : stream.Endpoint
        Of loadable blocks only: the parameter stream, 32 bits of ``data``.
    soft_reset : Signal
        High while software holds the block in reset. Beats on their way to the block are then those of a lost frame:
        reset what sends them, too.
    parameter_words : list of int
        What to send there; empty for a baked block.
    spec : BlockSpec
        The formats of both streams (``format``, ``y_format``), the ``config``, and the quantised parameters.
    """

    def __init__(self, platform: Any, **options: Any) -> None:
        spec, design = _generated(platform, options)
        self.spec = spec
        self.parameter_words = stream_words(spec.config, spec.quantised.parameters) if spec.config.loadable else []
        core = core_of(spec, design, bench=False)
        ports = {port.name: Signal(port.width, name=port.name) for port in design.ports}
        self._add_constants()
        self._add_status(design, ports)
        self._add_control(design, ports)
        self.comb += [ports["clk"].eq(ClockSignal()), ports["rst"].eq(ResetSignal() | self.soft_reset)]
        for interface in core.streams:
            self._add_endpoint(interface, ports)
        self.specials += Instance(design.top, **{f"{port.direction[0]}_{port.name}": ports[port.name]
                                                 for port in design.ports})

    def _add_constants(self) -> None:
        """CSRs that tell which block it is."""
        major, minor, patch = release()
        self._version = CSRStatus(name="version", description="Version of tiled-se, which made the block.", fields=[
            CSRField("patch", 8, reset=patch, description="Patch."),
            CSRField("minor", 8, reset=minor, description="Minor."),
            CSRField("major", 8, reset=major, description="Major.")])
        self._fingerprint = CSRStatus(32, reset=self.spec.config.fingerprint, name="fingerprint", description=(
            "First word of the parameter streams that fit the block, or its loadable form."))

    def _add_status(self, design: Design, ports: dict[str, Signal]) -> None:
        """CSRs of all status outputs."""
        bits = {port.name.removeprefix("status_"): port for port in sorted(design.ports, key=lambda p: p.name != "busy")
                if port.name == "busy" or port.name.startswith("status_") and port.name != PEAK}
        self._status = CSRStatus(name="status", description="Status.", fields=[
            CSRField(name, description=_sentence(port)) for name, port in bits.items()])
        self.comb += [getattr(self._status.fields, name).eq(ports[port.name]) for name, port in bits.items()]
        peak = next(port for port in design.ports if port.name == PEAK)
        self._peak = CSRStatus(peak.width, name="peak_words", description=_sentence(peak))
        self.comb += self._peak.status.eq(ports[PEAK])

    def _add_control(self, design: Design, ports: dict[str, Signal]) -> None:
        """The CSR that resets the block and clears its errors."""
        clears = [port for port in design.ports if port.name.startswith("clear_")]
        self._control = CSRStorage(name="control", description="Control.", fields=[
            CSRField("reset", description="While it is 1 the block is in reset: it is empty, takes no beats, and a "
                                          "loadable one is unloaded."),
            *(CSRField(port.name, pulse=True, description=_sentence(port)) for port in clears)])
        self.comb += [ports[port.name].eq(getattr(self._control.fields, port.name)) for port in clears]
        self.soft_reset = Signal()
        self.comb += self.soft_reset.eq(self._control.fields.reset)

    def _add_endpoint(self, interface: Interface, ports: dict[str, Signal]) -> None:
        """A stream of the block as an endpoint."""
        name = ENDPOINTS[interface.name]
        endpoint = stream.Endpoint([("data", interface.bits)], name=name)
        setattr(self, name, endpoint)
        for port in interface.ports:
            outer, inner = getattr(endpoint, port.signal.removeprefix("t")), ports[port.name]
            self.comb += inner.eq(outer) if port.direction == "input" else outer.eq(inner)
        if not interface.incoming:
            first = Signal(reset=1)
            self.comb += endpoint.first.eq(first)
            self.sync += [If(endpoint.valid & endpoint.ready, first.eq(endpoint.last)), If(ports["rst"], first.eq(1))]


def _sentence(port: Port) -> str:
    """What a port carries, for the documentation of a CSR."""
    return f"{port.meaning[0].upper()}{port.meaning[1:]}."


def _generated(platform: Any, given: dict[str, Any]) -> tuple[BlockSpec, Design]:
    """The block of the options `given`; its files are written, and the Verilog is a source of `platform`."""
    options = VerilogOptions(**given)
    options = dataclasses.replace(options, out=options.out or os.path.join("build", options.name))
    if options.registers != "none":
        raise ConfigError("registers", options.registers, "must be none: LiteX has CSRs of its own")
    folder = output_folder(options)
    check_block_files(folder, options.name)
    source = os.path.abspath(os.path.join(folder, f"{options.name}.v"))
    for path, *_ in platform.sources:
        if os.path.basename(path) == os.path.basename(source):
            raise ConfigError("name", options.name, f"is that of {path} in this platform; must be another")
        if os.path.dirname(path) == os.path.dirname(source):
            raise ConfigError("out", folder, f"has {path} of this platform; must be another folder")
    spec = prepare(options)
    design = generate(spec.config, spec.baked, options.name, ram_style=options.ram_style, dsp_style=options.dsp_style,
                      clears=True)
    warn(spec.warnings)
    discard(folder, [*block_files(options.name), *register_files(options.name)])
    write_all(folder, {name: content for name, (content, _) in hardware_files(spec, design, bench=False).items()})
    platform.add_source(source)
    return spec, design
