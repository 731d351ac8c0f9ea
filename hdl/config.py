# SPDX-License-Identifier: Apache-2.0
"""The block's parameters. Hardware, golden model, generator and test bench take every width and depth from here.

This module imports neither amaranth nor torch. Cycle counts are in :mod:`tiled_se.hdl.timing`, the tables of the
activations in :mod:`tiled_se.hdl.tables`. docs/design.md derives the number formats.
"""

import dataclasses
import functools
import zlib

from .activations import Gate, GateKind, Mid
from .data_type import DataType
from .errors import ConfigError, check_integer
from .formats import Formats
from .tiling import PAPER_ROWS, Context, Order, Tiling

__all__ = ["Config", "ConfigError", "Context", "DataType", "Gate", "GateKind", "Mid", "Order", "Tiling"]

# Fractional bits of a requantised accumulator and of its bias below the LSB of the layer's result.
GUARD_BITS = 6
# Bits of a requantisation multiplier. The quantiser chooses scales with which the fewest are exact; given scales may
# take more (docs/design.md, "Scales").
FEWEST_MULTIPLIER_BITS, MOST_MULTIPLIER_BITS = 16, 32
# Increased when the meaning of a parameter stream's words changes.
STREAM_VERSION = 2
# Operand width of an FPGA's multiplier.
MULTIPLIER_OPERAND = 18
# Entries of a layer's list of right shifts; a record selects one by 3 bits.
MAX_SHIFTS = 8
# Widest numbers that the golden model can hold in int64: accumulators, and twice a reciprocal times its elements.
MAX_PRODUCT_BITS = 62
# Widest requantised accumulator. Parameters that need more are rejected.
MAX_REQUANT_BITS = 56


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Formats):
    """Parameters of one block. A bad one raises TypeError or ConfigError with its name, its value and what is allowed.

    Parameters
    ----------
    k, context, tile_width, prior_rows, max_rows, window, order
        Those of :class:`Tiling`.
    width, channels, squeeze : int
        W, C and CR. There is no height: one block takes frames of any height. If the order is by columns, ``width`` is
        the length of a column, H.
    lanes : int
        Channels of a beat; must divide ``channels``.
    macs : int
        Multipliers, shared by both layers.
    data : DataType
        The integers of the input.
    zero_point : int
        Integer that stands for 0.0, in the data's own range. A loadable block loads it with its parameters; this field
        then has no influence on the hardware.
    weight_bits : int
        Bits of a weight, 2 to 8: signed, from ``least_weight`` to ``largest_weight``.
    y_data, y_zero_point : DataType, int, optional
        Those of the outputs; None stands for the input's.
    y_ratio : float, optional
        A step of the input divided by a step of the outputs, x_scale / y_scale. None: 1, or 1/2 for a residual. It is
        folded into the gates of a baked block. A loadable block loads it.
    max_ratio : float, optional
        The largest ratio that the hardware of a loadable block takes, rounded up to a power of two. None stands for
        ``y_ratio``, or, if the outputs have no format of their own, for hardware that loads none.
    mid, gate : Mid, Gate
    residual : bool
        ``y = x + x * g``. The hardware's gate is then (1 + g) / 2, and y's scale by default twice x's.
    loadable : bool
        Parameters are loaded through ``w_axis`` instead of baked in.
    slack : int, optional
        Words of the tile buffer beyond those that must wait. None: as many as full rate needs (``Timing.full_slack``).
    operand_bits : int
        Signed width of the operands that the MAC units multiply by weights: tile means and hidden vector. None stands
        for 10 more than the data have: 18 for 8 bits.
    hidden_frac : int, optional
        Fractional bits of the hidden vector, for the tabulated ``mid`` functions. None leaves six integer bits and a
        sign. Of any other ``mid`` it is 0: the hidden vector then has a scale that need not be a power of two.
    segment_bits : int
        The table of ``mid`` has ``2 ** segment_bits`` segments per unit.
    requant_bits : int
        Signed width of a requantised accumulator with its bias, including ``GUARD_BITS`` fractional bits. None stands
        for ``default_requant_bits``.
    multiplier_bits : int
        Bits of a requantisation multiplier, 16 to 32.
    shifts : tuple of (tuple of int)
        For each layer the right shifts that can follow a requantisation multiplier; a record selects one by its index.
    """

    operand_bits: int = None  # type: ignore[assignment]  # None is replaced on construction, as below
    hidden_frac: int = None  # type: ignore[assignment]
    segment_bits: int = 3
    requant_bits: int = None  # type: ignore[assignment]
    multiplier_bits: int = FEWEST_MULTIPLIER_BITS
    shifts: tuple[tuple[int, ...], ...] = ((0, 8, 16, 24, 32, 40, 48, 56),) * 2

    def __post_init__(self) -> None:
        super().__post_init__()
        self._validate_formats()

    def _validate_formats(self) -> None:
        if self.operand_bits is None:
            object.__setattr__(self, "operand_bits", self.data.bits + 10)
        if self.requant_bits is None:
            object.__setattr__(self, "requant_bits", self.default_requant_bits)
        self._take_integer("operand_bits", self.data.bits + 2, self.widest_operand_bits)
        self._take_integer("requant_bits", self.least_requant_bits, MAX_REQUANT_BITS)
        self._take_integer("multiplier_bits", FEWEST_MULTIPLIER_BITS, MOST_MULTIPLIER_BITS)
        if self.hidden_frac is None:
            frac = min(self.operand_bits - 7, self.most_hidden_frac) if self.mid.tabulated else 0
            object.__setattr__(self, "hidden_frac", frac)
        if self.mid.tabulated:
            finest = min(self.operand_bits - 1, self.most_hidden_frac)
            self._take_integer("segment_bits", 1, self.most_segment_bits)
            self._take_integer("hidden_frac", self.segment_bits + 1, finest)
        for shifts in self.shifts:
            if not 1 <= len(shifts) <= MAX_SHIFTS:
                raise ConfigError("shifts", shifts, f"must be 1 to {MAX_SHIFTS} numbers")
        stored = tuple(tuple(check_integer("shifts", shift, 0, 63) for shift in shifts) for shifts in self.shifts)
        object.__setattr__(self, "shifts", stored)
        if self.operand_bits > self.most_operand_bits:
            shape = f"{self.channels} channels and a squeeze of {self.squeeze}"
            if self.operand_bits > self._most_mean_bits:
                shape = f"means of {self.most_rows} rows of {self.columns}"
            raise ConfigError("operand_bits", self.operand_bits, f"at most {self.most_operand_bits} for {shape}")

    def with_ratio(self, ratio: float) -> "Config":
        """The same hardware, for another ratio; of a block that ``rescales``."""
        return dataclasses.replace(self, y_ratio=ratio, max_ratio=self.largest_ratio)

    # Number formats (docs/design.md, "Numbers").

    @property
    def bound_bits(self) -> int:
        """Bits of the data that must wait, ``data.bits`` * k * W * C for strips: what the memory is compared with.

        It is 0 where nothing must wait.
        """
        return self.data.bits * self.waiting(self.width) * self.channels

    @property
    def tse7_bits(self) -> int:
        """Bits of seven rows of data, the paper's choice: what the memory of every context is compared with."""
        return self.data.bits * PAPER_ROWS * self.width * self.channels

    @property
    def sum_bits(self) -> int:
        """Signed width of a descriptor's sum: holds the lowest integer times the most elements that it averages."""
        return self.data.bits + (self.most_rows * self.columns - 1).bit_length()

    @property
    def mean_frac(self) -> int:
        """A mean's step is ``2 ** -mean_frac`` of a step of the sum of ``scale_rows``; negative if sums are wider."""
        return self.operand_bits - self.data.bits - (self.scale_rows * self.columns - 1).bit_length()

    def reciprocal(self, rows: int, columns: int | None = None) -> tuple[int, int]:
        """``(R, q)`` for a sum over `rows` x `columns` elements: the mean is ``S * R / 2 ** q``, rounded.

        `columns` is by default a full tile's. With n elements of a full ``N = scale_rows * columns``, R / 2**q is
        N / n * 2**mean_frac, rounded to ``reciprocal_bits`` bits. It is exact where N / n is a power of two, as for
        full tiles. Elsewhere the mean is off by less than half a step, so it always fits its width.
        """
        full, count = self.scale_rows, rows
        if columns not in (None, self.columns):
            full, count = full * self.columns, count * columns
        exponent = full.bit_length() - count.bit_length()
        exponent -= count << exponent > full
        # 2**exponent <= full / count < 2 * 2**exponent
        q = self.reciprocal_bits - 1 - exponent - self.mean_frac
        numerator = full << max(q + self.mean_frac, 0)
        denominator = count << max(-(q + self.mean_frac), 0)
        nearest = (2 * numerator + denominator) // (2 * denominator)
        # Just under a power of two it may round to that, which has one bit too many.
        return (nearest, q) if nearest.bit_length() == self.reciprocal_bits else (nearest >> 1, q - 1)

    @functools.cached_property
    def reciprocals(self) -> tuple[tuple[int, int], ...]:
        """:meth:`reciprocal` for 1 to ``most_rows`` rows of a full tile's columns."""
        return tuple(self.reciprocal(rows) for rows in range(1, self.most_rows + 1))

    @property
    def reciprocal_bits(self) -> int:
        """Bits of a reciprocal's mantissa: 18, as of an FPGA's multiplier, or two more than wider means have.

        The error is at most half of a mean's LSB with 18 bits, and an eighth with two more bits.
        """
        return MULTIPLIER_OPERAND if self.operand_bits <= MULTIPLIER_OPERAND else self.operand_bits + 2

    @property
    def most_operand_bits(self) -> int:
        """The widest legal ``operand_bits``: with wider ones, reciprocals or accumulators are too wide."""
        return min(self.widest_operand_bits, self._most_mean_bits,
                   MAX_PRODUCT_BITS - (self.acc_bits - self.operand_bits))

    @property
    def _most_mean_bits(self) -> int:
        # Reciprocals have two bits more than a wide mean.
        return MAX_PRODUCT_BITS - (self.sum_bits - self.data.bits) - 3

    @property
    def hidden_bits(self) -> int:
        """Stored width of a hidden value: signed, or unsigned for relu and relu6."""
        return self.operand_bits if self.mid.signed else self.operand_bits - 1

    @property
    def acc_bits(self) -> int:
        """Signed width of a MAC accumulator, for the worst parameters (see `most_row_sum`) and data."""
        terms = max(self.channels, self.squeeze)
        return self.operand_bits + self.weight_bits - 1 + (terms - 1).bit_length()

    @property
    def most_row_sum(self) -> int:
        """Largest sum of the magnitudes of a row's weights.

        Only a row with ``least_weight`` everywhere exceeds it, and only if its inputs are as many as a power of two.
        Its accumulator would take another bit where all operands are the lowest.
        """
        return (1 << (self.acc_bits - self.operand_bits)) - 1

    @property
    def least_requant_bits(self) -> int:
        """The narrowest legal ``requant_bits``: a logit, with a sign more."""
        return self.logit_bits + GUARD_BITS + 1

    @property
    def default_requant_bits(self) -> int:
        """``requant_bits`` for parameters that are not known."""
        return self.least_requant_bits + 6

    @property
    def record_bits(self) -> int:
        """Width of a channel's requantisation record: multiplier, shift index (3 bits), bias."""
        return self.multiplier_bits + 3 + self.requant_bits

    @property
    def prior_bits(self) -> int:
        """Signed width of the prior, the sum of its imaginary rows; 0 without them."""
        return self.data.bits + (self.prior_rows * self.columns - 1).bit_length() if self.prior_rows else 0

    @property
    def fingerprint(self) -> int:
        """First word of a parameter stream; it differs between configs whose streams differ in layout or meaning."""
        # WINDOW ignores both.
        k, max_rows = (self.k, self.max_rows) if self.window is None else (None, None)
        layout: tuple[object, ...] = (
            STREAM_VERSION, k, self.width, self.channels, self.squeeze, self.macs, self.data.signed, self.mid.value,
            str(self.gate), self.residual, self.operand_bits, self.hidden_frac, self.segment_bits, self.requant_bits,
            self.shifts)
        # The stream of strips is older than the other contexts.
        if self.context is not Context.TILE or self.tiles_across > 1:
            layout += (self.context.value, self.columns, self.prior_rows, max_rows, self.window)
        # So is that of 8-bit data and weights.
        if (self.data.bits, self.weight_bits, self.requantised) != (8, 8, False):
            layout += (self.data.bits, self.weight_bits, self.requantised, str(self.outputs),
                       self.precision if self.rescales else None)
        if self.multiplier_bits != FEWEST_MULTIPLIER_BITS:
            layout += (self.multiplier_bits,)
        return zlib.crc32(repr(layout).encode())
