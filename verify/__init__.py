# SPDX-License-Identifier: Apache-2.0
"""The generator held to what it promises: regression, proofs, mutation, other simulators, soak."""
