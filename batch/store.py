# SPDX-License-Identifier: Apache-2.0
"""Finished results, each a JSON file whose name is a hash of all that decides the result."""

import ast
import functools
import hashlib
import json
import pathlib
import threading
from typing import Any

from ..gen.files import json_bytes, write_all

__all__ = ["BLOCK", "MEASURING", "Store", "digest", "sources"]

PACKAGE = pathlib.Path(__file__).resolve().parents[1]
# Folders with the code that makes a block, and with the code that computes what it shall give, simulates and
# synthesises it.
BLOCK, MEASURING = ("hdl",), ("golden", "cosim", "cosim/cpp", "gen", "gen/fpga")
# Modules that describe options, print tables and write pages. They decide no result, as settings hold the values of all
# options.
SILENT = ("gen/options.py", "gen/page.py", "gen/text_table.py")
# Workers of a cluster may run tasks in threads, in two of which ast.parse() fails before Python 3.13 (CPython's issue
# 106905).
_PARSING = threading.Lock()
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def digest(*parts: Any) -> str:
    """A hash of JSON-serialisable `parts`."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def sources(*paths: str) -> str:
    """Hash of the code in `paths`: files, and folders without those in them, relative to the package.

    It stays the same when comments, docstrings or layout change, or one of the modules that decide no result.
    """
    with _PARSING:
        return _sources(*paths)


@functools.cache
def _sources(*paths: str) -> str:
    files = [file for path in paths for file in (
        sorted((PACKAGE / path).iterdir()) if (PACKAGE / path).is_dir() else [PACKAGE / path]) if file.is_file()]
    named = {file.relative_to(PACKAGE).as_posix(): file for file in files}
    return digest({name: _code(file) for name, file in named.items() if name not in SILENT})


def _code(file: pathlib.Path) -> str:
    """Hash of what a file does."""
    content = file.read_bytes()
    if file.suffix == ".py":
        tree = ast.parse(content)
        for node in ast.walk(tree):
            if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:]
        content = ast.dump(tree).encode()
    return hashlib.sha256(content).hexdigest()


class Store:
    """Results in a folder. Each appears complete or not at all, so that an interrupted run leaves only good ones.

    Beside a result its file has the result's hash: a file that was cut or changed since has no result.
    """

    def __init__(self, folder: str):
        self.folder = pathlib.Path(folder)

    def load(self, key: str) -> dict[str, Any] | None:
        """The result under `key`, or None."""
        try:
            kept = json.loads((self.folder / f"{key}.json").read_text(encoding="utf-8"))
            return kept["result"] if kept["digest"] == digest(kept["result"]) else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def save(self, key: str, result: dict[str, Any]) -> None:
        """Keep `result` under `key`."""
        # As it will be read: JSON makes lists of tuples, and texts of keys.
        result = json.loads(json_bytes(result))
        write_all(str(self.folder), {f"{key}.json": json_bytes({"digest": digest(result), "result": result})})
