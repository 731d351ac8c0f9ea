# SPDX-License-Identifier: Apache-2.0
"""Checks that the data of each tensor in a model match its shape, and loads data that are stored in other files."""

import math
import os
from collections.abc import Sequence

import onnx

from ...hdl.config import ConfigError
from .sandbox import allow_memory_for
from .validation import short

__all__ = ["check_elements", "check_tensors"]

# Elements that a tensor may declare.
MOST_ELEMENTS = 1 << 31


def check_tensors(tensors: list, folder: str, most_bytes: int) -> None:
    """Check the data of each TensorProto of `tensors` against its shape, and load external data into the tensor.

    External data must be in `folder` or below it, and at most `most_bytes` in total. No tensor has external data
    afterwards. Raises ConfigError ("model") with the tensor's name.
    """
    sizes = [_packed_bytes(tensor, check_elements(tensor.name, tensor.dims)) for tensor in tensors]
    is_external = [tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in tensors]
    external = sum(size for size, outside in zip(sizes, is_external, strict=True) if outside)
    if external > most_bytes:
        raise ConfigError("model", f"{external:,} bytes of weights in other files", f"must be {most_bytes:,} at most")
    allow_memory_for(external)
    for tensor, size, outside in zip(tensors, sizes, is_external, strict=True):
        if outside:
            _load_external(tensor, folder, size)
        if tensor.HasField("raw_data"):
            if len(tensor.raw_data) != size:
                raise _error(tensor, f"holds {len(tensor.raw_data):,} bytes; its shape takes {size:,}")
        else:
            _check_fields(tensor, math.prod(tensor.dims))


def _error(tensor, reason):
    return ConfigError("model", f"tensor {short(tensor.name)}", reason)


def check_elements(name: str, dims: Sequence[int]) -> int:
    """The number of elements of tensor `name` with shape `dims`; ConfigError ("model") if the shape is not allowed."""
    if any(n < 0 for n in dims):
        reason = "is negative"
    elif len(dims) > 1 and 0 in dims:
        reason = "holds nothing"
    # The product of many large numbers is slow to compute: the number of axes is checked first.
    elif len(dims) > 64 or (elements := math.prod(dims)) > MOST_ELEMENTS:
        reason = "is larger than 64 axes and 2**31 elements"
    else:
        return elements
    raise ConfigError("model", f"tensor {short(name)}", f"has the shape {short(list(dims[:64]))}, which {reason}")


def _packed_bytes(tensor, elements):
    """Bytes that `elements` take as raw data; 0 for strings, which have no raw data."""
    if tensor.data_type == onnx.TensorProto.STRING:
        return 0
    try:
        bits = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize * 8
    except (KeyError, ValueError, TypeError):
        raise _error(tensor, "has an unknown type") from None
    name = onnx.TensorProto.DataType.Name(tensor.data_type)
    bits = next((n for n in (4, 2) if name.endswith(f"INT{n}") or name.startswith(f"FLOAT{n}E")), bits)
    return (elements * bits + 7) // 8


def _check_fields(tensor, elements):
    """Check a tensor without raw data: its field must have one number for each element, two if complex."""
    if tensor.data_type == onnx.TensorProto.STRING:
        held = len(tensor.string_data)
    else:
        held = len(getattr(tensor, onnx.helper.tensor_dtype_to_field(tensor.data_type)))
        held //= 2 if tensor.data_type in (onnx.TensorProto.COMPLEX64, onnx.TensorProto.COMPLEX128) else 1
        if 0 < held < elements and _packed_bytes(tensor, elements) < elements:
            # Two or four elements of less than 8 bits share a number.
            held = elements
    if held != elements:
        raise _error(tensor, f"holds {held:,} numbers; its shape takes {elements:,}")


def _load_external(tensor, folder, size):
    """Read the data of `tensor` from the file that it names, which must be in `folder` or below it."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    try:
        path, allowed = os.path.realpath(os.path.join(folder, location)), os.path.realpath(folder)
        if not location or os.path.isabs(location) or os.path.commonpath((allowed, path)) != allowed:
            raise _error(tensor, f"is in {short(location)!r}, which is not in the model's folder (or is a link out of "
                         "it)")
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", size))
        if offset < 0 or length != size:
            raise _error(tensor, f"takes {size:,} bytes, not {length:,} at {offset:,}")
        # A folder has no data; a device or a pipe may never end.
        if not os.path.isfile(path):
            raise _error(tensor, f"is in {short(location)!r}, which is not a file")
        if offset + size > os.path.getsize(path):
            raise _error(tensor, f"goes beyond the end of {short(location)!r}")
        with open(path, "rb") as file:
            file.seek(offset)
            tensor.raw_data = file.read(size)
    except ConfigError:
        raise
    except (OSError, ValueError, OverflowError, TypeError):
        raise _error(tensor, f"can't be read from {short(location)!r}") from None
    tensor.ClearField("external_data")
    tensor.data_location = onnx.TensorProto.DEFAULT
