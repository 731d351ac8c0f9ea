# SPDX-License-Identifier: Apache-2.0
"""The files that a sweep's configurations name: read once, and sent with the tasks that need them."""

import hashlib
import os

from ...gen.files import read_bytes
from ...hdl.config import ConfigError

__all__ = ["Files"]

# What the options of a simulation that name files take.
KINDS = {"weights": "an .npz file", "input": "an .npz file", "hardware": "the manifest.json of a loadable block"}
MOST_BYTES = 1 << 30


class Files:
    """Contents of files whose paths are relative to `folder`."""

    def __init__(self, folder):
        self.folder, self._contents = folder, {}

    def of(self, options):
        """The path as given and the content (str, bytes) of each file that `options` name, by option.

        ConfigError, which names the option, where one can't be read, or has more than 1 GiB.
        """
        return {option: (path, content) for option, (path, content, _) in self._read(options).items()}

    def hashes(self, options):
        """SHA-256 of each of these contents, by option."""
        return {option: digest for option, (_, _, digest) in self._read(options).items()}

    def _read(self, options):
        paths = {option: getattr(options, option) for option in KINDS if getattr(options, option) is not None}
        for option, path in paths.items():
            if path not in self._contents:
                try:
                    content = read_bytes(option, os.path.join(self.folder, path), KINDS[option], MOST_BYTES,
                                         "the most that a worker is sent")
                except ConfigError as error:
                    raise ConfigError(option, path, error.allowed) from None
                self._contents[path] = content, hashlib.sha256(content).hexdigest()
        return {option: (path, *self._contents[path]) for option, path in paths.items()}
