# SPDX-License-Identifier: Apache-2.0
"""The command `tiled-se`."""

import importlib
import importlib.metadata
import os
import re
import sys

from ..gen.errors import UsageError
from ..gen.options import VERIFYING, describe, from_texts
from ..gen.signals import terminated_as_interrupted
from ..hdl.config import ConfigError
from .parser import parse

__all__ = ["main"]

# Exit statuses.
OK, MISMATCH, BAD_INPUT, TOOL_FAILED, NO_OUTPUT, INTERRUPTED, CLOSED_PIPE = 0, 1, 2, 3, 74, 130, 141


def main(arguments=None):
    """Run one command.

    Parameters
    ----------
    arguments : list of str, optional
        Of the command line, without the program's name; None for this process's.

    Returns
    -------
    int
        Exit status. 2 comes with one line on stderr, and then nothing was written.
    """
    _show_anything()
    try:
        try:
            return _command(arguments)
        finally:
            # What is still to be written would fail behind us, with a traceback.
            if sys.stdout is not None:
                sys.stdout.flush()
    except OSError as error:
        if error.filename is not None or sys.stdout is None:
            raise
        # What Python would still flush has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            # Whoever read our output has gone.
            return CLOSED_PIPE
        return _fail(f"standard output can't be written: {error.strerror}", NO_OUTPUT)


def _show_anything():
    """Names of files may be no text, or have characters that the terminal lacks: have them shown escaped."""
    if getattr(sys.stdout, "errors", None) == "strict" and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")


def _command(arguments):
    try:
        command, texts = parse(sys.argv[1:] if arguments is None else arguments)
        if command == "version":
            print(f"tiled-se {importlib.metadata.version('tiled-se')}")
        if command in ("version", "help"):
            return OK
        with terminated_as_interrupted():
            return _run(command, from_texts(texts))
    except UsageError as error:
        return _fail(str(error), BAD_INPUT)
    except ConfigError as error:
        return _fail(describe(error), BAD_INPUT)
    except MemoryError:
        return _fail("this machine has too little memory for that; fewer or smaller frames need less", BAD_INPUT)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)


def _run(command, options):
    # Imported late: help and a misspelt option need neither numpy nor Amaranth.
    from ..gen.files import check_folder
    from ..gen.prepare import prepare

    if command in ("inspect", "swap"):
        return _network_file(command, options)
    folder = options.out or _default_folder(command, options)
    check_folder(folder)
    if command in ("build", "sensitivity", "report", "demo"):
        return _network(command, options, folder)
    if command == "bench":
        from ..evaluate.bench.command import bench

        return OK if bench(options, folder) else MISMATCH
    if command == "simspeed":
        from ..evaluate.simspeed.command import simspeed

        return _simulated(simspeed, options, folder)
    if command == "sweep":
        return _sweep(options, folder)
    if command in VERIFYING:
        return _verify(command, options, folder)
    job = prepare(options)
    if command == "verilog":
        from ..gen.manifest import write_verilog

        write_verilog(job, folder)
        return OK
    if command == "synth":
        from ..gen.fpga.synth import synthesise
        from ..gen.fpga.tools import ToolError

        try:
            synthesise(job, folder)
            return OK
        except ToolError as error:
            return _fail(str(error), TOOL_FAILED)
    from ..gen.simulate import simulate

    return _simulated(simulate, job, folder)


def _network_file(command, options):
    """A command that reads an ONNX network and writes a file at most."""
    if command == "inspect":
        from ..network.commands.inspect import inspect

        return OK if inspect(options) else MISMATCH
    from ..network.commands.swap import swap

    return OK if swap(options) else MISMATCH


def _network(command, options, folder):
    """A command on all blocks of a network, with a folder of results."""
    if command == "report":
        from ..evaluate.report.command import report

        return OK if report(options, folder) else MISMATCH
    if command == "sensitivity":
        from ..network.commands.sensitivity import sensitivity

        return OK if sensitivity(options, folder) else MISMATCH
    if command == "build":
        from ..network.commands.build import build

        return _simulated(build, options, folder)
    from ..evaluate.demo.command import demo

    return _simulated(demo, options, folder)


def _simulated(command, *arguments):
    """The exit status of a command that tells whether a simulation was right."""
    from ..cosim.build import BuildError
    from ..cosim.run import SimulationError

    try:
        return OK if command(*arguments) else MISMATCH
    except (BuildError, SimulationError) as error:
        # What the tool itself printed comes along, on stdout.
        first, *rest = str(error).splitlines()
        print("\n".join(rest), flush=True)
        return _fail(first.rstrip(":"), TOOL_FAILED)


def _verify(command, options, folder):
    """A command that holds the generator itself to what it promises."""
    from ..gen.fpga.tools import ToolError

    module = importlib.import_module(f"..verify.{VERIFYING[command]}.command", __package__)
    try:
        return _simulated(getattr(module, command), options, folder)
    except ToolError as error:
        return _fail(str(error), TOOL_FAILED)


def _sweep(options, folder):
    from ..batch.lost import EngineLost
    from ..evaluate.sweep.command import sweep

    try:
        return OK if sweep(options, folder) else MISMATCH
    except EngineLost as error:
        return _fail(str(error), TOOL_FAILED)


def _default_folder(command, options):
    """build/, the target and what the user said of the shape, so that different blocks don't land in one folder."""
    if command in ("bench", "simspeed", "demo", *VERIFYING):
        return os.path.join("build", command)
    if command in ("build", "sensitivity", "report"):
        return os.path.join("build", f"{command}_{_stem(options.model or 'model', '.onnx')}")
    if command == "sweep":
        return os.path.join("build", f"sweep_{_stem(options.configs, '.toml')}" if options.configs else command)
    parts = [command] + ([str(options.target)] if command == "synth" else [])
    for name in ("weights", "input"):
        if getattr(options, name):
            parts.append(_stem(getattr(options, name), ".npz"))
    for name, letter in (("k", "k"), ("height", "h"), ("width", "w"), ("channels", "c"), ("squeeze", "cr")):
        if getattr(options, name) is not None:
            parts.append(f"{letter}{getattr(options, name)}")
    return os.path.join("build", "_".join(parts))


def _stem(path, suffix):
    """A file's name as part of a folder's."""
    return re.sub(r"[^A-Za-z0-9.-]", "-", os.path.basename(path).removesuffix(suffix))


def _fail(message, status):
    """One line, whatever the message quotes."""
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
    print(f"tiled-se: error: {line}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
