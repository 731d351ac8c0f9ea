# SPDX-License-Identifier: Apache-2.0
"""Stimulus of the regression: scenarios of frames, pauses and resets for a block of any parameters."""
