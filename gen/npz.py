# SPDX-License-Identifier: Apache-2.0
"""Writing arrays as .npz, and reading files that may be anything: nothing in them is executed or believed."""

import contextlib
import io
import math
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any

import numpy as np

from ..hdl.config import ConfigError
from .files import check_exists

__all__ = ["floats", "members", "npz_bytes", "read", "scalar", "text"]

# All arrays of a file together.
LIMIT_BYTES = 4 << 30


def read(option: str, path: str, names: Iterable[str], most: int | None = None) -> dict[str, np.ndarray]:
    """Those of the arrays `names` that the file has, none of which has more than `most` elements.

    They are of whatever type and shape the file says; Python objects are refused. Raises ConfigError, which names
    `option` and `path`, where the file is missing, no .npz, damaged, or larger than 4 GiB.
    """
    arrays, left = {}, LIMIT_BYTES
    with _opened(option, path) as archive:
        present = set(archive.namelist())
        for name in names:
            if name + ".npy" not in present:
                continue
            with archive.open(name + ".npy") as file:
                shape, size = _declared(name, file)
            left -= size
            if left < 0:
                raise _Refused(f"{name} makes it larger than {LIMIT_BYTES >> 30} GiB, the most that is read")
            if most is not None and math.prod(shape) > most:
                raise _Refused(f"{name} has the shape {list(shape)}; may have {most} elements at most")
            with archive.open(name + ".npy") as file:
                arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
    return arrays


def members(option: str, path: str) -> list[str]:
    """Names of the arrays in the file, in its order; ConfigError as from :func:`read`."""
    with _opened(option, path) as archive:
        return [name[:-4] for name in archive.namelist() if name.endswith(".npy")]


@contextlib.contextmanager
def _opened(option: str, path: str) -> Iterator[zipfile.ZipFile]:
    """The archive in file `path`; every error while it is read becomes a ConfigError."""
    check_exists(option, path, "an .npz file")
    try:
        # numpy warns of old or odd headers; the user gets one line of ours.
        with warnings.catch_warnings(), zipfile.ZipFile(path) as archive:
            warnings.simplefilter("ignore")
            yield archive
    except PermissionError:
        raise ConfigError(option, path, "can't be read: permission denied") from None
    except _Refused as error:
        raise ConfigError(option, path, str(error)) from None
    except Exception as error:  # zipfile, zlib and numpy raise a dozen types on damaged data
        reason = str(error).split("\n")[0][:100] or type(error).__name__
        raise ConfigError(option, path, f"is damaged or no .npz file ({reason})") from None


class _Refused(Exception):
    """A well-formed file that is not read."""


def _declared(name: str, file: IO[bytes]) -> tuple[tuple[int, ...], int]:
    """The shape and the number of bytes that a member's header declares, before memory is taken for it."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise _Refused(f"{name} is no plain array")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(file)
    if dtype.hasobject:
        raise _Refused(f"{name} holds Python objects, which are never read")
    if any(n < 0 for n in shape):
        raise _Refused(f"{name} has the shape {shape}")
    return shape, math.prod(shape) * dtype.itemsize


def floats(option: str, path: str, name: str, array: np.ndarray) -> np.ndarray:
    """`array` as float64; must be of a floating type and finite."""
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise ConfigError(option, path, f"{name} is {array.dtype}; must be float32")
    if not np.isfinite(array).all():
        raise ConfigError(option, path, f"{name} has NaN or infinite values; all must be finite")
    return array.astype(np.float64)


def scalar(option: str, path: str, name: str, array: np.ndarray) -> float:
    """The one number in `array`, as a float."""
    if array.size != 1 or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise ConfigError(option, path, f"{name} is {array.dtype}{list(array.shape)}; must be one finite number")
    value = float(array.reshape(()))
    if not math.isfinite(value):
        raise ConfigError(option, path, f"{name} is beyond any float64; must be one finite number")
    return value


def text(option: str, path: str, name: str, array: np.ndarray) -> str:
    """The one string in `array`."""
    if array.size != 1 or array.dtype.kind not in "US":
        raise ConfigError(option, path, f"{name} is {array.dtype}{list(array.shape)}; must be one string")
    if array.dtype.kind == "S":
        return array.reshape(()).item().decode("utf-8", "replace")
    try:
        # numpy itself makes characters of any four bytes.
        return array.tobytes().decode("utf-32-be" if array.dtype.str[0] == ">" else "utf-32-le").rstrip("\0")
    except ValueError:
        raise ConfigError(option, path, f"{name} is damaged; must be one string") from None


def npz_bytes(arrays: Mapping[str, Any]) -> bytes:
    """`arrays` as a compressed .npz."""
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()
