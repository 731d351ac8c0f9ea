# SPDX-License-Identifier: Apache-2.0
"""One block on an FPGA: synthesis with yosys, place and route with nextpnr, and what their reports say."""
