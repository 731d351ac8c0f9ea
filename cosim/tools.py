# SPDX-License-Identifier: Apache-2.0
"""Runs the external tools of a build."""

import os
import shlex
import shutil
import subprocess

from ..hdl.errors import ToolFailure, ending, reason

__all__ = ["BuildError", "compiler", "compiler_error", "compiler_version", "run_all", "version"]

_SHOWN_LINES = 15


class BuildError(ToolFailure):
    """A tool is missing or has failed; the message names it and ends with the last lines that it printed."""


def compiler():
    """The C++ compiler's command as a list: ``$CXX``, else the first of c++, g++ and clang++ that exists."""
    text = os.environ.get("CXX", "")
    try:
        chosen = shlex.split(text)
    except ValueError as error:
        raise BuildError(f"CXX={text}: must be a command as a shell takes it: {reason(error)}") from None
    if chosen:
        program = shutil.which(chosen[0])
        if program is None:
            raise BuildError(f"CXX={text}: no such program")
        # It runs in another folder.
        return [os.path.abspath(program), *chosen[1:]]
    for name in ("c++", "g++", "clang++"):
        if found := shutil.which(name):
            return [found]
    raise BuildError("no C++ compiler: none of c++, g++ and clang++ is on PATH, and CXX is not set")


def compiler_version():
    """What the C++ compiler prints about itself; BuildError, which names CXX, where that is no compiler."""
    command = compiler()
    try:
        text = version([*command, "--version"])
    except BuildError as error:
        raise compiler_error(str(error)) from None
    if not text.strip():
        raise compiler_error(f"{command[0]} tells no version; must be a C++ compiler")
    return text


def compiler_error(text):
    """A BuildError of the compiler, which names CXX if that chose it."""
    return BuildError(f"CXX={os.environ['CXX']}: {text}" if os.environ.get("CXX") else text)


def version(command):
    """The output of ``command``, a tool with its option for the version; part of a cache key."""
    return _finish(command, _start(command, None, None))


def run_all(commands, cwd, env=None):
    """Run the commands in parallel in folder ``cwd``; raises BuildError for the first that failed."""
    running = []
    try:
        running.extend((command, _start(command, cwd, env)) for command in commands)
        for command, process in running:
            _finish(command, process)
    finally:
        for _, process in running:
            process.kill()
            process.stdout.close()
            process.wait()


def _start(command, cwd, env):
    try:
        return subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, errors="replace")
    except OSError as error:
        raise BuildError(f"{command[0]}: {reason(error)}") from None


def _finish(command, process):
    output, _ = process.communicate()
    if process.returncode:
        name = os.path.basename(command[0])
        shown = "\n".join(output.strip().splitlines()[-_SHOWN_LINES:])
        how = ending(process.returncode).replace("ended", "failed")
        raise BuildError(f"{name} {how}:\n{shown}")
    return output
