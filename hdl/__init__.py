# SPDX-License-Identifier: Apache-2.0
"""The tiled squeeze-and-excite block in Amaranth, and the parameter object that everything else is built from."""
