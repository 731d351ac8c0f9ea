# SPDX-License-Identifier: Apache-2.0
"""Integers of any width to the bytes of a stream's ``tdata``, and back."""

import numpy as np

from ..hdl.data_type import DataType

__all__ = ["pack", "unpack"]


def pack(values: np.ndarray, data: DataType) -> np.ndarray:
    """The beats of `values`, integers (n, lanes) in the range of `data`: uint8 (n, ``data.beat_bytes(lanes)``).

    Lanes lie side by side, the first in the low bits of the first byte; bits above the last lane are 0. Raises
    ValueError for integers out of range.
    """
    if values.size and not data.low <= values.min() <= values.max() <= data.high:
        raise ValueError(f"{data}: values from {values.min()} to {values.max()}; must be from {data.low} to "
                         f"{data.high}")
    if data.bits == 8:
        return np.ascontiguousarray(values, data.numpy).view(np.uint8)
    count, lanes = values.shape
    words = np.ascontiguousarray(values.astype("<u2")).view(np.uint8).reshape(count, lanes, 2)
    bits = np.unpackbits(words, axis=2, count=data.bits, bitorder="little")
    return np.packbits(bits.reshape(count, lanes * data.bits), axis=1, bitorder="little")


def unpack(beats: np.ndarray, data: DataType, lanes: int) -> np.ndarray:
    """The inverse of :func:`pack`: int32 (n, lanes) of beats, uint8 (n, ``data.beat_bytes(lanes)``).

    The bits above the last lane are 0 in a right beat. They count as upper bits of the last lane: where they are not 0,
    its integer is above the range of `data`.
    """
    if data.bits == 8:
        return beats.view(data.numpy).astype(np.int32)
    bits = np.unpackbits(beats, axis=1, bitorder="little")
    used = lanes * data.bits
    words = np.packbits(bits[:, :used].reshape(len(beats), lanes, data.bits), axis=2, bitorder="little")
    values = words[..., 0] + (words[..., 1].astype(np.int32) << 8 if data.bits > 8 else np.int32(0))
    if data.signed:
        sign = 1 << (data.bits - 1)
        values = (values ^ sign) - sign
    if bits.shape[1] > used:
        values[:, -1] += np.packbits(bits[:, used:], axis=1, bitorder="little")[:, 0].astype(np.int32) << data.bits
    return values
