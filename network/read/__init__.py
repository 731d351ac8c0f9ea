# SPDX-License-Identifier: Apache-2.0
"""An ONNX file, which may be anything, as a graph whose sizes and constants are known."""
