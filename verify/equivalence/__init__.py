# SPDX-License-Identifier: Apache-2.0
"""Proofs that a changed netlist behaves as the original."""

from .prove import Verdict, prove_equivalent

__all__ = ["Verdict", "prove_equivalent"]
