# SPDX-License-Identifier: Apache-2.0
"""Constants of an ONNX model held to their shapes, and those that it keeps in other files taken in."""

import math
import os

import onnx

from ...hdl.config import ConfigError
from .sandbox import allow_memory_for
from .validation import short

__all__ = ["check_elements", "check_tensors"]

# Elements that a tensor may declare.
MOST_ELEMENTS = 1 << 31


def check_tensors(tensors, folder, most):
    """Hold the shape of each of `tensors` to its data, and read data in other files, which must be in `folder`.

    Parameters
    ----------
    tensors : list of TensorProto
        Changed: none has external data afterwards.
    folder : str
    most : int
        Bytes that other files may hold of them.

    Raises
    ------
    ConfigError
        ("model") naming the tensor.
    """
    sizes = [_packed_bytes(tensor, check_elements(tensor.name, tensor.dims)) for tensor in tensors]
    outside = sum(size for tensor, size in zip(tensors, sizes, strict=True) if _is_outside(tensor))
    if outside > most:
        raise ConfigError("model", f"{outside:,} bytes of weights in other files", f"must be {most:,} at most")
    allow_memory_for(outside)
    for tensor, size in zip(tensors, sizes, strict=True):
        if _is_outside(tensor):
            _take_in(tensor, folder, size)
        if tensor.HasField("raw_data"):
            held = len(tensor.raw_data)
            if held != size:
                raise _refused(tensor, f"holds {held:,} bytes; its shape takes {size:,}")
        else:
            _check_fields(tensor, math.prod(tensor.dims))


def _is_outside(tensor):
    return tensor.data_location == onnx.TensorProto.EXTERNAL


def _refused(tensor, what):
    return ConfigError("model", f"tensor {short(tensor.name)}", what)


def check_elements(name, dims):
    """How many elements a tensor of the shape `dims` has; ConfigError ("model") where it can't have it."""
    if any(n < 0 for n in dims):
        what = "can't be"
    elif len(dims) > 1 and 0 in dims:
        what = "holds nothing"
    # Products of many large numbers take long.
    elif len(dims) > 64 or (elements := math.prod(dims)) > MOST_ELEMENTS:
        what = "is larger than 64 axes and 2**31 elements"
    else:
        return elements
    raise ConfigError("model", f"tensor {short(name)}", f"has the shape {short(list(dims[:64]))}, which {what}")


def _packed_bytes(tensor, elements):
    """Bytes of so many elements as raw data; of strings, which have none, 0."""
    if tensor.data_type == onnx.TensorProto.STRING:
        return 0
    try:
        bits = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize * 8
    except (KeyError, ValueError, TypeError):
        raise _refused(tensor, "is of no known type") from None
    name = onnx.TensorProto.DataType.Name(tensor.data_type)
    bits = next((n for n in (4, 2) if name.endswith(f"INT{n}") or name.startswith(f"FLOAT{n}E")), bits)
    return (elements * bits + 7) // 8


def _check_fields(tensor, elements):
    """A tensor without raw data has a field with a number for each element, two for complex ones."""
    if tensor.data_type == onnx.TensorProto.STRING:
        held = len(tensor.string_data)
    else:
        held = len(getattr(tensor, onnx.helper.tensor_dtype_to_field(tensor.data_type)))
        held //= 2 if tensor.data_type in (onnx.TensorProto.COMPLEX64, onnx.TensorProto.COMPLEX128) else 1
        if 0 < held < elements and _packed_bytes(tensor, elements) < elements:
            # Two or four of less than 8 bits share a number.
            held = elements
    if held != elements:
        raise _refused(tensor, f"holds {held:,} numbers; its shape takes {elements:,}")


def _take_in(tensor, folder, size):
    """Read the data of `tensor` from the file that it names, which must be in `folder` or below."""
    about = {entry.key: entry.value for entry in tensor.external_data}
    location = about.get("location", "")
    try:
        path, inside = os.path.realpath(os.path.join(folder, location)), os.path.realpath(folder)
        if not location or os.path.isabs(location) or os.path.commonpath((inside, path)) != inside:
            raise _refused(tensor, f"is in {short(location)!r}, which is not in the model's folder "
                           "(or is a link out of it)")
        offset, length = int(about.get("offset", 0)), int(about.get("length", size))
        if offset < 0 or length != size:
            raise _refused(tensor, f"takes {size:,} bytes, not {length:,} at {offset:,}")
        # Neither a folder nor a device or pipe, which may never end.
        if not os.path.isfile(path):
            raise _refused(tensor, f"is in {short(location)!r}, which is no file")
        if offset + size > os.path.getsize(path):
            raise _refused(tensor, f"goes beyond the end of {short(location)!r}")
        with open(path, "rb") as file:
            file.seek(offset)
            tensor.raw_data = file.read(size)
    except ConfigError:
        raise
    except (OSError, ValueError, OverflowError, TypeError):
        raise _refused(tensor, f"can't be read from {short(location)!r}") from None
    tensor.ClearField("external_data")
    tensor.data_location = onnx.TensorProto.DEFAULT
