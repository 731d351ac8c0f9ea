# SPDX-License-Identifier: Apache-2.0
"""The command line `tiled-se`: options and files to a job, the job to Verilog, manifest, parameters and report."""
