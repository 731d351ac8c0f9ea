# SPDX-License-Identifier: Apache-2.0
"""The WEIGHTS and INPUT files of a sweep: read once, and sent with the tasks that need them."""

import hashlib
import os

from ...hdl.config import ConfigError

__all__ = ["Files"]

OPTIONS = ("weights", "input")
MOST_BYTES = 1 << 30


class Files:
    """Contents of files whose paths are relative to `folder`."""

    def __init__(self, folder):
        self.folder, self.contents, self.sums = folder, {}, {}

    def of(self, options):
        """The path as given and the content (str, bytes) of each file that `options` name, by option.

        Raises
        ------
        ConfigError
            ("weights" or "input") where one can't be read, or has more than 1 GiB.
        """
        paths = {option: getattr(options, option) for option in OPTIONS if getattr(options, option) is not None}
        for option, path in paths.items():
            if path not in self.contents:
                content = self._read(option, path)
                self.contents[path], self.sums[path] = content, hashlib.sha256(content).hexdigest()
        return {option: (path, self.contents[path]) for option, path in paths.items()}

    def hashes(self, options):
        """SHA-256 of each of these contents, by option."""
        return {option: self.sums[path] for option, (path, _) in self.of(options).items()}

    def _read(self, option, path):
        full = os.path.join(self.folder, path)
        if not os.path.exists(full):
            raise ConfigError(option, path, "there is no such file; must be an .npz file")
        if not os.path.isfile(full):
            raise ConfigError(option, path, "is not a regular file; must be an .npz file")
        if os.path.getsize(full) > MOST_BYTES:
            raise ConfigError(option, path, f"is larger than {MOST_BYTES >> 30} GiB, the most that a worker is sent")
        try:
            with open(full, "rb") as file:
                return file.read()
        except OSError as error:
            raise ConfigError(option, path, f"can't be read: {error.strerror}") from None
