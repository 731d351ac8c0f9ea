# SPDX-License-Identifier: Apache-2.0
"""`tiled-se soak`: random blocks and hostile streams, then hostile command lines; results and a table of them."""

import contextlib
import dataclasses
import functools
import importlib.util
import os
import time

from ...batch.local import Local, cores
from ...batch.pool import run_all
from ...batch.progress import Progress
from ...batch.store import Store, digest
from ...gen.errors import UsageError
from ...gen.files import json_bytes, output_folder, write_all
from ...hdl.config import ConfigError
from ..options import SoakOptions
from .summary import failed, summarise, table
from .work import identity, work

__all__ = ["soak"]

RESULTS, FILE, ONLY = "configurations", "soak.json", "only.json"
# How a reason begins where a tool is missing, or has failed.
BUILD = "BuildError: "
# Lines of progress that the command lines' part has.
LINES = 40


def soak(options: SoakOptions) -> bool:
    """Stream `options.beats` beats at least through `options.builds` random blocks, then try `options.lines` lines.

    Parameters
    ----------
    options : SoakOptions
        ``beats``, ``builds``, ``lines``, ``seed``, ``jobs`` count; ``only`` has the numbers (texts) of configurations
        that are done alone, once more, with their Verilog and simulations kept, or is None.
        The folder gets ``soak.json``, or ``only.json`` if some are done alone; finished configurations are kept there,
        and not done again by the next run.

    Returns
    -------
    bool
        Whether no beat was lost or wrong, and nothing else was.

    Raises
    ------
    ConfigError, UsageError
        Before anything is done: a wrong option, or packages that are missing.
    BuildError
        Where no block at all could be built.
    """
    folder = output_folder(options)
    if importlib.util.find_spec("tqdm") is None:
        raise UsageError("soak needs tqdm: pip install 'tiled-se[verify]'")
    numbers = _numbers(options)
    start = time.monotonic()
    name = FILE if options.only is None else ONLY
    # Beside a run that was interrupted it would pass for its results.
    with contextlib.suppress(OSError):
        os.remove(os.path.join(folder, name))
    run = _Run(options, folder)
    try:
        reasons = run.simulate(numbers, _engine(options)) if numbers else {}
    except BaseException:
        print(f"{len(run.results)} configurations are finished; the same command continues", flush=True)
        raise
    _require_tools(run.results, reasons)
    commands = _commands(options, folder) if options.lines and options.only is None else None
    found = summarise(options, [run.results[number] for number in sorted(run.results)], reasons, commands)
    write_all(folder, {name: json_bytes(found)})
    print(table(found))
    print(f"{'took':<12}{(time.monotonic() - start) / 60:.1f} minutes")
    print(f"wrote       {os.path.join(folder, name)}")
    return _enough(found, options, numbers) and not found["failed"] and not (commands and commands.failures)


def _enough(found, options, numbers):
    """Whether as many beats as were asked for have come out; tells if not, and what was left out."""
    if options.only is not None:
        if options.lines:
            print("left out    all command lines: ONLY names configurations")
        return True
    if not numbers or found["beats"] >= options.beats:
        return True
    print(f"{'failed':<12}{found['beats']:,} beats came out, of {options.beats:,}")
    return False


def _numbers(options):
    """The numbers of the configurations to do; ConfigError where nothing is asked for, or what would be left out."""
    numbers = range(options.builds if options.beats else 0)
    if options.only is not None:
        if not options.beats:
            raise ConfigError("beats", 0, "leaves nothing to do with ONLY; must be at least 1")
        return sorted({_number(text, options.builds) for text in options.only})
    if not numbers and not options.lines:
        raise ConfigError("lines", 0, "leaves nothing to do, with BUILDS=0 or BEATS=0")
    return numbers


def _require_tools(results, reasons):
    """Raise BuildError where there is no result at all, because no block could be built."""
    texts = list(reasons.values())
    if texts and not results and all(text.startswith(BUILD) for text in texts):
        from ...cosim.build import BuildError

        raise BuildError(texts[0].removeprefix(BUILD))


def _number(text, count):
    """The number of a configuration, of `count`."""
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) < count):
        raise ConfigError("only", text, f"must be the number of a configuration, less than BUILDS={count}")
    return int(text)


def _engine(options):
    return Local(options.jobs or cores())


@dataclasses.dataclass(eq=False)
class _Task:
    """A configuration's number; how it shows in the progress."""

    number: int
    text: str = ""

    def __str__(self):
        return f"configuration {self.number}{self.text}"


class _Run:
    """Configurations and their results, from earlier runs and from this one."""

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.share = -(-options.beats // max(options.builds, 1))
        self.store = Store(os.path.join(folder, RESULTS))
        self.results = {}

    def simulate(self, numbers, engine):
        """Have `engine` do what isn't kept; returns why configurations have no result, by number."""
        tasks = [_Task(number) for number in numbers]
        if self.options.only is None:
            self._look_up(tasks)
        missing = [task for task in tasks if task.number not in self.results]
        print(f"{len(tasks)} configurations of {self.share:,} beats at least, {len(self.results)} of them finished "
              f"before; {engine}; results in {self.folder}", flush=True)
        with Progress(len(tasks), len(self.results)) as progress:
            failures = run_all(missing, self._job, engine, progress, self._finish)
        return {task.number: reason for task, reason in failures.items() if task.number not in self.results}

    def _key(self, number):
        return digest(self.options.seed, number, self.share, identity())

    def _look_up(self, tasks):
        for task in tasks:
            if (found := self.store.load(self._key(task.number))) is not None:
                self.results[task.number] = found

    def _job(self, task):
        keep = None if self.options.only is None else os.path.join(self.folder, f"only-{task.number}")
        return functools.partial(work, self.options.seed, task.number, self.share, keep)

    def _finish(self, task, result):
        """Keep what is right; what isn't is done again by the next run."""
        self.results[task.number] = result
        sums = {name: sum(found[name] for found in self.results.values()) for name in ("beats", "lost", "wrong")}
        task.text = (f": {result['block']}; {result['beats']:,} beats, so far {sums['beats']:,}, "
                     f"{sums['lost']:,} lost, {sums['wrong']:,} wrong")
        if not failed(result):
            self.store.save(self._key(task.number), result)
            return None
        return (result["faults"] or ["beats lost or wrong"])[0]


def _commands(options, folder):
    """Random command lines and damaged files: what came of them."""
    # What it takes is not needed for the streams.
    from .hostile import hostile

    every = -(-options.lines // LINES)

    def progress(done, failures):
        if done % every == 0:
            print(f"[{done:,}/{options.lines:,}] command lines, {failures} failed", flush=True)

    print(f"{options.lines:,} command lines and damaged files", flush=True)
    return hostile(os.path.join(folder, "commands"), options.lines, options.seed, options.jobs or cores(), progress)
