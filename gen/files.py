# SPDX-License-Identifier: Apache-2.0
"""Writing a command's results: all of a file or nothing of it."""

import io
import json
import os
import secrets

import numpy as np

from ..hdl.config import ConfigError

__all__ = ["check_folder", "json_bytes", "npz_bytes", "write_all"]


def check_folder(path):
    """Raise ConfigError ("out") unless folder `path` can be written or made; nothing is made yet."""
    if os.path.lexists(path):
        if not os.path.isdir(path):
            raise ConfigError("out", path, "is not a folder; must be one, or a name that is free")
        parent = path
    else:
        parent = os.path.dirname(os.path.abspath(path))
        while not os.path.lexists(parent):
            parent = os.path.dirname(parent)
        if not os.path.isdir(parent):
            raise ConfigError("out", path, f"must be in a folder, which {parent} is not")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise ConfigError("out", path, f"must be writable, which {parent} is not")


def write_all(folder, contents):
    """Write files into `folder`, which is made where needed, in order.

    Parameters
    ----------
    folder : str
    contents : dict of str to bytes
        Each file appears complete under its name, or not at all.

    Raises
    ------
    ConfigError
        ("out") where the system refuses.
    """
    try:
        os.makedirs(folder, exist_ok=True)
        for name, content in contents.items():
            _write(os.path.join(folder, name), content)
    except OSError as error:
        raise ConfigError("out", folder, f"can't be written: {error.strerror} ({error.filename})") from None


def _write(path, content):
    temporary = f"{path}.{secrets.token_hex(4)}.tmp"
    try:
        with open(temporary, "xb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        if os.path.lexists(temporary):
            os.unlink(temporary)
        raise


def json_bytes(value):
    """`value` as indented JSON."""
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def npz_bytes(arrays):
    """`arrays` as a compressed .npz."""
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()
