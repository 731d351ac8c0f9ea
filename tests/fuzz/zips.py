# SPDX-License-Identifier: Apache-2.0
"""Zip archives that `zipfile` itself doesn't write: members twice, packed already, or of another kind than they say."""

import functools
import io
import struct
import warnings
import zipfile
import zlib

import numpy as np

__all__ = ["bomb", "patched", "spliced", "with_member"]

# What a bomb's one array says that it holds, and how much of it is there, packed.
BOMB_ELEMENTS, BOMB_BYTES = 1 << 29, 2 << 30


def with_member(content, name, data):
    """The archive `content` with one more member, which may be there already."""
    file = io.BytesIO(content)
    with warnings.catch_warnings(), zipfile.ZipFile(file, "a") as archive:
        # That the name is there already is what it is about.
        warnings.simplefilter("ignore", UserWarning)
        archive.writestr(zipfile.ZipInfo(name), data)
    return file.getvalue()


def patched(content, offset, value):
    """The archive `content` with 16 bits at `offset` of every directory entry replaced, and of the local headers, in
    which they are two bytes in front of that."""
    content = bytearray(content)
    for mark, shift in ((b"PK\x03\x04", -2), (b"PK\x01\x02", 0)):
        at = content.find(mark)
        while at >= 0:
            struct.pack_into("<H", content, at + offset + shift, value)
            at = content.find(mark, at + 4)
    return bytes(content)


@functools.cache
def bomb():
    """A deflated member of `BOMB_BYTES` zeros, its size and its sum: about two megabytes."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "<f4", "fortran_order": False, "shape": (1, BOMB_ELEMENTS)})
    packer, zeros = zlib.compressobj(9, zlib.DEFLATED, -15), bytes(1 << 24)
    packed = packer.compress(file.getvalue()) + packer.flush(zlib.Z_FULL_FLUSH)
    # After a full flush the same bytes mean the same again.
    block = packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)
    packed += block * (BOMB_BYTES >> 24) + packer.flush()
    check = zlib.crc32(file.getvalue())
    for _ in range(BOMB_BYTES >> 24):
        check = zlib.crc32(zeros, check)
    return packed, len(file.getvalue()) + BOMB_BYTES, check


def spliced(content, name, packed, size, check):
    """An archive with one more member, which is packed already."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        start, count, end = archive.start_dir, len(archive.infolist()), content.rfind(b"PK\x05\x06")
    text = name.encode()
    fields = struct.pack("<4H3I2H", 0, 8, 0, 0x21, check, len(packed), size, len(text), 0)
    local = b"PK\x03\x04" + struct.pack("<H", 20) + fields + text + packed
    entry = (b"PK\x01\x02" + struct.pack("<2H", 20, 20) + fields + struct.pack("<3H2I", 0, 0, 0, 0, start) + text)
    directory = content[start:end] + entry
    return (content[:start] + local + directory + b"PK\x05\x06"
            + struct.pack("<4H2IH", 0, 0, count + 1, count + 1, len(directory), start + len(local), 0))
