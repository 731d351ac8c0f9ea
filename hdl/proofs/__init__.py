# SPDX-License-Identifier: Apache-2.0
"""Formal properties of the components, one file for each; `tiled-se prove` proves them."""
