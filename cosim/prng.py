# SPDX-License-Identifier: Apache-2.0
"""Random numbers, the same in compiled and in Python drivers."""

import hashlib

__all__ = ["Random", "limit", "seed"]

_WORD = (1 << 64) - 1


def seed(number, prefix):
    """The initial state for the random numbers of stream `prefix`, in a run with seed `number`."""
    return int.from_bytes(hashlib.sha256(f"{number} {prefix}".encode()).digest()[:8], "little")


def limit(probability):
    """The limit below which a random number is with `probability`."""
    return int(probability * 2.0**64)


class Random:
    """SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).

    The compiled source and sink (cpp/streams.h) draw the same numbers in the same order, so both test benches give a
    block the same cycles.
    """

    def __init__(self, state):
        self._state = state

    def next(self):
        """64 random bits."""
        z = self._state = (self._state + 0x9E3779B97F4A7C15) & _WORD
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _WORD
        return z ^ (z >> 31)

    def chance(self, limit):
        """True with the probability of `limit`; no number is drawn for 0."""
        return limit and self.next() < limit

    def bits(self, count):
        """`count` random bits: the first number is lowest."""
        value = self.next()
        for shift in range(64, count, 64):
            value |= self.next() << shift
        return value & ((1 << count) - 1)
