# SPDX-License-Identifier: Apache-2.0
"""What the block must compute: the PyTorch module, the quantiser, and the integer model in the hardware's stages.

Only :mod:`.integer`, :mod:`.stages`, :mod:`.module`, and what :mod:`.convert` imports need torch.
"""

from ..hdl.lazy import lazy

__all__, __getattr__ = lazy(__name__, {
    "block": "DataFormat FloatBlock",
    "block_formats": "BlockFormats",
    "calibration": "Calibration Histogram calibrate",
    "convert": "SEBlock find_se quantise_se tile_se untile_se",
    "integer": "IntegerModel Stages",
    "module": "TiledSE",
    "observe": "calibrate_blocks",
    "priors": "mean_descriptors",
    "quantise": "Quantised quantise_fixed_widths quantise_within_error",
    "quantised_module": "QuantisedTiledSE",
    "range_method": "RangeKind RangeMethod",
    "reference": "output_errors squeeze_excite",
})
