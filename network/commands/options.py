# SPDX-License-Identifier: Apache-2.0
"""Options of the commands on an ONNX network.

A dataclass takes the fields of its last base first; help and positional options follow that order.
"""

import dataclasses
import os

from ...gen import formats
from ...gen.fields import option, restated, stem, text_of
from ...gen.options import (
    BatchOptions,
    DataOptions,
    FormatOptions,
    HardwareOptions,
    OutputOptions,
    StallOptions,
    StyleOptions,
    TileOptions,
    TilingOptions,
)
from ...golden.range_method import RangeMethod
from ...hdl.config import Context, Order
from ..plan import BlockRows, block_rows

__all__ = ["BuildOptions", "EachBlockOptions", "EachTilingOptions", "ImageOptions", "InspectOptions",
           "ModelFolderOptions", "ModelOptions", "SensitivityOptions", "SkipOptions", "SwapOptions", "largest_lanes"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """The network, and the size of its input."""

    model: str | None = option("model", "MODEL", formats.file_name, None, "FILE", ".onnx file of the network",
        positional=True)
    input_shape: str | None = option("model", "INPUT_SHAPE", formats.file_name, None, "CxHxW",
        "size of the network's input, like 3x640x640 (default: what the model declares)")
    check_blocks: bool = option("model", "CHECK_BLOCKS", formats.boolean, True, "0|1",
        "1: blocks are run on random maps, and those that compute something else than was recognised are left out")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelFolderOptions(ModelOptions, OutputOptions):
    """The network, and a folder for results, which is named after it by default."""

    def _default_name(self) -> str:
        return f"{super()._default_name()}_{stem(os.path.normpath(self.model or 'model'), '.onnx')}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """Images that a network is run on."""

    calibration: str | None = option("model", "CALIBRATION", formats.file_name, None, "IMAGES",
        "folder with images (.png, .jpg, .bmp) or with arrays (.npy, .npz) that are inputs of the network as it is, "
        "(C, H, W) or (N, C, H, W)")
    limit: int = option("model", "LIMIT", formats.integer(1, 4096), 16, "N",
        "inputs that are used, spread over the folder and its arrays")
    mean: tuple[float, ...] | None = option("model", "MEAN", formats.numbers(-1e6, 1e6, 4), None, "M,M,M",
        "subtracted from an image's channels, which are from 0 to 1 (default: 0.485,0.456,0.406; 0 for a network that "
        "takes integers)")
    std: tuple[float, ...] | None = option("model", "STD", formats.numbers(1e-6, 1e6, 4), None, "S,S,S",
        "by which the channels are then divided (default: 0.229,0.224,0.225; 1/255 for a network that takes integers)")
    bgr: bool = option("model", "BGR", formats.boolean, False, "0|1", "1: an image's channels are blue, green, red")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SkipOptions:
    """Blocks that are left alone."""

    skip: tuple[str, ...] | None = option("model", "SKIP", formats.names, None, "NAME,NAME,...",
        "blocks that stay squeeze-and-excite (default: none)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkTilingOptions(TilingOptions):
    """The tiling of all blocks."""

    prior_rows: int | None = restated(TilingOptions, "prior_rows",
        text="imaginary rows, equal to the prior, in the means of cumulative and causal; at least 1 for causal "
        "(default: 1 for causal, and for cumulative if CALIBRATION gives a prior, else 0)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EachBlockOptions(TileOptions):
    """The rows of a tile, or the whole tiling, for each block."""

    k: int | BlockRows = restated(TileOptions, "k", convert=block_rows, metavar="ROWS,NAME=ROWS,...",
        text="rows of a tile; strips of K >= H rows are the original squeeze-and-excite; NAME=ROWS for single blocks, "
        "by the names that `inspect` prints; or a .json file as PLAN")
    plan: str | None = option("shape", "PLAN", formats.file_name, None, "FILE",
        ".json with the tiling of each block, as `plan` writes it; blocks that it lacks have what the other options "
        "say (default: none)")

    @property
    def differs(self) -> bool:
        """Whether blocks may differ in their tiling."""
        return bool(self.plan) or isinstance(self.k, BlockRows)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EachTilingOptions(EachBlockOptions, NetworkTilingOptions):
    """The tiling of all blocks, and of each."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class InspectOptions(NetworkTilingOptions, ModelOptions):
    """Options of ``tiled-se inspect``."""

    json: str | None = option("output", "JSON", formats.file_name, None, "FILE",
        "where the list goes as JSON, too (default: nowhere)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SwapOptions(EachTilingOptions, SkipOptions, ImageOptions, ModelOptions):
    """Options of ``tiled-se swap``."""

    calibration: str | None = restated(ImageOptions, "calibration",
        text="folder with images (.png, .jpg, .bmp) or arrays (.npy, .npz) from which cumulative, causal and window "
        "get their prior, the mean of each block's map (default: the prior is 0)")
    keep_quantised: bool = option("model", "KEEP_QUANTISED", formats.boolean, False, "0|1",
        "1: a quantised network's blocks keep their nodes, quantisers and weights, and only the mean is tiled; 0: they "
        "become float blocks")
    out: str | None = restated(OutputOptions, "out", metavar="FILE",
        text="the .onnx file to write (default: the model's name with _tseK; in other contexts with the context; with "
        "_planned where blocks differ)")

    @property
    def file(self) -> str:
        """``out``, or the file that is written without it."""
        if self.differs:
            return self.out or f"{os.path.splitext(self.model or 'model.onnx')[0]}_planned.onnx"
        name = f"tse{self.k}" if self.context is Context.TILE else f"{self.context.value}{self.k}"
        if self.window is not None:
            name = f"{self.context.value}{text_of(self.window, '-')}"
        narrow = "" if self.tile_width is None else f"x{self.tile_width}"
        columns = f"_{self.order.value}" if self.order is Order.COLUMNS else ""
        return self.out or f"{os.path.splitext(self.model or 'model.onnx')[0]}_{name}{narrow}{columns}.onnx"


def largest_lanes() -> int | None:
    """The option `lanes` of commands that build many blocks."""
    return restated(HardwareOptions, "lanes", text="the most channels that a beat may carry; each block has the "
                    "largest divisor of its own channels (default: 8)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuildOptions(EachTilingOptions, FormatOptions, StyleOptions, StallOptions, BatchOptions, SkipOptions,
                   ImageOptions, ModelFolderOptions):
    """Options of ``tiled-se build``."""

    lanes: int | None = largest_lanes()
    loadable: bool | None = restated(FormatOptions, "loadable",
        text="1: parameters come through w_axis; 0: they are baked in (default: 0)")
    model: str | None = restated(ModelOptions, "model", metavar="FILE|FOLDER",
        text=".onnx file of the network, or folder that export_blocks has written of a PyTorch network")
    weight_bits: int | None = restated(FormatOptions, "weight_bits", default=None,
        text="bits of a weight (default: a quantised network's, else 8)")
    calibrate_by: RangeMethod | None = option("model", "CALIBRATE_BY", formats.auto(RangeMethod.parse), None,
        "METHOD|auto",
        "how the images decide the range of a data format: min-max (of all numbers), percentile:P (of P %; 99.99 "
        "without a number), mse (of the least squared error) or auto, the one with the least error of the block's "
        "outputs on images held out (default: auto)")
    dtype: str | None = restated(DataOptions, "dtype",
        text="integers of the input: int2 to int16 or uint2 to uint16 (default: a quantised network's, else int8)")
    y_dtype: str | None = restated(DataOptions, "y_dtype",
        text="integers of the output (default: a quantised network's, else DTYPE)")
    y_scale: float | str | None = restated(DataOptions, "y_scale",
        text="real value of an output's step; auto: by CALIBRATE_BY (default: a quantised network's, else with "
        "Y_DTYPE auto, else the input's, twice that for a residual)")
    y_zero_point: int | None = restated(DataOptions, "y_zero_point",
        text="integer of the output that stands for 0.0 (default: a quantised network's, else what fits with "
        "Y_SCALE=auto or Y_DTYPE, else the input's)")
    frames: int | None = restated(DataOptions, "frames", text="images whose feature maps are simulated (default: 2)")
    seed: int = restated(DataOptions, "seed", text="of the pauses")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SensitivityOptions(ImageOptions, ModelFolderOptions):
    """Options of ``tiled-se sensitivity``."""

    calibration: str | None = restated(ImageOptions, "calibration", positional=True)
    ks: tuple[int, ...] = option("model", "KS", formats.integers(1, 1 << 16, 16), (1, 3, 5, 7, 9), "K,K,...",
        "rows of a tile to look at, each with its own list of blocks to leave")
    weight_bits: int | None = restated(BuildOptions, "weight_bits")
    calibrate_by: RangeMethod | None = restated(BuildOptions, "calibrate_by")
    dtype: str | None = restated(BuildOptions, "dtype")
