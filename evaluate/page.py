# SPDX-License-Identifier: Apache-2.0
"""benchmarks.md: `make bench` writes it, but for the section that `make simspeed` writes. Each keeps the other's."""

from ..gen.page import Section

__all__ = ["DOCUMENT", "SECTION"]

DOCUMENT = "benchmarks.md"
SECTION = Section("<!-- begin: speed of simulation, written by make simspeed -->", "<!-- end: speed of simulation -->")
