# SPDX-License-Identifier: Apache-2.0
"""How many rows a descriptor averages, as components hand it on."""

from amaranth.lib import data

__all__ = ["Rows", "rows_shape"]


class Rows(data.StructLayout):
    """Where sums go on from tile to tile: ``count`` rows, imaginary ones included, and ``log = ceil(log2(count))``."""

    def __init__(self, config):
        super().__init__({"count": range(config.most_rows + 1),
                          "log": range((config.most_rows - 1).bit_length() + 1)})


def rows_shape(config):
    """The shape of a row count: :class:`Rows` where sums go on, else the rows less one.

    If the rightmost of several tiles is narrower, its rows count from ``k`` on.
    """
    if config.context.running:
        return Rows(config)
    return range(config.most_rows * (1 + (config.last_columns != config.columns)))
