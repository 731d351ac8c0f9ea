# SPDX-License-Identifier: Apache-2.0
"""Squeeze-and-excite blocks found in a graph by what they compute."""
