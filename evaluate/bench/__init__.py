# SPDX-License-Identifier: Apache-2.0
"""`tiled-se bench`: measure every squeeze-and-excite block of known networks, and write that down with plots."""
