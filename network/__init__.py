# SPDX-License-Identifier: Apache-2.0
"""ONNX networks: open a file, find its squeeze-and-excite blocks, tile, calibrate and build them.

``network = open_network("net.onnx", "3x640x640")`` has ``network.blocks``, and ``tile_blocks(network.model,
network.blocks, k=7)`` returns the tiled model. The commands are functions with their options. Names are imported at
first use, as onnx, onnxruntime and torch take seconds.
"""

import importlib

# Public name to the module that defines it.
_MODULES = {
    "InputShape": "read.shapes", "Network": "network", "NetworkBlock": "match.match", "find_blocks": "match.match",
    "open_network": "network", "tile_blocks": "tile",
    "Agreement": "calibration.agreement", "agreement": "calibration.agreement", "Images": "calibration.images",
    "feature_maps": "calibration.feature_maps", "find_images": "calibration.images",
    "build": "commands.build", "inspect": "commands.inspect", "sensitivity": "commands.sensitivity",
    "swap": "commands.swap",
}
__all__ = list(_MODULES)


def __getattr__(name):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
