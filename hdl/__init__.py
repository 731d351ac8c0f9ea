# SPDX-License-Identifier: Apache-2.0
"""The tiled squeeze-and-excite block in Amaranth, and the parameter object that everything else is built from."""

from .lazy import lazy

__all__, __getattr__ = lazy(__name__, {
    "config": "Config ConfigError Context Gate GateKind Mid Order Tiling",
    "ecp5": "Ecp5",
    "parameters": "Layer Parameters record_words stream_words weight_words",
    "schedule": "Prediction in_flight predict",
    "sizing": "choose_macs",
    "technology": "Technology",
    "tiled_se": "TiledSE",
    "timing": "Timing",
})
