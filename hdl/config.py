# SPDX-License-Identifier: Apache-2.0
"""The one parameter object: hardware, golden model, generator and bench take every width and depth from it.

It imports neither amaranth nor torch. Cycle counts that follow from it are in :mod:`tiled_se.hdl.timing`, the constant
tables of the activations in :mod:`tiled_se.hdl.tables`; the number formats are derived in docs/design.md.
"""

import dataclasses
import functools
import zlib

from .activations import Gate, GateKind, Mid
from .errors import ConfigError, check_integer

__all__ = ["Config", "ConfigError", "Gate", "GateKind", "Mid"]

# Fractional bits of a gate; 2**-13 of rounding costs 255 * 2**-13 = 0.03 output LSB.
GATE_FRAC = 12
# Fractional and total bits of the logit in front of the sigmoid table, which covers [-8, 8).
LOGIT_FRAC = 10
LOGIT_BITS = 14
# Fractional bits that a bias has below the LSB of the value it is added to.
GUARD_BITS = 6
# Bits of a requantisation multiplier. Scales are chosen so that it is exact (docs/design.md, "Scales").
MULTIPLIER_BITS = 16
# Goes up when the meaning of a parameter stream's words changes.
STREAM_VERSION = 2
# Operands of FPGA multipliers.
MULTIPLIER_OPERAND = 18
# A multiplier's right shift comes from a list of this many at most, which a record names by 3 bits.
MAX_SHIFTS = 8
# What the golden model holds in int64: sums times reciprocals, and accumulators.
MAX_PRODUCT_BITS = 62
# Widest formats; parameters that need more are refused.
MAX_OPERAND_BITS = 40
MAX_REQUANT_BITS = 56
# Fractional bits up to which a table's evaluation stays in int64; finer grids gain nothing over its own error.
MAX_HIDDEN_FRAC = 28


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Parameters of one block.

    Parameters
    ----------
    k : int
        Rows of a tile; ``k >= H`` is the original squeeze-and-excite.
    width, channels, squeeze : int
        W, C and CR. The height is no parameter: one block takes frames of any height.
    lanes : int
        Channels of a beat; divides ``channels``.
    macs : int
        Multipliers shared by both layers.
    signed : bool
        Whether data are int8 or uint8.
    zero_point : int
        Integer that stands for 0.0, in the data's own range. A loadable block gets it with its parameters, and this
        field then has no influence on the hardware.
    mid : Mid
    gate : Gate
    residual : bool
        ``y = x + x * g``: the gate becomes (1 + g) / 2 and y's scale twice x's.
    loadable : bool
        Parameters come through ``w_axis`` instead of being baked in.
    slack : int, optional
        Words of the tile buffer beyond k rows; None is what full rate takes (``Timing.tile_latency``).
    operand_bits : int
        Signed width of what the MAC units multiply by weights: tile means and hidden vector.
    hidden_frac : int, optional
        Fractional bits of the hidden vector, for the tabulated ``mid`` functions only (else 0: its grid is a scale).
        None leaves them six integer bits and a sign.
    segment_bits : int
        Tables of ``mid`` have ``2 ** segment_bits`` segments a unit.
    requant_bits : int
        Signed width of a requantised accumulator with its bias, ``GUARD_BITS`` fractional bits included.
    shifts : tuple of (tuple of int)
        For each layer the right shifts that follow a requantisation multiplier; a record names one by its index.

    Raises
    ------
    TypeError, ConfigError
        Before anything is built, naming the parameter, its value and what is allowed.
    """

    k: int
    width: int
    channels: int
    squeeze: int
    lanes: int = 1
    macs: int = 1
    signed: bool = True
    zero_point: int = 0
    mid: Mid = Mid.RELU
    gate: Gate = Gate()
    residual: bool = False
    loadable: bool = False
    slack: int | None = None
    operand_bits: int = 18
    hidden_frac: int | None = None
    segment_bits: int = 3
    requant_bits: int = 27
    shifts: tuple = ((0, 8, 16, 24, 32, 40, 48, 56),) * 2

    def __post_init__(self):
        for option, high in (("k", 1 << 16), ("width", 1 << 16), ("channels", 1 << 16), ("squeeze", 1 << 16),
                             ("lanes", 64), ("macs", 4096)):
            check_integer(option, getattr(self, option), 1, high)
        if self.channels % self.lanes:
            raise ConfigError("lanes", self.lanes, f"must divide channels={self.channels}")
        for option, kind in (("mid", Mid), ("gate", Gate)):
            if not isinstance(getattr(self, option), kind):
                raise TypeError(f"{option}={getattr(self, option)!r}: must be a {kind.__name__}")
        check_integer("zero_point", self.zero_point, *((-128, 127) if self.signed else (0, 255)))
        if self.slack is not None:
            check_integer("slack", self.slack, 0, 1 << 20)
        self._validate_formats()

    def _validate_formats(self):
        check_integer("operand_bits", self.operand_bits, 10, MAX_OPERAND_BITS)
        check_integer("requant_bits", self.requant_bits, LOGIT_BITS + GUARD_BITS + 1, MAX_REQUANT_BITS)
        if self.hidden_frac is None:
            # The one field that another's default depends on.
            frac = min(self.operand_bits - 7, MAX_HIDDEN_FRAC) if self.mid.tabulated else 0
            object.__setattr__(self, "hidden_frac", frac)
        if self.mid.tabulated:
            finest = min(self.operand_bits - 1, MAX_HIDDEN_FRAC)
            check_integer("segment_bits", self.segment_bits, 1, 5)
            check_integer("hidden_frac", self.hidden_frac, self.segment_bits + 1, finest)
        for shifts in self.shifts:
            if not 1 <= len(shifts) <= MAX_SHIFTS:
                raise ConfigError("shifts", shifts, f"must be 1 to {MAX_SHIFTS} numbers")
            for shift in shifts:
                check_integer("shifts", shift, 0, 63)
        if self.sum_bits + self.reciprocal_bits > MAX_PRODUCT_BITS:
            raise ConfigError("k", self.k, f"too many rows of {self.width} for means of {self.operand_bits} bits")
        if self.acc_bits > MAX_PRODUCT_BITS:
            most = self.operand_bits - self.acc_bits + MAX_PRODUCT_BITS
            raise ConfigError("operand_bits", self.operand_bits,
                              f"at most {most} for {self.channels} channels and a squeeze of {self.squeeze}")

    # Geometry. A "group" is the channels of one beat, a "word" a beat's data.

    @property
    def groups(self):
        """Beats of a pixel."""
        return self.channels // self.lanes

    @property
    def tile_words(self):
        """Beats of a tile of k rows."""
        return self.k * self.width * self.groups

    @property
    def passes(self):
        """Passes over their inputs that layer 1 and layer 2 take with ``macs`` multipliers."""
        return (-(-self.squeeze // self.macs), -(-self.channels // self.macs))

    @property
    def weight_depth(self):
        """Words of the weight memory: one for each input of each pass."""
        return self.passes[0] * self.channels + self.passes[1] * self.squeeze

    @property
    def bound_bits(self):
        """The bound that memory is measured against: 8 * k * W * C."""
        return 8 * self.k * self.width * self.channels

    # Number formats (docs/design.md, "Numbers").

    @property
    def int8_zero_point(self):
        """Zero point of the working range -128..127: uint8 data are taken less 128."""
        return self.zero_point if self.signed else self.zero_point - 128

    @property
    def largest_deviation(self):
        """Largest |x - zero| that an input can have."""
        return max(127 - self.int8_zero_point, self.int8_zero_point + 128)

    @property
    def sum_bits(self):
        """Signed width of a tile's sum: holds -128 * k * W."""
        return 8 + (self.k * self.width - 1).bit_length()

    @property
    def mean_frac(self):
        """A tile mean's grid is ``2 ** -mean_frac`` of a full tile's sum; negative where the sum has more bits."""
        return self.operand_bits - self.sum_bits

    @functools.cached_property
    def reciprocals(self):
        """``(R, q)`` for each row count r = 1..k: a tile mean is ``S * R / 2 ** q``, rounded.

        R / 2**q is k / r * 2**mean_frac rounded to ``reciprocal_bits`` bits; it is exact where k / r is a power of two,
        for full tiles above all. Any other is off by less than half a step of a mean, which thus can't leave its width.
        """
        result = []
        for r in range(1, self.k + 1):
            exponent = self.k.bit_length() - r.bit_length()
            exponent -= r << exponent > self.k
            # 2**exponent <= k / r < 2 * 2**exponent
            q = self.reciprocal_bits - 1 - exponent - self.mean_frac
            numerator = self.k << max(q + self.mean_frac, 0)
            denominator = r << max(-(q + self.mean_frac), 0)
            result.append(((2 * numerator + denominator) // (2 * denominator), q))
        return tuple(result)

    @property
    def reciprocal_bits(self):
        """Bits of a reciprocal's mantissa: an FPGA's multiplier has 18; means of more bits get two more than theirs.

        The first costs half of a mean's LSB at most, the second an eighth.
        """
        return MULTIPLIER_OPERAND if self.operand_bits <= MULTIPLIER_OPERAND else self.operand_bits + 2

    @property
    def hidden_bits(self):
        """Stored width of a hidden value: signed, or unsigned behind relu and relu6."""
        return self.operand_bits if self.mid.signed else self.operand_bits - 1

    @property
    def acc_bits(self):
        """Signed width of a MAC accumulator, for the worst parameters and data."""
        terms = max(self.channels, self.squeeze)
        return self.operand_bits + 7 + (terms - 1).bit_length()

    @property
    def gate_bits(self):
        """Unsigned width of a gate, 0 to ``2 ** GATE_FRAC``."""
        return GATE_FRAC + 1

    @property
    def logit_bits(self):
        """Signed width of a logit: into the sigmoid table, or already on the gate's grid for a hard sigmoid."""
        return LOGIT_BITS if self.gate.kind is GateKind.SIGMOID else GATE_FRAC + 2

    @property
    def record_bits(self):
        """A channel's requantisation record: multiplier, shift index (3 bits), bias."""
        return MULTIPLIER_BITS + 3 + self.requant_bits

    @property
    def fingerprint(self):
        """32 bits that open a parameter stream; they differ where a stream's layout or its numbers' meaning would."""
        layout = (STREAM_VERSION, self.k, self.width, self.channels, self.squeeze, self.macs, self.signed,
                  self.mid.value, str(self.gate), self.residual, self.operand_bits, self.hidden_frac,
                  self.segment_bits, self.requant_bits, self.shifts)
        return zlib.crc32(repr(layout).encode())
