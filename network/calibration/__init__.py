# SPDX-License-Identifier: Apache-2.0
"""A network run on a user's images: its feature maps, and how well tiles stand for whole maps."""
