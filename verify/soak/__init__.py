# SPDX-License-Identifier: Apache-2.0
"""`tiled-se soak`: hostile streams, command lines and files by the thousand, each repeatable by its seed and number."""
