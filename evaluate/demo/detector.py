# SPDX-License-Identifier: Apache-2.0
"""The text detector that the package rapidocr ships, and its way from an image to boxes, as the package sets it up."""

from importlib import resources

import numpy as np
import onnx
import yaml
from rapidocr.ch_ppocr_det.utils import DBPostProcess, DetPreProcess

__all__ = ["NETWORK", "boxes", "load", "prepared"]

NETWORK = "PP-OCRv6_det_small"
PACKAGE = resources.files("rapidocr")
SETTINGS = yaml.safe_load((PACKAGE / "config.yaml").read_text())["Det"]


def load():
    """The network, an onnx.ModelProto, out of the installed package: nothing is downloaded."""
    return onnx.load_from_string((PACKAGE / "models" / f"{NETWORK}.onnx").read_bytes())


def prepared(image):
    """What the network takes, float32 (1, 3, H, W), of an image uint8 (H, W, 3): enlarged where it is small, H and W
    multiples of 32.
    """
    return DetPreProcess(*_settings("limit_side_len", "limit_type", "mean", "std"))(image)


def boxes(probabilities, size):
    """Boxes, float (N, 4, 2) from upper left, clockwise, in an image of `size` (H, W).

    `probabilities` are the network's output (1, 1, H, W), of the image as `prepared`.
    """
    process = DBPostProcess(*_settings("thresh", "box_thresh", "max_candidates", "unclip_ratio", "score_mode",
                                       "use_dilation"))
    return np.asarray(process(probabilities, size)[0], float).reshape(-1, 4, 2)


def _settings(*names):
    return [SETTINGS[name] for name in names]
