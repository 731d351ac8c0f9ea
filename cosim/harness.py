# SPDX-License-Identifier: Apache-2.0
"""Simulations for cocotb with Verilator, of two kinds.

If compiled code moves the beats, the top is ``cpp/bench.sv`` around the block, with this project's ``main``. If Python
moves them, the top is the block, with cocotb's ``main``. Only the signals that the test bench needs are public.
"""

import importlib.metadata
from pathlib import Path

import cocotb_tools.config

from . import verilate
from .ports import INSTANCE, status_ports

__all__ = ["bench_top", "compile_design", "control_file", "identity", "ports_file"]

# Ports that Python drives or reads. Few are writable, because Verilator re-evaluates all logic that depends on a
# publicly writable signal. The registers' port is that of a block which has one, for a test that drives it.
_WRITTEN_PORTS = ("clk", "rst", "s_axis_tdata", "s_axis_tvalid", "s_axis_tlast", "w_axis_tdata", "w_axis_tvalid",
                  "w_axis_tlast", "m_axis_tready", "s_axil_*")
_READ_PORTS = ("s_axis_tready", "w_axis_tready", "m_axis_tdata", "m_axis_tvalid", "m_axis_tlast", "status_*")
_TRACE_FLAGS = ("--trace-vcd", "--trace-structs")
_RUNTIME = ("verilated", "verilated_vpi", "verilated_vcd_c", "verilated_threads", "verilated_dpi")
_BENCH = "cosim_bench"
_SOURCES = (*(verilate.CPP / name for name in ("bench.sv", "main.cpp", "find.h")), *(
    Path(__file__).parent / f"{name}.py" for name in ("harness", "ports", "verilate")))


def identity(waves, per_beat):
    """Everything except the design that decides the result of ``compile_design``; JSON-serialisable."""
    # The options of Verilator and the compiler are in the sources.
    return [waves, per_beat, verilate.flags_identity(waves), verilate.runtime_identity(),
            importlib.metadata.version("cocotb"), str(cocotb_tools.config.libs_dir),
            [source.read_text() for source in _SOURCES]]


def bench_top(top, per_beat):
    """The simulation's top module, for a block whose module is `top`."""
    if per_beat:
        return top
    return _BENCH if top != _BENCH else f"{_BENCH}_"


def compile_design(folder, runtime_folder, verilog_text, top, ports, taps, waves, per_beat):
    """Make ``EXECUTABLE`` in ``folder``. Scratch files are left there; the caller removes them."""
    (folder / "design.v").write_text(verilog_text)
    (folder / "control.vlt").write_text(control_file(taps, top if per_beat else None))
    (folder / "ports.svh").write_text(ports_file(top, ports))
    bench = [] if per_beat else [str(verilate.CPP / "bench.sv")]
    fast, slow = verilate.translate(folder, [
        "--vpi", *(_TRACE_FLAGS if waves else ()), "--top-module", bench_top(top, per_beat), "+incdir+.", "control.vlt",
        "design.v", *bench])
    main = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    units = {"fast": (verilate.FAST, [*fast, *([] if per_beat else [verilate.CPP / "main.cpp"])]),
             "slow": (verilate.SLOW, [*slow, *([main] if per_beat else [])])}
    flags = [*verilate.cxx_flags(waves), f"-DBENCH_DIRECT={int(verilate.direct([*fast, *slow]))}"]
    verilate.compile_units(folder, units, flags, runtime_folder)
    library = cocotb_tools.config.lib_name_path("vpi", "verilator")
    # Python finds the transactor's functions in the executable itself.
    verilate.link(folder, units, runtime_folder, [*_RUNTIME, *([] if per_beat else [verilate.TRANSACTOR])],
                  [str(library), f"-Wl,-rpath,{library.parent}", "-rdynamic"])


def control_file(taps, top=None):
    """Verilator's list of public signals: those of `taps`, and the ports of module `top`, if it is given."""
    lines = ["`verilator_config"]
    if top is not None:
        lines += [f'public_flat_rw -module "{top}" -var "{port}"' for port in _WRITTEN_PORTS]
        lines += [f'public_flat_rd -module "{top}" -var "{port}"' for port in _READ_PORTS]
    for tap in taps:
        lines += [f'public_flat_rd -module "{tap["module_path"]}" -var "{tap[role]}"'
                  for role in ("valid", "index", "data") if tap[role]]
    return "\n".join(lines) + "\n"


def ports_file(top, ports, select=None):
    """The macros for bench.sv; ``select`` is the name and bits of an input of `top` that is driven from outside."""
    status = status_ports(ports)
    wires = " ".join(f"wire [{ports[name] - 1}:0] {name};" for name in status)
    reports = " ".join(f"bench_status({number}, 32'({name}));" for number, name in enumerate(status))
    macros = {"BENCH": bench_top(top, False), "DUT": top, "INSTANCE": INSTANCE, "IN_BITS": ports["s_axis_tdata"],
              "OUT_BITS": ports["m_axis_tdata"],
              "STATUS_WIRES": wires, "STATUS_REPORT": reports, "SELECT_PORT": "", "SELECT_PIN": ""}
    if select is not None:
        name, bits = select
        macros |= {"SELECT_PORT": f", input bit [{bits - 1}:0] cosim_select", "SELECT_PIN": f", .{name}(cosim_select)"}
    return "".join(f"`define {name} {text}\n" for name, text in macros.items())
