# SPDX-License-Identifier: Apache-2.0
"""Files that a user names: read whole, and written all or nothing."""

import contextlib
import json
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from ..hdl.config import ConfigError
from ..hdl.errors import reason
from .options import OutputOptions

__all__ = ["check_exists", "check_file", "check_folder", "check_free", "decoded", "discard", "json_bytes",
           "output_folder", "read_bytes", "write_all"]

# Bytes of a name and of a path, as nearly every system has them, and those that our own and temporary names take.
LONGEST_NAME, LONGEST_PATH = 255, 4095
NAME_ROOM, PATH_ROOM = 16, 192
# What follows a file's name while it is written.
TEMPORARY = r"\.[0-9a-f]{8}\.tmp"


def check_exists(option: str, path: str, kind: str) -> None:
    """Raise ConfigError (`option`) unless `path` is a file; `kind` is what it must be, as "an .npz file"."""
    if not os.path.isfile(path):
        reason = "is not a regular file" if os.path.exists(path) else "there is no such file"
        raise ConfigError(option, path, f"{reason}; must be {kind}")


def read_bytes(option: str, path: str, kind: str, most: int | None = None, why: str = "the most that is read") -> bytes:
    """The contents of a file; ConfigError (`option`) also if it is unreadable or has over `most` bytes, whole GiB.

    `why` says what the limit is.
    """
    check_exists(option, path, kind)
    try:
        if most is not None and os.path.getsize(path) > most:
            raise ConfigError(option, path, f"is larger than {most >> 30} GiB, {why}")
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(option, path, f"can't be read: {reason(error)}") from None


def decoded(content: bytes) -> str:
    """The text of a UTF-8 file, without the byte-order mark that some editors put first; UnicodeDecodeError."""
    return content.decode("utf-8-sig")


def output_folder(options: OutputOptions, names: Iterable[str] = ()) -> str:
    """The folder that `options` name for results, or their default.

    Raises ConfigError ("out") unless it can be written, and so can its files `names`.
    """
    check_folder(options.folder)
    check_free(options.folder, names)
    return options.folder


def check_folder(path: str, option: str = "out") -> None:
    """Raise ConfigError (`option`) unless folder `path` can be written or made; nothing is made yet."""
    # The system would refuse a long name only after its parent folders have been made.
    if any(len(os.fsencode(part)) > LONGEST_NAME for part in path.split(os.sep)):
        raise ConfigError(option, path, f"is too long: a name may have {LONGEST_NAME} bytes at most")
    if len(os.fsencode(os.path.abspath(path))) > LONGEST_PATH - PATH_ROOM:
        raise ConfigError(option, path, f"is too long: a path may have {LONGEST_PATH - PATH_ROOM} bytes at most")
    if os.path.lexists(path):
        if not os.path.isdir(path):
            raise ConfigError(option, path, "is not a folder; must be one, or a name that is free")
        parent = path
    else:
        parent = os.path.dirname(os.path.abspath(path))
        while not os.path.lexists(parent):
            parent = os.path.dirname(parent)
        if not os.path.isdir(parent):
            raise ConfigError(option, path, f"must be in a folder, which {parent} is not")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise ConfigError(option, path, f"must be writable, which {parent} is not")
    # Permissions are not all: the file system may be read-only or full, or make no files at all, as /proc.
    probe = os.path.join(parent, f".tiled-se-{secrets.token_hex(4)}")
    try:
        os.mkdir(probe)
    except OSError as error:
        raise ConfigError(option, path, f"must be writable, which {parent} is not: {reason(error)}") from None
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(probe)


def check_free(folder: str, names: Iterable[str], option: str = "out") -> None:
    """Raise ConfigError (`option`) where anything but a regular file has one of the `names` in `folder`."""
    for path in (os.path.join(folder, name) for name in names):
        if os.path.exists(path) and not os.path.isfile(path):
            kind = "Is a directory" if os.path.isdir(path) else "Is not a regular file"
            raise ConfigError(option, folder, f"can't be written: {kind} ({path})")


def discard(folder: str, names: Iterable[str], option: str = "out") -> list[str]:
    """Remove the files `names`, in order, that an earlier run has left in `folder`, whole or half-written; others stay.

    A command does this when its work begins: if the run fails or is killed, nothing that it leaves can pass for a
    result. Returns the names of the whole files that were removed. Raises ConfigError (`option`) where one can't be.
    """
    removed = []
    try:
        present = os.listdir(folder) if os.path.isdir(folder) else []
        for name in names:
            half = re.compile(re.escape(name) + TEMPORARY)
            for file in (one for one in present if one == name or half.fullmatch(one)):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(folder, file))
                    removed += [file] if file == name else []
    except OSError as error:
        raise ConfigError(option, folder, f"can't be written: {reason(error)} ({error.filename or folder})") from None
    return removed


def check_file(path: str, option: str) -> None:
    """Raise ConfigError (`option`) unless file `path` can be written, and its folder be made; nothing is made yet."""
    folder, name = os.path.split(path)
    if os.path.isdir(path) or not name:
        raise ConfigError(option, path, "is a folder; must be a file's name")
    if os.path.exists(path) and not os.path.isfile(path):
        raise ConfigError(option, path, "is not a regular file; must be one, or a name that is free")
    if len(os.fsencode(name)) > LONGEST_NAME - NAME_ROOM:
        raise ConfigError(option, path, f"is too long: a name may have {LONGEST_NAME - NAME_ROOM} bytes at most")
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise ConfigError(option, path, f"must be in a folder, which {folder} is not")
    try:
        check_folder(folder or ".", option)
    except ConfigError as error:
        raise ConfigError(option, path, error.allowed) from None


def write_all(folder: str, contents: Mapping[str, bytes], option: str = "out") -> None:
    """Write files, by name in `contents`, into `folder`, which is made where needed, in order.

    Each file appears complete under its name, or not at all; none does while another can't be written. Raises
    ConfigError (`option`) where the system refuses, or something that is no regular file has a file's name.
    """
    written = {}
    try:
        os.makedirs(folder, exist_ok=True)
        for name, content in contents.items():
            check_free(folder, [name], option)
            path = os.path.join(folder, name)
            temporary = f"{path}.{secrets.token_hex(4)}.tmp"
            written[temporary] = path
            with open(temporary, "xb") as file:
                file.write(content)
        for temporary, path in written.items():
            os.replace(temporary, path)
    except OSError as error:
        raise ConfigError(option, folder, f"can't be written: {reason(error)} ({error.filename or folder})") from None
    finally:
        for temporary in written:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def json_bytes(value: Any) -> bytes:
    """`value` as indented JSON."""
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()
