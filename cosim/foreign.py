# SPDX-License-Identifier: Apache-2.0
"""Any Verilog module in Verilator under a cocotb test of its own, by the same builds and from the same cache."""

import importlib.metadata
import subprocess
from pathlib import Path

import cocotb_tools.config
from cocotb_tools.check_results import get_results

from . import verilate
from .build import entry
from .cache import Cache, digest
from .environment import cocotb_environment
from .result import SimulationError

__all__ = ["build_module", "run_module"]

_LOG, _XML = "simulation.log", "results.xml"
_RUNTIME = ("verilated", "verilated_vpi", "verilated_threads")


def build_module(verilog_text, top, written, read, cache=None):
    """Build module `top` of ``verilog_text``, the complete design, or take it from the cache; the executable's path.

    ``written`` and ``read`` are names of the ports, or of other signals of the module, that the tests write and read.
    Raises BuildError where a tool is missing or has failed, or the cache can't be written.
    """
    cache = Cache() if cache is None else cache
    control = "\n".join(["`verilator_config", *(
        f'public_flat_{kind} -module "{top}" -var "{name}"'
        for kind, names in (("rw", written), ("rd", read)) for name in names)]) + "\n"
    key = digest(verilog_text, top, control, verilate.runtime_identity(), importlib.metadata.version("cocotb"),
                 str(cocotb_tools.config.libs_dir), Path(__file__).read_text(), Path(verilate.__file__).read_text())

    def compiling():
        runtime = verilate.runtime(cache)
        return lambda work: _compile(work, runtime, verilog_text, top, control)

    folder, _ = entry(cache, f"{key}-module", verilate.EXECUTABLE, compiling)
    return folder / verilate.EXECUTABLE


def _compile(folder, runtime_folder, verilog_text, top, control):
    """Make the executable in `folder`, with cocotb's own ``main``."""
    (folder / "design.v").write_text(verilog_text)
    (folder / "control.vlt").write_text(control)
    fast, slow = verilate.translate(folder, ["--vpi", "--top-module", top, "control.vlt", "design.v"])
    main = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    units = {"fast": (verilate.FAST, fast), "slow": (verilate.SLOW, [*slow, main])}
    verilate.compile_units(folder, units, verilate.cxx_flags(False), runtime_folder)
    library = cocotb_tools.config.lib_name_path("vpi", "verilator")
    verilate.link(folder, units, runtime_folder, _RUNTIME, [str(library), f"-Wl,-rpath,{library.parent}", "-rdynamic"])


def run_module(executable, top, module, folder, seed=1):
    """Run the cocotb tests of the Python `module` in a simulation of `top`; the numbers of tests, and of failed ones.

    The log and what the tests write are in `folder`, in which the simulation runs. ``seed`` decides the values of
    uninitialised state. Raises SimulationError where no result is left.
    """
    folder = Path(folder).absolute()
    (folder / _XML).unlink(missing_ok=True)
    with open(folder / _LOG, "w") as log:
        status = subprocess.run(
            [str(executable), "+verilator+rand+reset+2", f"+verilator+seed+{seed}"], cwd=folder,
            env=cocotb_environment(module, top, folder / _XML, seed, True), stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, check=False).returncode
    try:
        return get_results(folder / _XML)
    except (OSError, RuntimeError) as error:
        raise SimulationError(f"the simulation left no result (status {status}); its log is {log.name}") from error
