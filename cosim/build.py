# SPDX-License-Identifier: Apache-2.0
"""Verilog text to a simulation that cocotb can drive, made once and then taken from the cache."""

import contextlib
import dataclasses
import hashlib
import json
import shutil
import time
from pathlib import Path

from . import harness, icarus, verilate
from .cache import Cache
from .ports import module_ports
from .tools import BuildError

__all__ = ["SIMULATORS", "STANDARDS", "Build", "BuildError", "build_simulation", "digest", "entry"]

SIMULATORS = ("verilator", "icarus")
STANDARDS = ("2005", "2012")


@dataclasses.dataclass(frozen=True)
class Build:
    """A simulation to run.

    ``executable`` lies in the cache, ``seconds`` is what it took to get it, ``cached`` whether it was there before.
    ``taps`` are the block's stage taps (see :mod:`.taps`), ``tapped`` tells whether it makes them visible; ``waves``
    whether it can write waves; ``ports`` are the block's ports with their bits; ``per_beat`` tells whether Python
    moves the beats. ``text`` is the Verilog, ``cache`` where the executable lies.
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

    def with_taps(self):
        """The same with visible taps; the first time it takes as long as the first build."""
        if self.tapped:
            return self
        return build_simulation(self.text, self.top, self.taps, self.waves, tapped=True, cache=self.cache)

    @property
    def bench_top(self):
        """The module at the top of the simulation: the block, or the bench round it."""
        return harness.bench_top(self.top, self.per_beat)

    def command(self, seed, wave_file=None):
        """The command that runs it; ``seed`` decides what uninitialised state starts with."""
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
    """Build the module ``top`` of ``verilog_text``.

    Parameters
    ----------
    verilog_text : str
        Complete: nothing else is read.
    top : str
        A module with the ports of DESIGN: ``clk``, ``rst``, ``s_axis_*``, ``m_axis_*``, optionally ``w_axis_*``.
    taps : sequence of dict
        Internal signals to make visible when they are asked for, see :mod:`.taps`.
    waves : bool
        Whether runs can write a VCD file.
    per_beat : bool
        Whether beats are moved by Python, a call of the drivers a cycle, instead of compiled code. Icarus always does
        it so.
    tapped : bool
        Whether the taps are visible, which costs a tenth of the speed. Where Python moves the beats they always are.
    simulator : str
        One of ``SIMULATORS``.
    standard : str
        Verilog standard for Icarus, one of ``STANDARDS``; Verilator takes all of them at once.
    cache : Cache, optional
        Where builds are kept; the user's own cache if None.

    Raises
    ------
    BuildError
        A tool is missing or has failed, the module or a port is missing, or the cache folder can't be written.
    ValueError
        Unknown simulator or standard.
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
                 tapped, verilog_text, cache)


def entry(cache, key, name, compiling):
    """The cache's folder with the executable `name`, and whether it was there.

    If not, ``compiling()`` gives a function that leaves it in a folder for scratch files.
    """
    with _writable(cache):
        folder = cache.find(key)
        if folder is not None:
            return folder, True
        # Not inside of make: it may need another entry, and the cache's locks don't nest.
        compile_design = compiling()

        def make(folder):
            work = folder / "work"
            work.mkdir()
            compile_design(work)
            (work / name).rename(folder / name)
            shutil.rmtree(work)

        return cache.get(key, make)


def digest(*parts):
    """A key for the cache: different for different parts, which are JSON-serialisable."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


@contextlib.contextmanager
def _writable(cache):
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise BuildError(f"build cache {cache.root}: {error.strerror}{where}; TILED_SE_CACHE names another folder"
                         ) from error
