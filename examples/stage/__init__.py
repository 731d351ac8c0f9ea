# SPDX-License-Identifier: Apache-2.0
"""A depthwise convolution, a tiled squeeze-and-excite block and a projection as one stream."""
