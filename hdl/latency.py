# SPDX-License-Identifier: Apache-2.0
"""Cycles that each component takes, as plain numbers: the components are built with them, `Timing` adds them up.

A component that changes its pipeline changes its constant here; tests hold the two together.
"""

from .config import GateKind

__all__ = ["COMBINE", "LIMB_BITS", "LOGIT", "LOOK_UP", "MAC", "MEANS", "MULTIPLY", "ONE_BLOCK", "SHALLOW", "SIGMOID",
           "gate_latency", "limbs", "mid_latency", "ram_latency", "record_ahead", "requantise_latency"]

# Up to this depth a memory is distributed RAM or registers, which one output register makes fast enough.
SHALLOW = 32
# Up to this depth the block RAMs of every FPGA family are deep enough, whatever the width: their own output register is
# the second. Deeper memories are several blocks, whose data meet in a multiplexer with a third.
ONE_BLOCK = 512
# A multiplier: the input and output registers of a DSP block.
MULTIPLY = 2
# From a word of sums to the mean: the lane, the multiplier, the shift (and no register behind the rounding).
MEANS = 1 + MULTIPLY + 1
# From a pass's last operand to its first accumulator: the multiplier, the adder, the accumulators' second row.
MAC = MULTIPLY + 2
# An accumulator is requantised in limbs of so many bits, each of which is one 18-bit multiplier.
LIMB_BITS = 17
# A tabulated mid: saturation, magnitude, table; and, behind two multiplications, sum, difference, saturation.
LOOK_UP, COMBINE = 3, 3
# To the saturated logit; from there the sigmoid has its magnitude, the table, three rows of adders, and the sign.
LOGIT = 1
SIGMOID = 6


def ram_latency(depth):
    """From an address to its data, in a memory of `depth` words."""
    return 1 + (depth > SHALLOW) + (depth > ONE_BLOCK)


def limbs(config):
    """Multipliers that an accumulator's requantisation takes; the top limb has a sign and may be a bit longer."""
    return max(1, -(-(config.acc_bits - 1) // LIMB_BITS))


def requantise_latency(config):
    """From an accumulator to its value: products and their sum, shift, saturation, bias."""
    return MULTIPLY + limbs(config) - 1 + 3


def record_ahead(config):
    """By how much a pass's end has to be known before its first accumulator comes: its record is read meanwhile."""
    return 1 + ram_latency(config.squeeze + config.channels)


def mid_latency(config):
    """From a requantised value to the hidden value."""
    return LOOK_UP + 2 * MULTIPLY + COMBINE if config.mid.tabulated else 1


def gate_latency(config):
    """From a requantised value to the gate."""
    return LOGIT + (SIGMOID if config.gate.kind is GateKind.SIGMOID else 1)
