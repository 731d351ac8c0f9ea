# SPDX-License-Identifier: Apache-2.0
"""A block and the compiled transactor in one shared library, run in this process without cocotb.

It starts at once, and one build can have many variants of a block that an input selects; mutation testing and soak use
it. A job gives the same beats in the same cycles as in the cocotb test benches.
"""

import ctypes
import dataclasses
import functools
import threading
import time
from pathlib import Path

from ..hdl.errors import reason
from . import cxxrtl, harness, verilate
from .build import entry
from .cache import Cache, digest
from .ports import INSTANCE, input_bits, module_ports, signal_bits
from .result import ModelError, SimResult, SimulationError, findings
from .taps import first_difference, recorded
from .transactor import Transactor

__all__ = ["ENGINES", "Model", "build_model"]

ENGINES = ("verilator", "cxxrtl")

_LIBRARY = "model.so"
# An error in the model must raise an exception here, not end the process.
_SHARED = ("-fPIC", "-fno-semantic-interposition", "-DVL_USER_FATAL", "-DVL_USER_FINISH", "-DVL_USER_STOP")
_SOURCES = ("bench.sv", "find.h", "standalone.h", "verilated.cpp", "cxxrtl.cpp")
_MOST_SELECT_BITS = 32
# Verilator takes seeds from 1 to 2**31 - 1.
_SEEDS = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Model:
    """A block that runs jobs, one at a time. It can be pickled for other processes of this machine.

    ``library`` is in the cache; ``seconds`` is the time of the build, and ``cached`` whether it was there already.
    ``ports`` has the block's ports and their bits, ``select`` the name and bits of the input that is held constant, or
    None, ``taps`` the stage taps, each with the bits of its data and of its index.
    """

    library: Path
    seconds: float
    cached: bool
    engine: str
    ports: dict
    select: tuple | None = None
    taps: tuple = ()

    def run(self, job, *, seed=1, select=0, golden_stages=None):
        """Run ``job`` in a new model and return its :class:`.result.SimResult`.

        The job's random pauses come from its own seed; ``seed`` decides the values of uninitialised state, if the
        engine makes them random (verilator). ``select`` is the constant value of that input. If ``golden_stages`` are
        given, as :func:`.taps.first_difference` takes them, the result has the taps' first difference from them.

        Raises ValueError if the job has taps or other beats than the block's, or `select` doesn't fit into its input,
        ModelError if the design has no stable state or ended the simulation, SimulationError if the library is no
        longer in the cache.
        """
        if job.taps:
            raise ValueError(f"taps: {len(job.taps)}; must be none: they are given when the model is built")
        job.check_ports(self.ports)
        most = 2 ** self.select[1] - 1 if self.select else 0
        if not 0 <= select <= most:
            raise ValueError(f"select={select}: must be from 0 to {most}")
        library, lock = _load(self.library)
        with lock:
            return self._run(library, job, seed % _SEEDS + 1, select, golden_stages)

    def _run(self, library, job, seed, select, golden_stages):
        bench = Transactor(library, job, self.ports)
        for tap, *bits in self.taps if golden_stages else ():
            path = [harness.bench_top(tap["module_path"].split(".")[0], False), INSTANCE]
            scope = ".".join([*path, *tap["module_path"].split(".")[1:]])
            library.model_tap(*bench.watch(tap, scope, *bits))
        wall, cpu = time.perf_counter(), time.process_time()
        bench.start()
        complaint = library.model_run(seed, select)
        if complaint is not None:
            raise ModelError(f"the model failed: {complaint.decode(errors='replace')}")
        seconds = {"run_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
        bench.judge()
        outputs = bench.scoreboard.outputs
        difference = None if not golden_stages else first_difference(recorded(
            [tap for tap, *_ in self.taps], bench.scoreboard.section_frames, bench.taps, outputs, job),
            golden_stages)
        return SimResult(outputs=outputs, occupancy=bench.occupancy, **findings(bench), **seconds,
                         difference=difference)


@functools.cache
def _load(path):
    """The library at `path`, and a lock, as it can run only one job at a time."""
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise SimulationError(f"{reason(error)}; it has to be built again") from error
    library.model_run.restype, library.model_run.argtypes = ctypes.c_char_p, (ctypes.c_uint64, ctypes.c_uint64)
    text, integer = ctypes.c_char_p, ctypes.c_int64
    library.model_tap.restype, library.model_tap.argtypes = None, (text, text, text, text, integer, integer)
    return library, threading.Lock()


def build_model(verilog_text, top, *, engine="verilator", source=None, select=None, taps=(), cache=None):
    """Build the module ``top`` of ``verilog_text``; these, `cache` and BuildError are as for `.build.build_simulation`.

    Parameters
    ----------
    engine : str
        One of ``ENGINES``. ValueError is raised for another one, and for an option that the engine doesn't have.
    source : str, optional
        For engine cxxrtl, which needs it: the C++ that yosys' ``write_cxxrtl`` made of ``top``, flattened.
    select : str, optional
        An input of `top`, of at most 32 bits (else ValueError), that is constant during a run.
    taps : sequence of dict, optional
        For engine verilator: internal signals to make visible, see :mod:`.taps`. They cost some speed.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine={engine!r}: must be one of {', '.join(ENGINES)}")
    if (source is None) != (engine == "verilator"):
        raise ValueError(f"source: must be given for engine cxxrtl, and for no other; engine={engine!r}")
    if taps and engine != "verilator":
        raise ValueError(f"taps: {len(taps)}; must be none for engine {engine}")
    start = time.perf_counter()
    cache = Cache() if cache is None else cache
    ports = module_ports(verilog_text, top)
    if select is not None:
        select = (select, input_bits(verilog_text, top, select))
        if select[1] > _MOST_SELECT_BITS:
            raise ValueError(f"select={select[0]!r}: has {select[1]} bits; must have at most {_MOST_SELECT_BITS}")
    taps = tuple((dict(tap), *(signal_bits(verilog_text, tap["module_path"], tap[role]) if tap[role] else 0
                               for role in ("data", "index"))) for tap in taps)
    sources = [*(verilate.CPP / name for name in _SOURCES), Path(__file__),
               *(Path(module.__file__) for module in (cxxrtl, harness, verilate))]
    identity = [verilate.runtime_identity(_SHARED), cxxrtl.identity() if engine == "cxxrtl" else None,
                [source.read_text() for source in sources]]
    key = digest(verilog_text, source, top, engine, select, [tap for tap, *_ in taps], identity)

    def compiling():
        runtime = verilate.runtime(cache, _SHARED)
        if engine == "cxxrtl":
            header = cxxrtl.header(cache, _SHARED)
            return lambda work: _compile_cxxrtl(work, runtime, header, source, top, ports, select)
        return lambda work: _compile_verilated(work, runtime, verilog_text, top, ports, select, taps)

    folder, cached = entry(cache, f"{key}-{engine}", _LIBRARY, compiling)
    return Model(folder / _LIBRARY, time.perf_counter() - start, cached, engine, ports, select, taps)


def _compile_verilated(folder, runtime, verilog_text, top, ports, select, taps):
    (folder / "design.v").write_text(verilog_text)
    (folder / "control.vlt").write_text(harness.control_file([tap for tap, *_ in taps]))
    (folder / "ports.svh").write_text(harness.ports_file(top, ports, select))
    fast, slow = verilate.translate(folder, ["--top-module", harness.bench_top(top, False), "+incdir+.", "control.vlt",
                                             "design.v", str(verilate.CPP / "bench.sv")])
    units = {"fast": (verilate.FAST, [*fast, verilate.CPP / "verilated.cpp"]), "slow": (verilate.SLOW, slow)}
    flags = [f"-DBENCH_DIRECT={int(verilate.direct([*fast, *slow]))}", f"-DBENCH_SELECT={int(select is not None)}"]
    verilate.compile_units(folder, units, [*verilate.cxx_flags(False), *_SHARED, *flags], runtime)
    _link(folder, units, runtime, ("verilated", "verilated_threads", "verilated_dpi"))


def _compile_cxxrtl(folder, runtime, header, source, top, ports, select):
    (folder / "design.cc").write_text(source)
    (folder / "pins.h").write_text(cxxrtl.pins(top, ports, select))
    cxxrtl.compile_model(folder, header, _SHARED)
    _link(folder, ("model",), runtime, ())


def _link(folder, units, runtime, names):
    """Link the objects of ``units`` with the transactor and objects `names` of Verilator's runtime."""
    # A process may load several libraries with the same symbols.
    verilate.link(folder, units, runtime, [*names, verilate.TRANSACTOR], ["-shared", "-Wl,-Bsymbolic"], _LIBRARY)
