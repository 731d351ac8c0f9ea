# SPDX-License-Identifier: Apache-2.0
"""`tiled-se sweep`: a list of configurations, each co-simulated, and one table of what came of them."""
