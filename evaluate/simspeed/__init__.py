# SPDX-License-Identifier: Apache-2.0
"""`tiled-se simspeed`: how fast the block simulates, by four test benches on the same Verilog."""
