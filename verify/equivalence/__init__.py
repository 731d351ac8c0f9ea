# SPDX-License-Identifier: Apache-2.0
"""Proofs that a changed netlist does what the original does."""
