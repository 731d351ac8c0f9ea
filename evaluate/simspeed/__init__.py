# SPDX-License-Identifier: Apache-2.0
"""`tiled-se bench-sim`: how fast the block simulates, by four benches on the same Verilog."""
