# SPDX-License-Identifier: Apache-2.0
"""Many tasks on many processes, of this machine or of a cluster: run, shown and kept."""
