# SPDX-License-Identifier: Apache-2.0
"""A per-user folder of finished builds, shared by any number of processes.

An entry is a folder named by its key. It is filled under a temporary name and renamed into place, so a visible entry is
complete. A hash of its files is kept beside the locks: an entry that was cut, emptied or changed since is none. A lock
keeps two processes from making the same entry at the same time.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

__all__ = ["Cache", "default_root", "digest"]

# Entries used within this many seconds are never removed: a process may be about to start them.
_FRESH = 600
# An unfinished entry of this age, in seconds, belongs to a process that died.
_ABANDONED = 24 * 3600
_TEMPORARY = "tmp-"
_LOCKS = "locks"


def default_root():
    """The cache folder: ``$TILED_SE_CACHE``, else ``$XDG_CACHE_HOME/tiled-se``, else ``~/.cache/tiled-se``."""
    if chosen := os.environ.get("TILED_SE_CACHE"):
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tiled-se"


def digest(*parts):
    """A key for the cache, from JSON-serialisable parts."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _sum_of(entry):
    """A hash of the names and contents of all files in the folder `entry`; OSError where something can't be read."""
    total = hashlib.sha256(str(len(os.listdir(entry))).encode())
    for path in sorted(path for path in entry.rglob("*") if not path.is_dir()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(entry)} {content}\n".encode())
    return total.hexdigest()


class Cache:
    """Entries below ``root``; beyond ``limit`` bytes the least recently used ones are removed."""

    def __init__(self, root=None, limit=2 << 30):
        self.root = Path(root) if root is not None else default_root()
        self.limit = limit
        # Entries that this object has made.
        self.made = 0

    def find(self, key):
        """The folder of an entry that is as it was made, marked as used now, or None."""
        entry = self.root / key
        try:
            if self._sum(key).read_text() != _sum_of(entry):
                return None
        except OSError:
            return None
        # Another user's entry or a read-only file system: the entry can still be used.
        with contextlib.suppress(OSError):
            os.utime(entry)
        return entry

    def get(self, key, make):
        """``(folder, cached)`` of entry ``key``; if there is none, ``make(folder)`` fills it.

        If ``make`` raises, no entry is left. ``make`` must not call ``get``: locks do not nest.
        """
        if entry := self.find(key):
            return entry, True
        self.root.mkdir(parents=True, exist_ok=True)
        with self._lock(key):
            if entry := self.find(key):
                return entry, True
            # One that is there, but not as it was made.
            self._remove(self.root / key)
            temporary = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=self.root))
            try:
                make(temporary)
                entry = self._publish(temporary, key)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        self.made += 1
        self._trim()
        return entry, False

    def _publish(self, temporary, key):
        entry, content = self.root / key, _sum_of(temporary)
        temporary.chmod(0o755)
        try:
            temporary.rename(entry)
        except OSError:
            # Without working locks (some network file systems) another process may have been first.
            if self.find(key) is None:
                raise
            return entry
        half = self._sum(key).with_suffix(".new")
        half.write_text(content)
        half.rename(self._sum(key))
        os.utime(entry)
        return entry

    def _sum(self, key):
        return self.root / _LOCKS / f"{key}.sum"

    @contextlib.contextmanager
    def _lock(self, key):
        folder = self.root / _LOCKS
        folder.mkdir(exist_ok=True)
        # Two digits of the key: at most 256 lock files, which are never removed.
        with open(folder / key[:2], "w") as file:
            # Without working locks two processes may do the same work; the rename decides.
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _trim(self):
        """Remove abandoned entries, then the least recently used ones until the rest fits ``limit``."""
        now = time.time()
        entries = []
        for entry in self.root.iterdir():
            with contextlib.suppress(FileNotFoundError):
                used = entry.stat().st_mtime
                if entry.name.startswith(_TEMPORARY):
                    if now - used > _ABANDONED:
                        shutil.rmtree(entry, ignore_errors=True)
                elif entry.name != _LOCKS:
                    entries.append((used, sum(f.stat().st_size for f in entry.rglob("*")), entry))
        total = sum(size for _, size, _ in entries)
        for used, size, entry in sorted(entries):
            if total <= self.limit or now - used < _FRESH:
                break
            self._remove(entry)
            total -= size

    def _remove(self, entry):
        self._sum(entry.name).unlink(missing_ok=True)
        if not os.path.lexists(entry):
            return
        # Renamed first, so that no process finds an entry that is half removed.
        doomed = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=self.root))
        with contextlib.suppress(OSError):
            entry.rename(doomed / entry.name)
        shutil.rmtree(doomed, ignore_errors=True)
