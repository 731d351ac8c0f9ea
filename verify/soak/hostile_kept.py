# SPDX-License-Identifier: Apache-2.0
"""Lines that are done, so that an interrupted run continues: a file to which each is appended."""

import functools
import hashlib
import json
import pathlib

from ...batch.store import digest
from ...gen.report import tool_versions

__all__ = ["Kept"]

PACKAGE = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("hdl", "golden", "cosim", "gen", "batch", "network", "evaluate", "cli")


@functools.cache
def _identity():
    """What decides a result beside seed and number: all sources, and the tools' versions."""
    paths = sorted(path for folder in FOLDERS for path in (PACKAGE / folder).rglob("*")
                   if path.is_file() and "__pycache__" not in path.parts)
    return digest([[str(path.relative_to(PACKAGE)), hashlib.sha256(path.read_bytes()).hexdigest()] for path in paths],
                  tool_versions())


class Kept:
    """Results of the lines of `seed` without a fault, in `folder`: ``found``, dicts by number, and what is added."""

    def __init__(self, folder, seed):
        self.path, key = pathlib.Path(folder) / "finished.jsonl", digest(seed, _identity())
        self.found = self._read(key)
        # Written anew: the last line may be half of one.
        rows = [{"key": key}, *({"number": number, **result} for number, result in self.found.items())]
        self.path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def _read(self, key):
        found = {}
        try:
            first, *rows = self.path.read_text().splitlines() or [""]
            if json.loads(first) != {"key": key}:
                return {}
            for row in rows:
                result = json.loads(row)
                found[result.pop("number")] = result
        except (OSError, ValueError):
            # There is none, or it ends in the middle of a line.
            pass
        return found

    def add(self, number, result):
        """Keep the result of line `number`."""
        with open(self.path, "a") as file:
            file.write(json.dumps({"number": number, **result}) + "\n")
