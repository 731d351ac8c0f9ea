# SPDX-License-Identifier: Apache-2.0
"""ONNX networks: open a file, find its squeeze-and-excite blocks, tile, calibrate and build them.

``network = open_network("net.onnx", "3x640x640")`` has ``network.blocks``, and ``tile_blocks(network.model,
network.blocks, k=7)`` returns the tiled model. The commands are functions with their options. Names are imported at
first use, as onnx, onnxruntime and torch take seconds.
"""

from ..hdl.lazy import lazy

__all__, __getattr__ = lazy(__name__, {
    "calibration.agreement": "Agreement agreement",
    "calibration.feature_maps": "feature_maps with_priors",
    "calibration.images": "Images find_images",
    "commands.build": "build",
    "commands.inspect": "inspect",
    "commands.options": "BuildOptions InspectOptions SensitivityOptions SwapOptions",
    "commands.sensitivity": "sensitivity",
    "commands.swap": "swap",
    "export": "export_blocks",
    "match.match": "NetworkBlock",
    "network": "Network find_blocks open_network",
    "read.shapes": "InputShape",
    "tile": "tile_blocks",
})
