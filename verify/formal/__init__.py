# SPDX-License-Identifier: Apache-2.0
"""`tiled-se prove`: the components' formal properties, and the faults that these must notice."""
