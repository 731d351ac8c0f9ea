# SPDX-License-Identifier: Apache-2.0
"""The text detector that the package rapidocr ships, and its way from a network's output to boxes."""

from importlib import resources

import numpy as np
import onnx
from rapidocr.ch_ppocr_det.utils import DBPostProcess, DetPreProcess

__all__ = ["NETWORK", "boxes", "load", "prepared"]

NETWORK = "PP-OCRv6_det_small"
# As rapidocr's config.yaml has them ("Det"); page sizes are chosen so that no page is resized.
MEAN = STD = (0.5, 0.5, 0.5)
THRESHOLDS = {"thresh": 0.3, "box_thresh": 0.5, "unclip_ratio": 1.6, "use_dilation": True, "score_mode": "fast"}


def load():
    """The network, an onnx.ModelProto, out of the installed package: nothing is downloaded."""
    return onnx.load_from_string((resources.files("rapidocr") / "models" / f"{NETWORK}.onnx").read_bytes())


def prepared(image):
    """What the network takes, float32 (1, 3, H, W), of an image uint8 (H, W, 3) whose sides are multiples of 32."""
    return DetPreProcess(1, "min", MEAN, STD)(image)


def boxes(probabilities):
    """Boxes, float (N, 4, 2) from upper left, clockwise, in the network's output (1, 1, H, W)."""
    found, _ = DBPostProcess(**THRESHOLDS)(probabilities, probabilities.shape[2:])
    return np.asarray(found, float).reshape(-1, 4, 2)
