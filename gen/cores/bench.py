# SPDX-License-Identifier: Apache-2.0
"""A bench in SystemVerilog that checks itself, and its vectors."""

import pathlib
import re

import numpy as np

from ...hdl.parameters import stream_words
from ...hdl.timing import Timing
from ..block_spec import BlockSpec
from ..registers.register_map import Register
from ..verilog import Port
from .core import Core
from .templates import declared, instance
from .vectors import vectors

__all__ = ["bench_files"]

TEMPLATE = pathlib.Path(__file__).with_name("bench.sv")
SOFTWARE = pathlib.Path(__file__).with_name("bench_registers.sv")
# The pieces in which benches differ. They may have places for values themselves.
NOTHING = dict.fromkeys(("words_file", "load_state", "load_read", "known", "load_check", "load_moves", "may_send",
                         "load_drive", "software"), "")
PASSES = '      $display("PASS: %{name}, %0d frames of %0d beats", FRAMES, BEATS);\n      $finish;\n'
# Of every loadable block.
WORDS = {
    "words_file": '  parameter W_FILE = "%{name}.params.hex",\n',
    "load_state": "  localparam int WORDS = %{words};\n  logic [31:0] w [0:WORDS-1];\n",
    "load_read": "    $readmemh(W_FILE, w);\n",
    "load_check": '    if (status_load_error !== 0) $fatal(1, "FAIL: status_load_error");\n'}
# Of one that is loaded through w_axis.
LOADING = WORDS | {
    "load_state": WORDS["load_state"] + "  int loading = 0;\n",
    "known": ", w_axis_tready",
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
# Of one with registers.
REGISTERS = {
    "known": ", s_axil_awready, s_axil_wready, s_axil_bvalid, s_axil_arready, s_axil_rvalid",
    "load_moves": " || (s_axil_bvalid && s_axil_bready) || (s_axil_rvalid && s_axil_rready)",
    "may_send": "running && ",
    "load_drive": "    s_axil_bready <= pauses[18:17] != 0;\n    s_axil_rready <= pauses[23:22] != 0;\n"}
SOFTWARE_LOADS = """\
    // The words of a stream, after its first, are taken as fast as they are written.
    for (int i = 0; i < WORDS; i++) begin
      if (i < 2) wait_for(STATUS_LOAD_READY);
      write(i == WORDS - 1 ? LOAD_LAST : LOAD, w[i]);
    end
    wait_for(STATUS_LOADED);
"""
AT_END = """\
      if (ended) $fatal(1, "FAIL: s_axil gives no answer");
      ended <= 1;
"""


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
    streams = {stream.name: stream for stream in core.streams}
    values = {
        "name": core.name, "beats": str(beats),
        "patience": str(1000 + 4 * Timing(spec.config).tile_latency),
        "x_high": str(streams["s_axis"].bits - 1), "y_high": str(streams["m_axis"].bits - 1),
        "signals": "".join(f"  {declared(port, 'logic')}{_initial(port)};\n" for port in core.ports
                           if port.name not in ("clk", "rst")),
        "instance": instance(core, "dut"),
        "words": str(len(stream_words(spec.config, spec.quantised.parameters)) if core.loadable else 0)}
    # Without its first line, the licence of the template.
    text = _filled(_filled(TEMPLATE.read_text().partition("\n")[2], _pieces(core)), values)
    return core.head("_tb.sv", "//", "checks the block on a short frame against the golden model") + text


def _pieces(core: Core) -> dict[str, str]:
    """The pieces of the template, by their places."""
    if not core.registers:
        return NOTHING | {"at_end": PASSES} | (LOADING if core.loadable else {})
    software = _filled(SOFTWARE.read_text().partition("\n\n")[2], {
        "constants": "".join(_constant(one) for one in core.registers if not one.constant),
        "identify": "".join(f"    check(12'h{one.offset:03x}, 32'h{one.reset:08x}, \"{one.name}\");\n"
                            for one in core.registers if one.constant),
        "load": SOFTWARE_LOADS if core.loadable else "",
        "loaded": "STATUS_LOADED | STATUS_LOAD_READY" if core.loadable else "0"})
    return NOTHING | (WORDS if core.loadable else {}) | REGISTERS | {"at_end": AT_END, "software": f"{software}\n"}


def _constant(register: Register) -> str:
    """The address of a register, and the masks of bits that the block changes."""
    text = f"  localparam logic [11:0] {register.name} = 12'h{register.offset:03x};\n"
    return text + "".join(f"  localparam logic [31:0] {register.name}_{field.name.upper()} = 32'h{field.mask:08x};\n"
                          for field in register.fields if field.volatile and field.width == 1)


def _initial(port: Port) -> str:
    """What drives a handshake of the block begins at 0."""
    return " = 0" if port.direction == "input" and port.signal.endswith(("valid", "ready")) else ""


def _filled(text: str, values: dict[str, str]) -> str:
    """`text` with each ``%{name}`` of `values` replaced."""
    return re.sub(r"%\{(\w+)\}", lambda place: values.get(place[1], place[0]), text)


def _hex(core: Core, ending: str, beats: np.ndarray, what: str) -> str:
    """A file for $readmemh: a beat a line, its high byte first."""
    lines = "".join(f"{beat.tobytes().hex()}\n" for beat in beats[:, ::-1])
    return core.head(ending, "//", f"{what} beats of the bench") + lines
