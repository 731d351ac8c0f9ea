# SPDX-License-Identifier: Apache-2.0
"""The forms of a network that are compared, run and scored on a part of the data, in a process of its own."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import onnx

from ...gen.block_spec import BlockSpec
from ...hdl.config import ConfigError
from ...hdl.tiling import Tiling
from ...network.calibration.feature_maps import batches
from ...network.match.match import NetworkBlock
from ...network.read.shapes import numpy_type, open_session
from ...network.tile import tile_blocks
from ..integers import Hybrid, IntegerBlock
from .data import Data
from .metrics import TopClasses, load_metrics

__all__ = ["INTEGERS", "KEPT", "SE", "TILES", "Form", "Networks", "scored"]

SE, TILES, KEPT, INTEGERS = "se", "tiles", "kept", "integers"
TITLES = {SE: "SE", TILES: "tiles, float", KEPT: "tiles, own quantisers", INTEGERS: "tiles, integers"}


@dataclasses.dataclass(frozen=True)
class Form:
    """A form of the network: SE, or TILES, KEPT or INTEGERS in all blocks, or in the one of the name `block`.

    TILES and KEPT are what `swap` writes, KEPT with KEEP_QUANTISED; INTEGERS are the golden model's.
    """

    numbers: str
    block: str | None = None

    def __str__(self) -> str:
        return self.numbers if self.block is None else f"{self.numbers} of {self.block}"

    @property
    def title(self) -> str:
        """For a person."""
        text = TITLES[self.numbers]
        return text if self.block is None else f"{text}, {self.block} alone"


@dataclasses.dataclass(frozen=True)
class Networks:
    """All that makes the forms of a network: its `content`, whose `input` takes so many images at once as `batch` says.

    `tilings` and `specs` are of `blocks`, by name. Whether `quantised`, it runs as it is written; otherwise onnxruntime
    optimises it. Whether `kept`, there is the form KEPT, too.
    """

    content: bytes
    input: str
    batch: int
    blocks: Sequence[NetworkBlock]
    tilings: Mapping[str, Tiling]
    specs: Mapping[str, BlockSpec]
    quantised: bool
    kept: bool

    def forms(self, each: bool) -> list[Form]:
        """SE, TILES, KEPT if there is that, and INTEGERS; with `each` also the last ones for each block alone."""
        names = [None, *(block.name for block in self.blocks if each)]
        tiled = (TILES, KEPT, INTEGERS) if self.kept else (TILES, INTEGERS)
        return [Form(SE), *(Form(numbers, name) for name in names for numbers in tiled)]

    def opened(self, form: Form) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
        """A function that runs a form: from what the network takes to its outputs by name."""
        model = onnx.ModelProto.FromString(self.content)
        blocks = [block for block in self.blocks if form.block in (None, block.name)]
        if form.numbers == INTEGERS:
            hybrid = Hybrid(model, {block.name: (block.x, block.y) for block in blocks}, optimise=not self.quantised)
            functions = {block.name: IntegerBlock(self.specs[block.name], block.channels_last) for block in blocks}
            return lambda inputs: hybrid.run({self.input: inputs}, functions)
        if form.numbers != SE:
            tilings = {block.name: self.tilings[block.name] for block in blocks}
            model = tile_blocks(model, blocks, tilings, keep=form.numbers == KEPT)
        names = [value.name for value in model.graph.output]
        session = open_session(model, optimise=not self.quantised)
        return lambda inputs: dict(zip(names, session.run(names, {self.input: inputs}), strict=True))


def scored(networks: Networks, forms: Sequence[Form], metrics: Sequence[str], data: Data) -> list[list[list]]:
    """For each of `metrics`, names as METRIC has them, and each form: the numbers of each image of `data`.

    Raises ConfigError where an image, a label, an output or a metric is wrong.
    """
    loaded = load_metrics(metrics)
    graph = onnx.ModelProto.FromString(networks.content).graph
    kind = next(numpy_type(value) for value in graph.input if value.name == networks.input)
    inputs = [array for _, array in batches(data.images, networks.batch, kind)]
    results: list[list[list]] = [[[] for _ in forms] for _ in loaded]
    for at, form in enumerate(forms):
        run = networks.opened(form)
        for outputs, sample in zip(_each(map(run, inputs), networks.batch), data.samples, strict=False):
            for metric, numbers in zip(loaded, results, strict=True):
                if isinstance(metric, TopClasses):
                    name, logits = next(iter(outputs.items()))
                    metric.check(data, name, logits.shape)
                numbers[at].append(metric.score(outputs, sample))
    return results


def _each(runs: Iterator[dict[str, np.ndarray]], batch: int) -> Iterator[dict[str, np.ndarray]]:
    """The outputs of each image, of runs with `batch` images each."""
    for outputs in runs:
        for name, array in outputs.items():
            if batch > 1 and array.shape[:1] != (batch,):
                raise ConfigError("model", name, f"has the shape {list(array.shape)}; must have {batch} rows, one for "
                                                 "each image")
        for index in range(batch):
            yield outputs if batch == 1 else {name: array[index:index + 1] for name, array in outputs.items()}
