# SPDX-License-Identifier: Apache-2.0
"""Cycles that each component takes. The components are built with these numbers, and `Timing` adds them up.

Who changes a component's pipeline changes its number here; tests compare the two.
"""

import math

from .data_type import INT8
from .tables import gate_format, gate_table, mid_table, slope_bits

__all__ = ["ACCUMULATE", "COMBINE", "LIMB_BITS", "LOGIT", "MAGNITUDE", "MULTIPLY", "ONE_BLOCK", "READABLE", "SHALLOW",
           "factor_limbs", "gate_latency", "gate_limbs", "limbs", "mac_latency", "mean_limbs", "means_latency",
           "mid_latency", "mid_limbs", "mid_rows", "mid_table_latency", "operand_limbs", "prior_wait",
           "product_latency", "quadratic_latency", "ram_latency", "record_ahead", "requantise_latency",
           "requantise_limbs", "table_latency"]

# Up to this depth a memory is distributed RAM or registers, for which one output register is enough.
SHALLOW = 32
# Up to this depth one row of block RAMs is enough in every FPGA family; their output register is the second stage.
# Deeper memories are several rows, and a third register follows the multiplexer of their data.
ONE_BLOCK = 512
# A multiplier: the input and output registers of a DSP block.
MULTIPLY = 2
# From a word of sums to the mean, beside the multiplier: lane selection, shift. No register follows the rounding.
MEANS = 1 + 1
# The prior's addition to the sum.
ADD_PRIOR = 1
# From a pass's last product to its first accumulator: adder, drain register.
ACCUMULATE = 2
# A wide factor is multiplied in limbs of this many bits, so that each takes one 18-bit multiplier.
LIMB_BITS = 17
# From a beat that is taken to its read, where a tile is read before it has ended: the beat is written in the next
# cycle, and the record of a tile's end must be there a cycle before its last beat is read.
READABLE = 3
# A tabulated mid: saturation, magnitude; after its table and the quadratic: difference, saturation.
MAGNITUDE, COMBINE = 2, 2
# To the saturated logit. From there a gate takes magnitude, coefficients, the segment's value, and the sign. A linear
# segment takes three rows of adders.
LOGIT = 1
ADDERS = 3


def ram_latency(depth):
    """From an address to its data, in a memory of `depth` words."""
    return 1 + (depth > SHALLOW) + (depth > ONE_BLOCK)


def means_latency(config):
    """From a word of sums to the mean of a channel."""
    return MEANS + product_latency(*mean_limbs(config)) + (ADD_PRIOR if config.prior_rows else 0)


def prior_wait(config):
    """Cycles that a word of sums is read later, because the memory of the prior is slower."""
    if not config.prior_rows:
        return 0
    # The prior is needed when the lane is selected, a cycle after the word of sums.
    return max(0, ram_latency(config.channels) - 1 - ram_latency(config.groups))


def limbs(bits):
    """Limbs that a factor of `bits` takes. The top limb has its sign, if any, and may be one bit longer."""
    return max(1, -(-(bits - 1) // LIMB_BITS))


def operand_limbs(config, bits):
    """Limbs of a factor of a mean or of a MAC unit.

    Data of up to 8 bits rarely make it wider than a multiplier, and then it is not divided.
    """
    return limbs(bits) if config.data.bits > INT8.bits else 1


def mean_limbs(config):
    """Limbs of a sum and of its reciprocal."""
    # Sums that go on from tile to tile are wider for any data.
    of_sum = limbs(config.sum_bits) if config.context.running else operand_limbs(config, config.sum_bits)
    return of_sum, operand_limbs(config, config.reciprocal_bits)


def mac_latency(config):
    """From a pass's last operand to its first accumulator."""
    return product_latency(operand_limbs(config, config.operand_bits)) + ACCUMULATE


def product_latency(*parts):
    """From two factors, the limbs of each given, to their product. A factor that is not given has one limb."""
    return MULTIPLY + math.prod(parts) - 1


def requantise_limbs(config):
    """Limbs of an accumulator and of its multiplier."""
    return limbs(config.acc_bits), limbs(config.multiplier_bits)


def requantise_latency(config):
    """From an accumulator to its value: products and their sum, shift, saturation, bias."""
    return product_latency(*requantise_limbs(config)) + 3


def record_ahead(config):
    """Cycles from the announcement of a pass's end to its first accumulator; its record is read meanwhile."""
    return 1 + ram_latency(config.squeeze + config.channels)


def mid_limbs(config):
    """Limbs of the factors of a tabulated mid's quadratic: of its first product, and of its second."""
    if config.data.bits <= INT8.bits:
        return (1, 1), (1, 1)
    first, second = slope_bits(mid_table, config.mid, config.hidden_frac, config.segment_bits, config.mid_range)
    offset = limbs(config.hidden_frac - config.segment_bits)
    return (limbs(first), offset), (limbs(second), offset)


def gate_limbs(config):
    """The same of a gate's quadratic."""
    form = gate_format(config)
    first, second = slope_bits(gate_table, form, config.gate_top, config.residual)
    return (limbs(first), limbs(form.offset_bits)), (limbs(second), limbs(form.offset_bits))


def factor_limbs(config):
    """Limbs of a gate and of the factor that it is multiplied by."""
    return limbs(config.gate_bits), limbs(config.factor_bits + 1)


def quadratic_latency(parts):
    """From a segment's coefficients to the quadratic: its two products, and their sum."""
    return sum(product_latency(*limbs_of) for limbs_of in parts) + 1


def mid_rows(config):
    """Rows of a tabulated mid's table that the operand can reach."""
    bits = config.hidden_frac - config.segment_bits
    return min(config.mid_range << config.segment_bits, 1 << (config.operand_bits - bits))


def mid_table_latency(config):
    """From a magnitude to its segment's coefficients. That of data of up to 8 bits is small, and has one register."""
    return ram_latency(mid_rows(config)) if config.data.bits > INT8.bits else 1


def mid_latency(config):
    """From a requantised value to the hidden value."""
    if not config.mid.tabulated:
        return 1
    return MAGNITUDE + mid_table_latency(config) + quadratic_latency(mid_limbs(config)) + COMBINE


def table_latency(config):
    """From a logit to its gate, in a table."""
    form = gate_format(config)
    if not form.quadratic:
        return 1 + 1 + ADDERS + 1
    return 1 + ram_latency(form.segments) + quadratic_latency(gate_limbs(config)) + 1


def gate_latency(config):
    """From a requantised value to the gate."""
    function = table_latency(config) if config.gate.table else 1
    # After the multiplication by a factor the gate is rounded.
    rescale = product_latency(*factor_limbs(config)) + 1 if config.rescales else 0
    return LOGIT + function + rescale
