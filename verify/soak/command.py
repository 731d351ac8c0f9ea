# SPDX-License-Identifier: Apache-2.0
"""`tiled-se soak`: random blocks and hostile streams, then hostile command lines; results and a table of them."""

import dataclasses
import functools
import importlib.util
import os
import time

from ...batch import Campaign, Local, cores
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
    results, reasons = _stream(options, folder, numbers, os.path.join(folder, name)) if numbers else ({}, {})
    _require_tools(results, reasons)
    commands = _commands(options, folder) if options.lines and options.only is None else None
    found = summarise(options, [results[number] for number in sorted(results)], reasons, commands)
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


@dataclasses.dataclass(eq=False)
class _Task:
    """A configuration's number; how it shows in the progress."""

    number: int
    text: str = ""

    def __str__(self):
        return f"configuration {self.number}{self.text}"


def _stream(options, folder, numbers, output):
    """Run the configurations `numbers`: their results, and why configurations have none or wrong ones, by number."""
    share = -(-options.beats // max(options.builds, 1))
    alone = options.only is not None

    def job(task):
        keep = os.path.join(folder, f"only-{task.number}") if alone else None
        return functools.partial(work, options.seed, task.number, share, keep)

    def judge(task, result):
        sums = {name: sum(found[name] for found in campaign.results.values()) for name in ("beats", "lost", "wrong")}
        task.text = (f": {result['block']}; {result['beats']:,} beats, so far {sums['beats']:,}, "
                     f"{sums['lost']:,} lost, {sums['wrong']:,} wrong")
        return (result["faults"] or ["beats lost or wrong"])[0] if failed(result) else None

    campaign = Campaign([_Task(number) for number in numbers], f"configurations of {share:,} beats at least",
                        None if alone else os.path.join(folder, RESULTS),
                        lambda task: [options.seed, task.number, share], identity)
    campaign.run(job, Local(options.jobs), judge=judge, shown=folder, outputs=[output])
    return ({task.number: result for task, result in campaign.results.items()},
            {task.number: reason for task, reason in campaign.failures.items() if task not in campaign.results})


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
