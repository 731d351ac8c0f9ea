# SPDX-License-Identifier: Apache-2.0
"""A bench in SystemVerilog that checks itself, and its vectors."""

import pathlib
import re

import numpy as np

from ...hdl.parameters import stream_words
from ...hdl.timing import Timing
from ..block_spec import BlockSpec
from ..verilog import Port
from .core import Core
from .templates import declared, instance
from .vectors import vectors

__all__ = ["bench_files"]

TEMPLATE = pathlib.Path(__file__).with_name("bench.sv")
# The pieces that only the bench of a loadable block has. They may have places for values themselves.
LOADING = {
    "words_file": '  parameter W_FILE = "%{name}.params.hex",\n',
    "load_state": "  localparam int WORDS = %{words};\n  logic [31:0] w [0:WORDS-1];\n  int loading = 0;\n",
    "load_read": "    $readmemh(W_FILE, w);\n",
    "known": ", w_axis_tready",
    "load_check": '    if (status_load_error !== 0) $fatal(1, "FAIL: status_load_error");\n',
    "load_moves": " || (w_axis_tvalid && w_axis_tready)",
    "may_send": "status_loaded && ",
    "load_drive": """\
    if (!w_axis_tvalid || w_axis_tready) begin
      if (loading < WORDS && pauses[13:12] != 0) begin
        w_axis_tvalid <= 1;
        w_axis_tdata <= w[loading];
        w_axis_tlast <= loading == WORDS - 1;
        loading <= loading + 1;
      end else begin
        w_axis_tvalid <= 0;
        w_axis_tdata <= 'x;
        w_axis_tlast <= 'x;
      end
    end
"""}


def bench_files(spec: BlockSpec, core: Core) -> dict[str, tuple[bytes, str]]:
    """NAME_tb.sv, NAME.x.hex and NAME.y.hex, each as (content, purpose). Imports torch."""
    x, y = vectors(spec)
    files = {f"{core.name}_tb.sv": (_bench(spec, core, len(x)).encode(),
                                    "self-checking bench, for Verilator and Icarus Verilog")}
    for letter, beats, what in (("x", x, "input"), ("y", y, "output")):
        ending = f".{letter}.hex"
        files[core.name + ending] = (_hex(core, ending, beats, what).encode(),
                                     f"{what} beats of the bench, {len(beats)} of {8 * beats.shape[1]} bits, for "
                                     "$readmemh")
    return files


def _bench(spec: BlockSpec, core: Core, beats: int) -> str:
    loading = LOADING if core.loadable else dict.fromkeys(LOADING, "")
    streams = {interface.name: interface for interface in core.interfaces}
    values = {
        "name": core.name, "beats": str(beats),
        "patience": str(1000 + 4 * Timing(spec.config).tile_latency),
        "x_high": str(streams["s_axis"].bits - 1), "y_high": str(streams["m_axis"].bits - 1),
        "signals": "".join(f"  {declared(port, 'logic')}{_initial(port)};\n" for port in core.ports
                           if port.name not in ("clk", "rst")),
        "instance": instance(core, "dut"),
        "words": str(len(stream_words(spec.config, spec.quantised.parameters)) if core.loadable else 0)}
    # Without its first line, the licence of the template.
    text = _filled(_filled(TEMPLATE.read_text().partition("\n")[2], loading), values)
    return core.head("_tb.sv", "//", "checks the block on a short frame against the golden model") + text


def _initial(port: Port) -> str:
    """What drives a handshake of the block begins at 0."""
    return " = 0" if port.direction == "input" and port.signal in ("tvalid", "tready") else ""


def _filled(text: str, values: dict[str, str]) -> str:
    """`text` with each ``%{name}`` of `values` replaced."""
    return re.sub(r"%\{(\w+)\}", lambda place: values.get(place[1], place[0]), text)


def _hex(core: Core, ending: str, beats: np.ndarray, what: str) -> str:
    """A file for $readmemh: a beat a line, its high byte first."""
    lines = "".join(f"{beat.tobytes().hex()}\n" for beat in beats[:, ::-1])
    return core.head(ending, "//", f"{what} beats of the bench") + lines
