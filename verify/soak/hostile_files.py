# SPDX-License-Identifier: Apache-2.0
"""WEIGHTS and INPUT files: good ones, and damaged or crafted ones that must do no harm."""

import io
import os
import struct

import numpy as np

from .hostile_zips import bomb, patched, spliced, with_member

__all__ = ["damaged", "good_input", "good_weights", "pack"]

# Types that hold float weights, in any byte order.
FLOATS = ("<f4", "<f4", "<f4", "<f8", ">f4", "<f2", ">f8")


def good_weights(rng, channels, squeeze, form):
    """Arrays of a WEIGHTS file for C and CR; `form` are the texts of mid, gate and residual that it names."""
    numbers = np.random.default_rng(rng.getrandbits(32))
    shapes = {"w1": (squeeze, channels), "b1": squeeze, "w2": (channels, squeeze), "b2": channels}
    kind, order = rng.choice(FLOATS), rng.choice("CCF")
    arrays = {name: np.asarray(numbers.normal(size=shape), kind, order=order) for name, shape in shapes.items()}
    return arrays | {name: np.array(value) for name, value in form.items()}


def good_input(rng, shape, integer):
    """Arrays of an INPUT file: `x` of `shape`, or `x_q` of type `integer` (int8 or uint8) with scale and zero point."""
    numbers = np.random.default_rng(rng.getrandbits(32))
    if integer is None:
        spread = rng.choice((1, 1e-3, 300))
        return {"x": np.asarray(numbers.normal(rng.choice((0, 0.5)), spread, shape), rng.choice(FLOATS),
                                order=rng.choice("CF"))}
    info = np.iinfo(integer)
    return {"x_q": numbers.integers(info.min, info.max, shape, integer, endpoint=True),
            "x_scale": np.array(rng.choice((0.0625, 0.02, 3.0))),
            "x_zero_point": np.array(rng.choice((0, 3, 100, info.max)))}


def pack(arrays, compressed=False):
    """`arrays` as an .npz."""
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


def damaged(rng, arrays):
    """A file made of good `arrays` and of something wrong.

    Returns
    -------
    (bytes, bool)
        Whether the second is true, it must be refused; else what is wrong may be where it doesn't count.
    """
    if rng.random() < 0.4:
        return _flipped(rng, pack(arrays, rng.random() < 0.3)), False
    name = rng.choice([name for name in arrays if name in ("w1", "b1", "w2", "b2", "x", "x_q")])
    return rng.choice((_wrong_array, _wrong_array, _wrong_array, _wrong_header, _wrong_scalar, _wrong_zip))(
        rng, dict(arrays), name)


def _flipped(rng, content):
    content = bytearray(content)
    kind = rng.choice(("bytes", "bits", "cut", "front", "zeros", "more", "directory", "doubled"))
    at = rng.randrange(len(content))
    if kind == "bytes":
        for _ in range(rng.randint(1, 12)):
            content[rng.randrange(len(content))] = rng.randrange(256)
    elif kind == "bits":
        content[at] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del content[at:]
    elif kind == "front":
        del content[:at]
    elif kind == "zeros":
        content[at:at + 64] = bytes(len(content[at:at + 64]))
    elif kind == "more":
        content[at:at] = rng.randbytes(rng.randint(1, 300))
    elif kind == "directory":
        for _ in range(4):
            content[-1 - rng.randrange(min(len(content), 300))] = rng.randrange(256)
    else:
        content.extend(bytes(content))
    return bytes(content)


def _wrong_array(rng, arrays, name):
    """One array of another type, shape or range; or it is missing."""
    array = arrays[name]
    floating, data = array.dtype.kind == "f", name in ("x", "x_q")
    with np.errstate(all="ignore"):
        kinds = {
            "missing": None, "empty": array[:0], "scalar": array.reshape(-1)[0], "object": _pickled(array.shape),
            "five": np.ones((1, 1, 1, 1, 2), array.dtype), "text": array.astype("S9"), "bool": array > 0,
            "complex": array.astype(complex), "dates": array.astype("int64").view("M8[s]"),
            "void": np.ascontiguousarray(array).view("V1"),
            "records": np.zeros(array.shape, [("a", "f4"), ("b", "O" if rng.random() < 0.5 else "i2")]),
            "long": array.astype(np.longdouble), "subarray": np.zeros(3, [("a", "f4", (2, 2))]),
            "nan": _with(rng, array, np.nan) if floating else array.astype(float),
            "infinite": _with(rng, array, -np.inf) if floating else array.astype(bool),
            "integers": array.astype("i4") if floating else array.astype("f4"),
            "wide": np.ones((1, 1, 1 << 17, 1), array.dtype) if data else np.concatenate([array, array]),
        }
    kind = rng.choice(list(kinds))
    arrays.pop(name)
    if kinds[kind] is not None:
        arrays[name] = kinds[kind]
    return pack(arrays), kind != "wide" or not data


def _with(rng, array, value):
    array = array.copy()
    array.reshape(-1)[rng.randrange(array.size)] = value
    return array if not np.isfinite(array).all() else np.full_like(array, value)


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


def _wrong_header(rng, arrays, name):
    """An array whose header lies, in a version that may be unknown."""
    header = rng.choice(HEADERS).format(shape=repr(arrays[name].shape)).encode("latin1", "replace")
    version = rng.choice(((1, 0), (1, 0), (1, 0), (2, 0), (3, 0), (9, 9)))
    length = struct.pack("<H" if version == (1, 0) else "<I", len(header) if rng.random() < 0.9 else 0xFFFF)
    content = b"\x93NUMPY" + bytes(version) + length + header + arrays[name].tobytes()
    others = {other: array for other, array in arrays.items() if other != name}
    return with_member(pack(others), name + ".npy", content), True


SCALARS = {
    "mid": (["relu", "silu"], 3, "tanh", "", "\0", "s" * 100_000, b"\xff\xfe", "RELU", 1j),
    "gate": ("softmax", "hardsigmoid:", "hardsigmoid:nan,0", "hardsigmoid:1e9,0", "g" * 9000, None, b"\x80", "\n"),
    "residual": (2, -1, 0.5, [True, False], "yes", np.nan, 1 << 60),
    "x_scale": (0.0, -1.0, np.nan, np.inf, 1e300, 5e-324, [1, 2], "1", True, 1j),
    "x_zero_point": (0.5, 300, -129, np.nan, 1e300, np.longdouble("1e4000"), 1 << 62, "0", [0, 0], 2.0**63),
}


def _wrong_scalar(rng, arrays, name):
    """A name, a switch or a number that is none of the legal ones."""
    names = ("mid", "gate", "residual") if "w1" in arrays else ("x_scale", "x_zero_point")
    if "x" in arrays:
        # They count with integers only.
        arrays |= {"x_scale": np.array(1.0), "x_zero_point": np.array(0),
                   "x_q": np.zeros((1, 2, 3, 4), rng.choice(("i1", "u1", "i8")))}
        arrays.pop("x")
    name = rng.choice(names)
    if name in ("mid", "gate") and rng.random() < 0.3:
        # Four bytes a character, which need not be one.
        arrays[name] = np.frombuffer(struct.pack("<4I", *[rng.choice((0xD800, 0x110000, 0xFFFFFFFF))] * 4), "<U4")
    else:
        value = rng.choice(SCALARS[name])
        arrays[name] = _pickled((1,)) if value is None else np.array(value)
    return pack(arrays), True


def _wrong_zip(rng, arrays, name):
    """An archive that is unusual, or no archive."""
    content = pack(arrays)
    kind = rng.choice(("bomb", "twice", "outside", "method", "encrypted", "npy", "empty", "text", "folder", "comment",
                       "case", "many", "nested"))
    if kind == "bomb":
        others = {other: array for other, array in arrays.items() if other != name}
        return spliced(pack(others), name + ".npy", *bomb()), True
    if kind == "twice":
        # The last one counts: it is no array.
        return with_member(content, name + ".npy", b"no array"), True
    if kind == "outside":
        outside = rng.choice(("../../../escaped", "/tmp/escaped", "..\\escaped"))
        return with_member(content, outside + ".npy", b"?"), False
    if kind in ("method", "encrypted"):
        return patched(content, 8 if kind == "encrypted" else 10, 1 if kind == "encrypted" else 99), True
    if kind == "case":
        return pack({other.upper(): array for other, array in arrays.items()}), True
    if kind == "many":
        return pack(arrays | {f"a{number}": np.zeros(0) for number in range(300)}), False
    if kind == "comment":
        return content[:-2] + struct.pack("<H", 60_000) + bytes(60_000), False
    if kind == "nested":
        return pack({"inner": np.frombuffer(content, "u1")}), True
    file = io.BytesIO()
    np.save(file, arrays[name])
    return {"npy": file.getvalue(), "empty": b"", "text": b"w1 = 1\n" * 9, "folder": with_member(
        pack({"other": np.zeros(1)}), name + ".npy/", b"")}[kind], True
