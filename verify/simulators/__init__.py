# SPDX-License-Identifier: Apache-2.0
"""The same vectors through several simulators, and through the synthesised netlist: all must show the same."""
