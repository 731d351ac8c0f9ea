# SPDX-License-Identifier: Apache-2.0
"""Finished results, each a JSON file whose name is a hash of all that decides what is in it."""

import functools
import hashlib
import importlib.util
import json
import pathlib

from ..gen.files import json_bytes, write_all
from ..gen.fpga.tools import TOOLS
from ..gen.report import tool_versions

__all__ = ["Store", "digest", "hardware_sources", "measuring_sources", "simulating_sources"]

PACKAGE = pathlib.Path(__file__).resolve().parents[1]
# Folders that decide what a generated block is and what its parameters say of it, and what measures it.
HARDWARE, MEASURING = ("hdl",), ("golden", "cosim", "cosim/cpp", "gen", "gen/fpga")
# Of evaluate only what measures: tables and plots may change without a new measurement.
MEASURING_FILES = ("evaluate/measure.py",)


def digest(*parts):
    """A hash of JSON-serialisable `parts`."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _hash_of(folders, files=()):
    paths = sorted(path for folder in folders for path in (PACKAGE / folder).iterdir() if path.is_file())
    return digest([(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
                   for path in (*paths, *(PACKAGE / file for file in files))])


@functools.cache
def measuring_sources():
    """Hash of the code that runs and compares simulations and synthesis, and of the tools' versions."""
    installed = [tool.package for tool in TOOLS.values() if importlib.util.find_spec(tool.module)]
    return digest(_hash_of(MEASURING, MEASURING_FILES), tool_versions(), tool_versions(installed))


@functools.cache
def simulating_sources(*files):
    """Hash of the code that makes, runs and compares simulations, and of `files`, paths in the package."""
    return _hash_of((*HARDWARE, *MEASURING), files)


@functools.cache
def hardware_sources():
    """Hash of the code that hardware is made by."""
    return _hash_of(HARDWARE)


class Store:
    """Results in a folder. Each appears complete or not at all, so that an interrupted run leaves only good ones."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def load(self, key):
        """The result under `key`, or None."""
        try:
            found = json.loads((self.folder / f"{key}.json").read_text())
            return found if isinstance(found, dict) else None
        except (OSError, ValueError):
            return None

    def save(self, key, result):
        """Keep `result` under `key`."""
        write_all(str(self.folder), {f"{key}.json": json_bytes(result)})
