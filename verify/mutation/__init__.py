# SPDX-License-Identifier: Apache-2.0
"""Mutation score: how many faults in a block's netlist its own regression notices."""
