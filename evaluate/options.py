# SPDX-License-Identifier: Apache-2.0
"""Options of the commands that measure, count and show."""

import dataclasses

from ..gen import formats
from ..gen.fields import option, restated, stem
from ..gen.options import (
    BatchOptions,
    BlockOptions,
    DataOptions,
    FormatOptions,
    FunctionOptions,
    HardwareOptions,
    OutputOptions,
    ShapeOptions,
    StallOptions,
    TileOptions,
    TilingOptions,
)
from ..golden.range_method import RangeMethod
from ..network.commands.options import (
    BuildOptions,
    EachBlockOptions,
    EachTilingOptions,
    ImageOptions,
    ModelFolderOptions,
    ModelOptions,
    SensitivityOptions,
    SkipOptions,
    largest_lanes,
)
from .budget import Budget, budget

__all__ = ["BenchOptions", "DemoOptions", "EvaluateOptions", "PlanOptions", "ReportOptions", "SimspeedOptions",
           "StudyOptions", "SweepOptions"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchOptions(BatchOptions, OutputOptions):
    """Options of ``tiled-se bench``."""

    network: str | None = option("bench", "NETWORK", formats.file_name, None, "NAMES|FILE",
        "networks to measure, with commas between them, or a .json file of your own (default: all that are known)")
    blocks: str | None = option("bench", "BLOCKS", formats.file_name, None, "HxWxCxCR,...",
        "blocks to measure instead (default: those of the networks)")
    docs: str | None = option("bench", "DOCS", formats.file_name, None, "FOLDER",
        "where benchmarks.md and its plots go (default: docs; with NETWORK or BLOCKS OUT)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimspeedOptions(TilingOptions, ShapeOptions, FormatOptions, FunctionOptions, DataOptions, StallOptions,
                      OutputOptions):
    """Options of ``tiled-se simspeed``."""

    name: str = restated(BlockOptions, "name")
    docs: str | None = restated(BenchOptions, "docs",
        text="folder whose benchmarks.md takes the figures in (default: none)")
    repeats: int = option("bench", "REPEATS", formats.integer(1, 1000), 3, "N", "rounds, of which the fastest counts")
    seconds: float = option("bench", "SECONDS", formats.number(0.01, 600), 4.0, "S",
        "CPU seconds that each bench runs in each round, at least one frame")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepOptions(BatchOptions, OutputOptions):
    """Options of ``tiled-se sweep``."""

    configs: str | None = option("sweep", "CONFIGS", formats.file_name, None, "FILE",
        ".toml with the configurations to simulate (default: a list of 38 that comes along)")
    scheduler: str | None = option("sweep", "SCHEDULER", formats.address, None, "tcp://HOST:PORT",
        "dask.distributed scheduler whose workers simulate (default: this machine's cores)")
    jobs: int | None = restated(BatchOptions, "jobs",
        text="simulations at a time (default: one for each core, or for each thread of a scheduler's workers)")

    def _default_name(self) -> str:
        return f"sweep_{stem(self.configs, '.toml')}" if self.configs else "sweep"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportOptions(EachBlockOptions, HardwareOptions, ModelFolderOptions, BatchOptions):
    """Options of ``tiled-se report``."""

    model: str | None = restated(ModelOptions, "model", text="network to count: names of known ones with commas "
        "between, `paper` for every row of the paper's tables, an .onnx file, or a .json file of your own")
    lanes: int | None = largest_lanes()
    weight_bits: int | None = restated(BuildOptions, "weight_bits")
    dtype: str | None = restated(BuildOptions, "dtype")
    y_dtype: str | None = restated(BuildOptions, "y_dtype")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlanOptions(FormatOptions, SkipOptions, ImageOptions, ModelFolderOptions):
    """Options of ``tiled-se plan``."""

    calibration: str | None = restated(ImageOptions, "calibration", positional=True)
    budget: Budget | None = option("model", "BUDGET", budget, None, "SIZE|FRACTION",
        "most memory of all blocks without weights: a size like 64KiB, 1.5MiB or 500000bits, or a fraction like 0.1 of "
        "what the untiled blocks buffer")
    ks: tuple[int, ...] = restated(SensitivityOptions, "ks",
        text="rows of a tile to choose from, beside those of the whole map")
    lanes: int | None = largest_lanes()
    loadable: bool | None = restated(BuildOptions, "loadable")
    weight_bits: int | None = restated(BuildOptions, "weight_bits")
    calibrate_by: RangeMethod | None = restated(BuildOptions, "calibrate_by")
    dtype: str | None = restated(BuildOptions, "dtype")
    y_dtypes: tuple[str, ...] | None = option("data", "Y_DTYPES", formats.data_types, None, "TYPE,TYPE,...",
        "integers of the output to choose from; input: the input's, with its scale and no other (default: a quantised "
        "network's, else DTYPE)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoOptions(TileOptions, OutputOptions):
    """Options of ``tiled-se demo``."""

    pages: int = option("model", "PAGES", formats.integer(2, 400), 42, "N", "pages of text to render for each seed")
    seed: int = restated(DataOptions, "seed", text="of the pages")
    seeds: tuple[int, ...] | None = option("data", "SEEDS", formats.integers(1, (1 << 31) - 1, 100), None, "N,N,...",
        "of pages that are scored together; each seed is run by itself, and its results are kept (default: SEED alone)")
    docs: str | None = restated(BenchOptions, "docs",
        text="folder whose demo.md takes the results in (default: none)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions(EachTilingOptions, SkipOptions, ImageOptions, ModelFolderOptions):
    """Options of ``tiled-se evaluate``."""

    data: str | None = option("model", "DATA", formats.file_name, None, "FOLDER",
        "images or arrays to evaluate on, in a folder for each class, or in one with LABELS")
    labels: str | None = option("model", "LABELS", formats.file_name, None, "FILE",
        "text or CSV file with a line NAME,LABEL for each image of DATA (default: the names of the folders)")
    classes: str | None = option("model", "CLASSES", formats.file_name, None, "FILE",
        "text file with the name of a class in each line, in the order of the network's outputs (default: labels are "
        "numbers from 0, or all folders in the order of their names)")
    metric: tuple[str, ...] = option("model", "METRIC", formats.names, ("top1",), "NAME,...",
        "top1, top5, or a .py file of your own with a function metric(outputs, name, label), which is executed")
    each: bool = option("model", "EACH", formats.boolean, False, "0|1",
        "1: also with one block at a time in tiles and in integers")
    images: int | None = option("model", "IMAGES", formats.integer(1, 1 << 24), None, "N",
        "images to evaluate on, spread over DATA (default: all)")
    calibration: str | None = restated(ImageOptions, "calibration",
        text="folder with images or arrays that the data formats and priors are taken from (default: LIMIT images of "
        "DATA, which are not scored if IMAGES leaves as many)")
    limit: int = restated(ImageOptions, "limit", text="images for calibration, spread over their folder")
    prior_rows: int | None = restated(TilingOptions, "prior_rows",
        text="imaginary rows, equal to the prior, in the means of cumulative and causal; at least 1 for causal "
        "(default: 1)")
    loadable: bool | None = restated(BuildOptions, "loadable")
    weight_bits: int | None = restated(BuildOptions, "weight_bits")
    operand_bits: int | None = restated(BuildOptions, "operand_bits")
    error: float = restated(BuildOptions, "error")
    calibrate_by: RangeMethod | None = restated(BuildOptions, "calibrate_by")
    dtype: str | None = restated(BuildOptions, "dtype")
    y_dtype: str | None = restated(BuildOptions, "y_dtype")
    y_scale: float | str | None = restated(BuildOptions, "y_scale")
    y_zero_point: int | None = restated(BuildOptions, "y_zero_point")
    seed: int = restated(DataOptions, "seed", text="of the resamples of a metric of your own")


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyOptions(BatchOptions, OutputOptions):
    """Options of ``tiled-se study``."""

    data: str | None = restated(EvaluateOptions, "data", text="images to train and test with: the four files of MNIST, "
        "or a folder for each class, which may be in train/ and test/ (default: /usr/share/datasets/fashion-mnist, as "
        "Debian's package dataset-fashion-mnist has it)")
    quick: bool = option("model", "QUICK", formats.boolean, False, "0|1",
        "1: fewer images, epochs and networks, to see that it works; the figures mean nothing")
    jobs: int | None = restated(BatchOptions, "jobs",
        text="networks at a time (default: one for each core; one on a GPU, which is used if torch sees it)")
    docs: str | None = restated(BenchOptions, "docs",
        text="folder in which study.md and its plots are written (default: none)")
    example: str | None = option("model", "EXAMPLE", formats.file_name, None, "FOLDER",
        "folder in which a trained network with blocks in integers is written, and some test images (default: none)")

    def _default_name(self) -> str:
        return "study_quick" if self.quick else "study"
