# SPDX-License-Identifier: Apache-2.0
"""Builds a simulation that cocotb can drive from Verilog text, or takes it from the cache."""

import contextlib
import dataclasses
import shutil
import time
from pathlib import Path

from ..hdl.errors import reason
from . import harness, icarus, verilate
from .cache import Cache, digest
from .ports import module_ports
from .tools import BuildError, compiler, compiler_error

__all__ = ["SIMULATORS", "STANDARDS", "Build", "BuildError", "build_simulation", "entry"]

SIMULATORS = ("verilator", "icarus")
STANDARDS = ("2005", "2012")


@dataclasses.dataclass(frozen=True)
class Build:
    """A simulation to run.

    ``executable`` is in the cache; ``seconds`` is the time of the build, and ``cached`` whether it was there already.
    ``taps`` are the block's stage taps (see :mod:`.taps`), ``tapped`` is whether they are visible, ``waves`` whether it
    can write waves, ``per_beat`` whether Python moves the beats. ``ports`` has the block's ports and their bits,
    ``text`` the Verilog, ``standard`` its version, ``cache`` the cache.
    """

    executable: Path
    seconds: float
    cached: bool
    top: str
    taps: tuple = ()
    waves: bool = False
    simulator: str = "verilator"
    per_beat: bool = False
    ports: dict = dataclasses.field(default_factory=dict)
    tapped: bool = True
    text: str = dataclasses.field(default="", repr=False)
    cache: Cache | None = None
    standard: str = "2012"

    def restored(self):
        """The same build, made again; None where the cache has it as it was made."""
        if self.cache is None or self.cache.find(self.executable.parent.name):
            return None
        return build_simulation(self.text, self.top, self.taps, self.waves, per_beat=self.per_beat, tapped=self.tapped,
                                simulator=self.simulator, standard=self.standard, cache=self.cache)

    def with_taps(self):
        """The same build with visible taps. It is compiled when first needed."""
        if self.tapped:
            return self
        return build_simulation(self.text, self.top, self.taps, self.waves, tapped=True, cache=self.cache)

    @property
    def bench_top(self):
        """The module at the top of the simulation: the block, or the test bench around it."""
        return harness.bench_top(self.top, self.per_beat)

    def command(self, seed, wave_file=None):
        """The command that runs it; ``seed`` decides the values of uninitialised state."""
        if self.simulator == "icarus":
            return icarus.command(self.executable, wave_file)
        arguments = []
        if wave_file is not None:
            arguments = ["--trace", "--trace-file", str(wave_file)] if self.per_beat else [f"+trace={wave_file}"]
        # Verilator takes seeds from 1 to 2**31 - 1.
        return [str(self.executable), "+verilator+rand+reset+2",
                f"+verilator+seed+{seed % (2**31 - 1) + 1}", *arguments]


def build_simulation(verilog_text, top, taps=(), waves=False, *, per_beat=False, tapped=False, simulator="verilator",
          standard="2012", cache=None):
    """Build the module ``top`` of ``verilog_text``, the complete design, or take it from the cache.

    Parameters
    ----------
    top : str
        A module with the ports ``clk``, ``rst``, ``s_axis_*``, ``m_axis_*``, and optionally ``w_axis_*``, ``status_*``.
    taps : sequence of dict
        Internal signals that can be made visible, see :mod:`.taps`.
    waves : bool
        Whether runs can write a VCD file.
    per_beat : bool
        Whether Python moves the beats, with a call of the drivers each cycle, instead of compiled code. With Icarus it
        always does.
    tapped : bool
        Whether the taps are visible, which costs a tenth of the speed. If Python moves the beats they always are.
    simulator, standard : str
        One of ``SIMULATORS``; the Verilog standard for Icarus, one of ``STANDARDS``: Verilator accepts all of them.
        ValueError is raised for any other.
    cache : Cache, optional
        None: the user's own cache.

    Raises
    ------
    BuildError
        A tool is missing or has failed, the module or a port is missing, or the cache folder can't be written.
    """
    if simulator not in SIMULATORS:
        raise ValueError(f"simulator={simulator!r}: must be one of {', '.join(SIMULATORS)}")
    if standard not in STANDARDS:
        raise ValueError(f"standard={standard!r}: must be one of {', '.join(STANDARDS)}")
    start = time.perf_counter()
    cache = Cache() if cache is None else cache
    taps = tuple(dict(tap) for tap in taps)
    per_beat = per_beat or simulator == "icarus"
    tapped = tapped or per_beat or not taps
    visible = taps if tapped else ()
    ports = module_ports(verilog_text, top)
    if simulator == "icarus":
        identity, name = icarus.identity(standard), icarus.EXECUTABLE
    else:
        identity, name = harness.identity(waves, per_beat), verilate.EXECUTABLE
    key = digest(verilog_text, top, visible, waves, simulator, identity)

    def compiling():
        if simulator == "icarus":
            return lambda work: icarus.compile_design(work, verilog_text, top, waves, standard)
        runtime = verilate.runtime(cache)
        return lambda work: harness.compile_design(work, runtime, verilog_text, top, ports, visible, waves, per_beat)

    folder, cached = entry(cache, key, name, compiling)
    return Build(folder / name, time.perf_counter() - start, cached, top, taps, waves, simulator, per_beat, ports,
                 tapped, verilog_text, cache, standard)


def entry(cache, key, name, compiling):
    """The cache's folder with the executable `name`, and whether it was there already.

    If not, ``compiling()`` returns a function that builds it in a scratch folder.
    """
    with _writable(cache):
        folder = cache.find(key)
        if folder is not None:
            return folder, True
        # Not inside of make: it may need another entry, and locks of the cache do not nest.
        compile_design = compiling()

        def make(folder):
            work = folder / "work"
            work.mkdir()
            compile_design(work)
            if not (work / name).exists():
                raise compiler_error(f"{compiler()[0]} made no {name}; must be a C++ compiler")
            (work / name).rename(folder / name)
            shutil.rmtree(work)

        try:
            return cache.get(key, make)
        except BuildError:
            # The entry that it needs may have been removed meanwhile. If so, it is made again, and is used.
            made = cache.made
            compile_design = compiling()
            if cache.made == made:
                raise
            return cache.get(key, make)


@contextlib.contextmanager
def _writable(cache):
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise BuildError(f"build cache {cache.root}: {reason(error)}{where}; TILED_SE_CACHE names another folder"
                         ) from error
