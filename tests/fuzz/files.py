# SPDX-License-Identifier: Apache-2.0
"""WEIGHTS and INPUT files: good ones, and damaged or crafted ones that must do no harm."""

import io
import os
import struct

import numpy as np
from hypothesis import strategies as st

from .zips import bomb, patched, spliced, with_member

__all__ = ["damaged", "flipped", "good_input", "good_weights", "pack"]

# Types that hold float weights, in any byte order.
FLOATS = st.sampled_from(("<f4", "<f8", ">f4", "<f2", ">f8"))


def _numbers(draw):
    return np.random.default_rng(draw(st.integers(0, 1 << 16)))


def good_weights(draw, channels, squeeze, form):
    """Arrays of a WEIGHTS file for C and CR; `form` are the values of mid, gate and residual that it names."""
    numbers, kind, order = _numbers(draw), draw(FLOATS), draw(st.sampled_from("CF"))
    shapes = {"w1": (squeeze, channels), "b1": squeeze, "w2": (channels, squeeze), "b2": channels}
    arrays = {name: np.asarray(numbers.normal(size=shape), kind, order=order) for name, shape in shapes.items()}
    return arrays | {name: np.array(value) for name, value in form.items()}


def good_input(draw, shape, integer):
    """Arrays of an INPUT file: `x` of `shape`, or `x_q` of type `integer` (int8 or uint8) with scale and zero point."""
    numbers = _numbers(draw)
    if integer is None:
        mean, spread = draw(st.sampled_from((0, 0.5))), draw(st.sampled_from((1, 1e-3, 300)))
        return {"x": np.asarray(numbers.normal(mean, spread, shape), draw(FLOATS), order=draw(st.sampled_from("CF")))}
    info = np.iinfo(integer)
    return {"x_q": numbers.integers(info.min, info.max, shape, integer, endpoint=True),
            "x_scale": np.array(draw(st.sampled_from((0.0625, 0.02, 3.0)))),
            "x_zero_point": np.array(draw(st.sampled_from((0, 3, 100, info.max))))}


def pack(arrays, compressed=False):
    """`arrays` as an .npz."""
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


def damaged(draw, arrays):
    """A file made of good `arrays` and of something wrong.

    Returns
    -------
    (bytes, bool)
        Where the second is true, it must be refused; else what is wrong may be where it doesn't count.
    """
    if draw(st.integers(0, 9)) > 5:
        return flipped(draw, pack(arrays, draw(st.booleans()))), False
    name = draw(st.sampled_from([name for name in arrays if name in ("w1", "b1", "w2", "b2", "x", "x_q")]))
    kind = draw(st.sampled_from((_wrong_array, _wrong_array, _wrong_scalar, _wrong_header, _wrong_zip)))
    return kind(draw, dict(arrays), name)


def flipped(draw, content):
    """`content` with some bytes changed, cut, doubled or lost."""
    content = bytearray(content)
    kind = draw(st.sampled_from(("cut", "bits", "bytes", "front", "zeros", "more", "directory", "doubled")))
    at = draw(st.integers(0, len(content) - 1))
    if kind == "bytes":
        for place in draw(st.lists(st.integers(0, len(content) - 1), max_size=12)):
            content[place] = draw(st.integers(0, 255))
    elif kind == "bits":
        content[at] ^= 1 << draw(st.integers(0, 7))
    elif kind == "cut":
        del content[at:]
    elif kind == "front":
        del content[:at]
    elif kind == "zeros":
        content[at:at + 64] = bytes(len(content[at:at + 64]))
    elif kind == "more":
        content[at:at] = draw(st.binary(min_size=1, max_size=300))
    elif kind == "directory":
        for _ in range(4):
            content[-1 - draw(st.integers(0, min(len(content), 300) - 1))] = draw(st.integers(0, 255))
    else:
        content.extend(bytes(content))
    return bytes(content)


def _wrong_array(draw, arrays, name):
    """One array of another type, shape or range; or it is missing."""
    array = arrays.pop(name)
    floating, data = array.dtype.kind == "f", name in ("x", "x_q")
    with np.errstate(all="ignore"):
        kinds = {
            "missing": None, "empty": array[:0], "scalar": array.reshape(-1)[0], "object": _pickled(array.shape),
            "five": np.ones((1, 1, 1, 1, 2), array.dtype), "text": array.astype("S9"), "bool": array > 0,
            "complex": array.astype(complex), "dates": array.astype("int64").view("M8[s]"),
            "void": np.ascontiguousarray(array).view("V1"),
            "records": np.zeros(array.shape, [("a", "f4"), ("b", "i2")]),
            "records of objects": np.zeros(array.shape, [("a", "f4"), ("b", "O")]),
            "long": array.astype(np.longdouble), "subarray": np.zeros(3, [("a", "f4", (2, 2))]),
            "nan": np.full_like(array, np.nan) if floating else array.astype(float),
            "infinite": np.where(np.arange(array.size).reshape(array.shape) == 0, -np.inf, array) if floating else (
                array.astype(bool)),
            "integers": array.astype("i4") if floating else array.astype("f4"),
            "wide": np.ones((1, 1, 1 << 17, 1), array.dtype) if data else np.concatenate([array, array]),
        }
    kind = draw(st.sampled_from(list(kinds)))
    if kinds[kind] is not None:
        arrays[name] = kinds[kind]
    return pack(arrays), kind != "wide" or not data


class _Mark:
    """Unpickled, it makes a folder."""

    def __reduce__(self):
        return os.mkdir, ("unpickled",)


def _pickled(shape):
    array = np.empty(shape or (1,), object)
    array[...] = _Mark()
    return array


HEADERS = (
    "{{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4), }}",
    "{{'descr': '<f4', 'fortran_order': False, 'shape': (2.0, 4), }}",
    "{{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 1099511627776), }}",
    "{{'descr': '<f4', 'fortran_order': False, 'shape': (536870912, 1), }}",
    "{{'descr': '<f4', 'fortran_order': 7, 'shape': {shape}, }}",
    "{{'descr': '<f4', 'shape': {shape}, }}",
    "{{'descr': '\\\\d', 'fortran_order': False, 'shape': {shape}, }}",
    "{{'descr': '\\d', 'fortran_order': False, 'shape': {shape}, }}",
    "{{'descr': 'V99999999999', 'fortran_order': False, 'shape': {shape}, }}",
    "{{'descr': '|O', 'fortran_order': False, 'shape': {shape}, }}",
    "{{'descr': [('a', '|O')], 'fortran_order': False, 'shape': {shape}, }}",
    "{{'descr': '<f4', 'fortran_order': False, 'shape': (__import__('os').mkdir('unpickled'),), }}",
    "{{'descr': '<f4,' * 99999, 'fortran_order': False, 'shape': {shape}, }}",
    "[" * 3000, "(" * 150 + ")" * 150, "", "\0" * 64, "1" * 5000, "{{'a': 1}}", "\ud800",
    "{{'descr': '<f4', 'fortran_order': False, 'shape': (9L, 9L), }}",
)


def _wrong_header(draw, arrays, name):
    """An array whose header lies, in a version that may be unknown."""
    header = draw(st.sampled_from(HEADERS)).format(shape=repr(arrays[name].shape)).encode("latin1", "replace")
    version = draw(st.sampled_from(((1, 0), (1, 0), (1, 0), (2, 0), (3, 0), (9, 9))))
    length = 0xFFFF if draw(st.integers(0, 9)) == 9 else len(header)
    content = (b"\x93NUMPY" + bytes(version) + struct.pack("<H" if version == (1, 0) else "<I", length) + header
               + arrays.pop(name).tobytes())
    return with_member(pack(arrays), name + ".npy", content), True


SCALARS = {
    "mid": (["relu", "silu"], 3, "tanh", "", "\0", "s" * 100_000, b"\xff\xfe", "RELU", 1j),
    "gate": ("softmax", "hardsigmoid:", "hardsigmoid:nan,0", "hardsigmoid:1e9,0", "g" * 9000, None, b"\x80", "\n"),
    "residual": (2, -1, 0.5, [True, False], "yes", np.nan, 1 << 60),
    "x_scale": (0.0, -1.0, np.nan, np.inf, 1e300, 5e-324, [1, 2], "1", True, 1j),
    "x_zero_point": (0.5, 300, -129, np.nan, 1e300, np.longdouble("1e4000"), 1 << 62, "0", [0, 0], 2.0**63),
}


def _wrong_scalar(draw, arrays, name):
    """A name, a switch or a number that is none of the legal ones."""
    names = ("mid", "gate", "residual") if "w1" in arrays else ("x_scale", "x_zero_point")
    if arrays.pop("x", None) is not None:
        # Scale and zero point count with integers only.
        arrays |= {"x_scale": np.array(1.0), "x_zero_point": np.array(0),
                   "x_q": np.zeros((1, 2, 3, 4), draw(st.sampled_from(("i1", "u1", "i8"))))}
    name = draw(st.sampled_from(names))
    if name in ("mid", "gate") and draw(st.integers(0, 3)) == 3:
        # Four bytes a character, which need not be one.
        code = draw(st.sampled_from((0xD800, 0x110000, 0xFFFFFFFF)))
        arrays[name] = np.frombuffer(struct.pack("<4I", *[code] * 4), "<U4")
    else:
        value = draw(st.sampled_from(SCALARS[name]))
        arrays[name] = _pickled((1,)) if value is None else np.array(value)
    return pack(arrays), True


def _wrong_zip(draw, arrays, name):
    """An archive that is unusual, or no archive."""
    content = pack(arrays)
    others = {other: array for other, array in arrays.items() if other != name}
    file = io.BytesIO()
    np.save(file, arrays[name])
    outside = draw(st.sampled_from(("../../../escaped", "/tmp/escaped", "..\\escaped")))
    kinds = {
        "npy": (file.getvalue, True), "empty": (lambda: b"", True), "text": (lambda: b"w1 = 1\n" * 9, True),
        "folder": (lambda: with_member(pack({"other": np.zeros(1)}), name + ".npy/", b""), True),
        "case": (lambda: pack({other.upper(): array for other, array in arrays.items()}), True),
        "nested": (lambda: pack({"inner": np.frombuffer(content, "u1")}), True),
        # The last one counts: it is no array.
        "twice": (lambda: with_member(content, name + ".npy", b"no array"), True),
        "method": (lambda: patched(content, 10, 99), True), "encrypted": (lambda: patched(content, 8, 1), True),
        "bomb": (lambda: spliced(pack(others), name + ".npy", *bomb()), True),
        "outside": (lambda: with_member(content, outside + ".npy", b"?"), False),
        "many": (lambda: pack(arrays | {f"a{number}": np.zeros(0) for number in range(300)}), False),
        "comment": (lambda: content[:-2] + struct.pack("<H", 60_000) + bytes(60_000), False),
    }
    make, refused = kinds[draw(st.sampled_from(list(kinds)))]
    return make(), refused
