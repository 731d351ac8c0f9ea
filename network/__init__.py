# SPDX-License-Identifier: Apache-2.0
"""ONNX networks: read, searched for squeeze-and-excite blocks, tiled, calibrated and built."""
