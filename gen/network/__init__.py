# SPDX-License-Identifier: Apache-2.0
"""Squeeze-and-excite blocks of ONNX networks: found, swapped for tiled ones, run, quantised and built."""
