# SPDX-License-Identifier: Apache-2.0
"""Faults in a block's netlist: the names that mutation and the proofs of equivalence share."""

from collections.abc import Sequence

__all__ = ["FLAT", "MOST_FAULTS", "OBSERVED", "SELECT", "SELECT_BITS", "TOP", "controlled"]

TOP = "tiled_se"
# The flat netlist of the block, which is mutated and proved; and the same with the signals that the bench observes,
# which is simulated.
FLAT, OBSERVED = "flat.il", "observed.il"
# The input that selects a fault, and the most faults in one netlist.
SELECT, SELECT_BITS = "mutsel", 16
MOST_FAULTS = 2**SELECT_BITS - 1


def controlled(mutations: Sequence) -> list[str]:
    """The commands of yosys that put all of `mutations` (:class:`.mutation.mutation.Mutation`) into a netlist.

    The first one is active if ``SELECT`` is 1.
    """
    return [mutation.text.replace("mutate ", f"mutate -ctrl {SELECT} {SELECT_BITS} {number} ", 1)
            for number, mutation in enumerate(mutations, 1)]
