# SPDX-License-Identifier: Apache-2.0
"""The paper's tables, recomputed from block shapes."""
