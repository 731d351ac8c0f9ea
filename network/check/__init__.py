# SPDX-License-Identifier: Apache-2.0
"""Runs what was recognised in a network, and what was written, beside the network itself."""
