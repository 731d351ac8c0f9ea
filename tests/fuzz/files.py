# SPDX-License-Identifier: Apache-2.0
"""WEIGHTS and INPUT files: good ones, and damaged or crafted ones that must do no harm."""

import functools
import io
import os
import struct
import warnings
import zipfile

import numpy as np
from hypothesis import strategies as st

__all__ = ["ARRAYS", "HEADER", "MARK", "NO_CHARACTERS", "damaged", "edited", "good_input", "good_weights", "pack",
           "with_header"]

MARK = "unpickled"  # the folder that crafted files make where they are obeyed
# Types that hold float weights, in any byte order.
FLOATS = st.sampled_from(("<f4", "<f8", ">f4", "<f2", ">f8"))
# Elements of a float array that unpacks to 1 GiB.
BOMB_ELEMENTS = 1 << 28


def _numbers(draw):
    return np.random.default_rng(draw(st.integers(0, 1 << 16)))


def good_weights(draw, channels, squeeze, form):
    """Arrays of a WEIGHTS file for C and CR; `form` has the values of mid, gate and residual that the file names."""
    numbers, kind, order = _numbers(draw), draw(FLOATS), draw(st.sampled_from("CF"))
    shapes = {"w1": (squeeze, channels), "b1": squeeze, "w2": (channels, squeeze), "b2": channels}
    arrays = {name: np.asarray(numbers.normal(size=shape), kind, order=order) for name, shape in shapes.items()}
    # A prior is in the range of any data; most contexts ignore it.
    prior = {"prior": np.zeros(channels, kind)} if draw(st.integers(0, 3)) == 0 else {}
    return arrays | prior | {name: np.array(value) for name, value in form.items()}


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
    """A file made of good `arrays` with something wrong.

    Returns
    -------
    (bytes, bool)
        Whether the file must be refused; if not, the damage may be in a place that is not read.
    """
    if draw(st.integers(0, 9)) > 5:
        return edited(draw, pack(arrays, draw(st.booleans()))), False
    name = draw(st.sampled_from([name for name in arrays if name in ("w1", "b1", "w2", "b2", "x", "x_q")]))
    kind = draw(st.sampled_from((_wrong_array, _wrong_array, _wrong_scalar, _wrong_header, _wrong_zip)))
    return kind(draw, dict(arrays), name)


def edited(draw, content):
    """`content` with pieces replaced by other bytes, or by all of `content`; near the end, where an archive has its
    directory, as often as anywhere."""
    for _ in range(draw(st.integers(1, 4))):
        at = len(content) - draw(st.integers(0, len(content)) | st.integers(0, min(len(content), 300)))
        lost = draw(st.sampled_from((0, 1, 1, 64, len(content))))
        content = content[:at] + draw(st.binary(max_size=12) | st.just(content[:1 << 20])) + content[at + lost:]
    return content


class _Mark:
    """Makes a folder when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, (MARK,)


def _pickled(shape):
    array = np.empty(shape or (1,), object)
    array[...] = _Mark()
    return array


ARRAYS = {
    "empty": lambda a: a[:0], "scalar": lambda a: a.reshape(-1)[0], "object": lambda a: _pickled(a.shape),
    "five": lambda a: np.ones((1, 1, 1, 1, 2), a.dtype), "text": lambda a: a.astype("S9"), "bool": lambda a: a > 0,
    "complex": lambda a: a.astype(complex), "dates": lambda a: a.astype("int64").view("M8[s]"),
    "void": lambda a: np.ascontiguousarray(a).view("V1"),
    "records": lambda a: np.zeros(a.shape, [("a", "f4"), ("b", "i2")]),
    "records of objects": lambda a: np.zeros(a.shape, [("a", "f4"), ("b", "O")]),
    "subarray": lambda a: np.zeros(3, [("a", "f4", (2, 2))]), "long": lambda a: a.astype(np.longdouble),
    "nan": lambda a: np.full(a.shape, np.nan, np.result_type(a.dtype, np.float16)),
    "infinite": lambda a: np.append(a.reshape(-1)[:-1].astype(float), -np.inf).reshape(a.shape),
    "another type": lambda a: a.astype("i4" if a.dtype.kind == "f" else "f4"),
    "doubled": lambda a: np.concatenate([a, a], axis=-1), "wide": lambda a: np.ones((1, 1, 1 << 17, 1), a.dtype),
}


def _wrong_array(draw, arrays, name):
    """One array of another type, shape or range; or it is missing."""
    array, kind = arrays.pop(name), draw(st.sampled_from(["missing", *ARRAYS]))
    if kind != "missing":
        with np.errstate(all="ignore"):
            arrays[name] = ARRAYS[kind](array)
    # An INPUT may have other sizes, unless something else says them.
    return pack(arrays), kind not in ("doubled", "wide") or name not in ("x", "x_q")


HEADER = "{'descr': TYPE, 'fortran_order': False, 'shape': SHAPE, }"
TYPES = (r"'\\d'", r"'\d'", "'V99999999999'", "'|O'", "[('a', '|O')]", "'<f4,' * 99999")
SHAPES = ("(-1, 4)", "(2.0, 4)", "(9L, 9L)", "(1099511627776, 1099511627776)", "(536870912, 1)",
          f"(__import__('os').mkdir('{MARK}'),)")
HEADERS = [*(HEADER.replace("TYPE", kind) for kind in TYPES), *(HEADER.replace("SHAPE", shape) for shape in SHAPES),
           HEADER.replace("False", "7"), "{'descr': TYPE, 'shape': SHAPE, }", "{'a': 1}", "[" * 3000,
           "(" * 150 + ")" * 150, "", "\0" * 64, "1" * 5000, "\ud800"]


def with_header(arrays, name, header, version=(1, 0), length=None):
    """`arrays` as an .npz in which the array `name` has another header."""
    header = header.replace("TYPE", "'<f4'").encode("latin1", "replace")
    size = struct.pack("<H" if version == (1, 0) else "<I", length or len(header))
    member = b"\x93NUMPY" + bytes(version) + size + header + arrays[name].tobytes()
    return _with_member(pack({other: arrays[other] for other in arrays if other != name}), name, member)


def _wrong_header(draw, arrays, name):
    """An array whose header lies, in a version that may be unknown."""
    header = draw(st.sampled_from(HEADERS)).replace("SHAPE", repr(arrays[name].shape))
    version = draw(st.sampled_from(((1, 0), (1, 0), (1, 0), (2, 0), (3, 0), (9, 9))))
    length = draw(st.sampled_from([None] * 9 + [0xFFFF]))
    return with_header(arrays, name, header, version, length), True


# Four bytes a character, which need not be one.
NO_CHARACTERS = [np.frombuffer(struct.pack("<4I", *[code] * 4), "<U4") for code in (0xD800, 0x110000, 0xFFFFFFFF)]
SCALARS = {
    "mid": (["relu", "silu"], 3, "tanh", "", "\0", "s" * 100_000, b"\xff\xfe", "RELU", 1j, *NO_CHARACTERS),
    "gate": ("softmax", "hardsigmoid:", "hardsigmoid:nan,0", "hardsigmoid:1e9,0", "g" * 9000, _pickled((1,)), b"\x80",
             "\n", *NO_CHARACTERS),
    "residual": (2, -1, 0.5, [True, False], "yes", np.nan, 1 << 60),
    "x_scale": (0.0, -1.0, np.nan, np.inf, 1e300, 5e-324, [1, 2], "1", True, 1j, np.longdouble("1e4000")),
    "x_zero_point": (0.5, 300, -129, np.nan, 1e300, np.longdouble("1e4000"), 1 << 62, "0", [0, 0], 2.0**63),
    "x_bits": (0, 1, 17, 4.5, -8, np.nan, "8", [8, 8], True, 1 << 62),
    "y_scale": (0.0, -1.0, np.nan, np.inf, 1e300, 5e-324, [1, 2], "auto", True, np.longdouble("1e4000")),
    "y_zero_point": (0.5, 1 << 17, -1 << 17, np.nan, 1e300, "0", [0, 0], True),
}


def _wrong_scalar(draw, arrays, name):
    """A name, a switch or a number that is none of the legal ones."""
    if arrays.pop("x", None) is not None:
        # Scale and zero point count with integers only.
        arrays |= {"x_scale": np.array(1.0), "x_zero_point": np.array(0),
                   "x_q": np.zeros((1, 2, 3, 4), draw(st.sampled_from(("i1", "u1", "i8"))))}
    name = draw(st.sampled_from(("mid", "gate", "residual", "y_scale", "y_zero_point") if "w1" in arrays else
                                ("x_scale", "x_zero_point", "x_bits")))
    arrays[name] = np.array(draw(st.sampled_from(SCALARS[name])))
    return pack(arrays), True


def _with_member(content, name, data, **changes):
    """The archive `content` with one more array, which may be there already; the directory gets wrong `changes`."""
    file = io.BytesIO(content)
    with warnings.catch_warnings(), zipfile.ZipFile(file, "a") as archive:
        warnings.filterwarnings("ignore", "Duplicate name")
        archive.writestr(zipfile.ZipInfo(name + ".npy"), data)
        for attribute, value in changes.items():
            setattr(archive.infolist()[-1], attribute, value)
    return file.getvalue()


@functools.cache
def _bomb(name):
    """An .npz of 5 MB whose one array unpacks to 1 GiB."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open(name + ".npy", "w") as member:
            np.lib.format.write_array_header_1_0(
                member, {"descr": "<f4", "fortran_order": False, "shape": (1, BOMB_ELEMENTS + 1)})
            for _ in range(65):
                member.write(bytes(4 * BOMB_ELEMENTS // 64))
    return file.getvalue()


def _wrong_zip(draw, arrays, name):
    """An archive that is unusual, or no archive."""
    content, file = pack(arrays), io.BytesIO()
    np.save(file, arrays[name])
    member = functools.partial(_with_member, content, name, file.getvalue())
    outside = draw(st.sampled_from(("../../../escaped", "/tmp/escaped", "..\\escaped")))
    refused = (
        file.getvalue, lambda: b"", lambda: b"w1 = 1\n" * 9, functools.partial(_bomb, name),
        lambda: _with_member(pack({"other": np.zeros(1)}), name + ".npy/", b""),
        lambda: pack({other.upper(): array for other, array in arrays.items()}),
        lambda: pack({"inner": np.frombuffer(content, "u1")}),
        # Of two members with one name the last one counts.
        lambda: _with_member(content, name, b"no array"), lambda: member(compress_type=99),
        lambda: member(flag_bits=1), lambda: member(CRC=1))
    accepted = (
        lambda: member(file_size=1 << 31, compress_size=1 << 30),
        lambda: _with_member(content, outside, b"?"), lambda: content[:-2] + struct.pack("<H", 60_000) + bytes(60_000),
        lambda: pack(arrays | {f"a{number}": np.zeros(0) for number in range(300)}))
    make = draw(st.sampled_from(refused + accepted))
    return make(), make in refused
