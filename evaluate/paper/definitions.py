# SPDX-License-Identifier: Apache-2.0
"""The networks of the paper's tables as they are defined: every block with its stage, stride and input, from
networks.json."""

import dataclasses
import importlib.resources
import json

__all__ = ["Definition", "StagedBlock", "load_definitions"]


@dataclasses.dataclass(frozen=True)
class StagedBlock:
    """A squeeze-and-excite block where it is in its network.

    Attributes
    ----------
    stage : int
        From 1; MobileNetV3's are its layers.
    stride : int
        Of the convolution in front of the block, in the same stage.
    height_in, width_in : int
        Of that convolution's input.
    height, width, channels, squeeze : int
        H, W, C and CR.
    count : int
        How many such blocks follow each other.
    """

    stage: int
    stride: int
    height_in: int
    width_in: int
    height: int
    width: int
    channels: int
    squeeze: int
    count: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Definition:
    """A network; None and () are what only some need.

    Attributes
    ----------
    name, source : str
    input : tuple of int
        Height and width.
    blocks : tuple of StagedBlock
    stem_width : int
        Channels of the stem.
    macs_without_se : int
        Of a frame.
    strides_set_to_1 : tuple of int
        The layers whose stride is 1 in segmentation and 2 in classification.
    """

    name: str
    input: tuple
    source: str
    blocks: tuple
    stem_width: int | None = None
    macs_without_se: int | None = None
    strides_set_to_1: tuple = ()


def load_definitions():
    """Name to :class:`Definition`."""
    text = importlib.resources.files(__package__).joinpath("networks.json").read_text()
    return {name: Definition(name=name, **about | {"blocks": tuple(StagedBlock(*block) for block in about["blocks"])})
            for name, about in json.loads(text)["networks"].items()}
