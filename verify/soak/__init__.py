# SPDX-License-Identifier: Apache-2.0
"""`tiled-se soak`: hostile streams through random blocks, each repeatable by its seed and number."""
