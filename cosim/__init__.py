# SPDX-License-Identifier: Apache-2.0
"""Co-simulation: build a simulator from Verilog, run scripted jobs in it under cocotb, compare every beat."""
