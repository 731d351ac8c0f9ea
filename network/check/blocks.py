# SPDX-License-Identifier: Apache-2.0
"""Runs each recognised block of a network on random maps, beside the form that it was recognised as.

What the network's quantisers round is not rounded here, so both sides agree but for the rounding of float32.
"""

import functools
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ...golden.block import FloatBlock
from ...golden.reference import excite
from ..match.bounds import ANY, Bounds
from ..match.match import NetworkBlock
from ..match.pooling import Pooling
from ..read.graph import Graph, declared_dims
from .runtime import CannotRun, runner
from .subgraph import NotSelfContained, Subgraph, constant_error

__all__ = ["LARGEST", "LARGEST_MEAN", "differing", "gate_error", "noise", "within"]

# Height and width of maps that the network leaves open, and its open batch.
OPEN_SIZES = ((7, 5), (4, 6))
OPEN_BATCH = 2
# Elements of the largest map that is run.
LARGEST = 1 << 24
# Random numbers of a map, which are repeated. Their number is a prime, so that no row is another's.
NOISE = 65521
# Its square is a float32 number.
LARGEST_MEAN = 1e18
# Relative error of a sum in float32.
SUM_ERROR = 4e-6
# Hidden vectors before their activation: beyond the corners of all activations, and about those of most.
WIDE, NEAR = (-9.0, 9.0), (-1.5, 5.0)
# Images with few numbers beyond the corners.
FEW = 4
# Steps of conjugate gradients.
GRADIENTS = 6
# Factors of a vector of means among which those are chosen that change the gates most.
FACTORS = 8.0 ** np.arange(-2, 3)


def differing(graph: Graph, blocks: Iterable[NetworkBlock]) -> tuple[list[NetworkBlock], dict[str, str]]:
    """``(agreeing, reasons)``: the blocks of `graph` that compute their recognised form, and why the others don't."""
    agreeing, reasons, pooling = [], {}, Pooling(graph)
    for block in blocks:
        try:
            # Weights may be any numbers, and overflow.
            with np.errstate(all="ignore"):
                reason = _reason(pooling, block)
        except (CannotRun, NotSelfContained) as error:
            reason = f"it can't be checked by running it ({error}); CHECK_BLOCKS=0 takes it unchecked"
        if reason:
            reasons[block.name] = reason
        else:
            agreeing.append(block)
    return agreeing, reasons


def _reason(pooling, block):
    """Why `block` is not what it was recognised as when it is run; None if it is."""
    graph = pooling.graph
    base, order = pooling.source(block.x)
    try:
        subgraph = Subgraph(graph, base, block.y, block.ranges)
    except NotSelfContained:
        # The block may read only one of several roundings of a tensor.
        subgraph, order = Subgraph(graph, block.x, block.y, block.ranges), ()
    trial, dims = _Trial(subgraph, block, order), graph.dims.get(block.x) if pooling.fixed_batch else None
    difference = _of_batches(trial, dims)
    if difference:
        # A quantiser may cut off numbers that the network's own maps never have.
        trial.bounds = pooling.passing.bounds.get(subgraph.base, ANY)
        difference = difference if trial.bounds == ANY else _of_batches(trial, dims)
    if math.isinf(difference):
        return "when it is run, its gates are not finite"
    if difference:
        return f"when it is run, its gates differ by up to {difference:.2g} from those of the block that it was read as"
    if trial.differs_at_twice(*_open_sizes(graph)):
        return f"it is a block for maps of {block.height}x{block.width} only, and the input's size is open"
    return None


def _open_sizes(graph):
    """Whether the file leaves the height of the network's image open, and whether its width."""
    shapes = [dims for value in graph.inputs if (dims := declared_dims(value)) is not None and len(dims) == 4]
    if len(shapes) != 1:
        return False, False
    (dims,) = shapes
    height = 1 if dims[1] is None and dims[3] is not None else 2
    return dims[height] is None, dims[height + 1] is None


def _of_batches(trial, dims):
    """The difference on maps of the batch that is declared in `dims`, or of an open one."""
    if dims is not None and dims[0] is not None:
        return trial.difference(dims[0])
    try:
        return trial.difference(OPEN_BATCH)
    except (CannotRun, NotSelfContained):
        # Exporters write the batch of their sample into models that declare it open.
        return trial.difference(1)


class _Trial:
    """Runs one block on random maps, and compares its gates with those of the form that it was recognised as."""

    def __init__(self, subgraph, block, order):
        self.subgraph, self.block, self.order, self.form = subgraph, block, order, block.float_block
        self.taps = [block.x if block.x in subgraph.inside else subgraph.base, block.y]
        self.error = constant_error(subgraph.graph, subgraph.nodes)
        self.rng, self.bounds, self.batch = np.random.default_rng(0), ANY, 1

    def difference(self, batch: int) -> float:
        """The largest difference on maps of that batch which is not allowed, or 0.0."""
        self.batch = batch
        sizes = dict.fromkeys((self.block.height or height, self.block.width or width) for height, width in OPEN_SIZES)
        own = [(batch, self.block.channels, *size) for size in sizes]
        too_large = math.prod(own[0]) > LARGEST
        small = min(batch, OPEN_BATCH) if too_large else batch, self.block.channels, *OPEN_SIZES[0]
        if small in own:
            return self._on(own)
        # Most networks' blocks take maps of any size: small ones show all that the form is, and sooner.
        try:
            difference = self._on([small])
        except (CannotRun, NotSelfContained):
            if too_large:
                raise
            difference = math.inf
        if too_large:
            return difference
        return self._on(own, inputs=1) if difference == 0.0 else self._on(own)

    def differs_at_twice(self, height: bool, width: bool) -> bool:
        """Whether a map of twice the own height or width, as asked, shows a difference; not if it can't be run."""
        sizes = self.block.height, self.block.width
        if None in sizes or not (height or width):
            return False
        shape = self.batch, self.block.channels, sizes[0] * (1 + height), sizes[1] * (1 + width)
        try:
            return math.prod(shape) <= LARGEST and self._on([shape], inputs=1) > 0
        except (CannotRun, NotSelfContained):
            return False

    def _on(self, shapes, inputs=None):
        """The same for maps of these shapes (N, C, H, W), with the first `inputs` of all means."""
        largest = 0.0
        for shape in shapes:
            random, run = noise(shape), None
            for z in itertools.islice(self._means(shape[0]), inputs):
                z = np.clip(np.nan_to_num(z), -LARGEST_MEAN, LARGEST_MEAN)
                size = np.float32(np.sqrt(np.mean(z**2)) or 1.0)
                fed = within(random * size + z.astype(np.float32)[:, :, None, None], self.bounds)
                fed = _arranged(fed, self.block.channels_last, self.order)
                run = run or runner(self.subgraph.model(self.taps, fed.shape), self.taps, threads=1)
                arrays = run({self.subgraph.base: fed})
                x, y = (_channels_first(array, shape, self.block.channels_last) for array in arrays)
                difference, allowed = self._gate_difference(x, y)
                # An allowance that is no number allows nothing.
                if not difference <= allowed:
                    largest = max(largest, difference)
        return largest

    def _means(self, batch: int) -> Iterator[np.ndarray]:
        """Means (N, C) of random maps, those first that show most of the form."""
        squeeze, channels = self.form.w1.shape
        # Few numbers at a time are beyond the activation's corners: with many, the logits would be beyond the gate's.
        for share in (0, 1, *[1 / 4] * max(1, FEW // batch)):
            wide = self.rng.random((batch, squeeze)) < share
            low, high = (np.where(wide, *ends) for ends in zip(WIDE, NEAR, strict=True))
            yield self._leading_to(self.rng.uniform(low, high))
        yield self._changing_gates(self.rng.normal(size=(batch, channels)))
        yield self.rng.normal(size=(batch, channels))
        yield self._changing_gates(np.abs(self.rng.normal(size=(batch, channels))))
        yield 10 * self._leading_to(self.rng.uniform(*WIDE, (batch, squeeze)))

    def _leading_to(self, hidden):
        """Means (N, C) for which the first layer gives `hidden` (N, CR), or nearly: some steps of conjugate gradients.
        """
        w1 = self.form.w1
        rest = hidden - self.form.b1
        z, direction, size = 0.0, rest, (rest**2).sum(axis=1, keepdims=True)
        for _ in range(min(GRADIENTS, len(w1))):
            step = direction @ w1
            length = size / np.maximum((step**2).sum(axis=1, keepdims=True), 1e-30)
            z, rest = z + length * step, rest - length * (step @ w1.T)
            size, last = (rest**2).sum(axis=1, keepdims=True), size
            direction = rest + size / np.maximum(last, 1e-30) * direction
        return z

    def _changing_gates(self, z):
        """The multiple of the means `z` (N, C) whose gates are the least alike, and not at their ends."""
        size = np.sqrt(np.mean((z @ self.form.w1.T)**2)) or 1.0
        multiples = [z * factor / size for factor in FACTORS]
        _, rest = self._excite(0 * z)
        gates = self._excite(np.stack(multiples))[1]
        changes = np.mean(np.abs(gates - rest) * ((gates > 0.02) & (gates < 0.98)), axis=(1, 2))
        return multiples[int(np.argmax(changes))]

    def _excite(self, z):
        held = self.form
        return excite(z, held.w1, held.b1, held.w2, held.b2, held.mid, held.gate, self.block.ranges.stages)

    def _gate_difference(self, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
        """``(difference, allowed)`` of the gates in `y` (N, C, H, W) from those of the form for `x`, at one channel.

        It is the channel where the difference is the furthest from what is allowed: the rounding of sums in float32,
        and the relative error of the network's constants.
        """
        form = self.form
        means = x.mean(axis=(2, 3), dtype=np.float64)
        hidden, gates = self._excite(means)
        sizes = np.abs(means) @ np.abs(form.w1.T) + np.abs(form.b1)
        allowed = gate_error(form, hidden, sizes, self.error)
        change = np.abs(y - x * (gates + form.residual).astype(np.float32)[:, :, None, None]).max(axis=(2, 3))
        difference = change / np.maximum(np.abs(x).max(axis=(2, 3)), 1e-30)
        difference = np.where(np.isnan(difference), np.inf, difference)
        at = np.argmax(difference / allowed)
        return float(difference.flat[at]), float(allowed.flat[at])


def gate_error(form: FloatBlock, hidden: np.ndarray, sizes: np.ndarray, error: float) -> np.ndarray:
    """How much gates (..., C) may differ in float32, for a relative `error` of the network's constants.

    `hidden` are the vectors (..., CR) after the activation, and `sizes` the sums of the absolute terms before it.
    """
    slope = form.gate.largest_slope
    w2 = np.abs(form.w2.T)
    return error + slope * (np.abs(form.b2) * error + np.abs(hidden) @ w2 * error + sizes @ w2 * SUM_ERROR)


def within(x: np.ndarray, bounds: Bounds) -> np.ndarray:
    """`x` as a map whose numbers are within `bounds`."""
    return x if bounds == ANY else np.clip(np.abs(x) if bounds[0] >= 0 else x, *bounds)


def noise(shape: Sequence[int]) -> np.ndarray:
    """float32 array of random numbers, which are repeated; the same every time."""
    return np.resize(_noise(), shape)


@functools.cache
def _noise():
    return np.random.default_rng(1).normal(size=NOISE).astype(np.float32)


def _arranged(x, channels_last, order):
    """A map (N, C, H, W) as the tensor whose axes, in that `order`, give the block's x."""
    x = x.transpose(0, 2, 3, 1) if channels_last else x
    return np.ascontiguousarray(x.transpose(np.argsort(order)) if order else x)


def _channels_first(array, shape, channels_last):
    batch, channels, height, width = shape
    if array.shape != ((batch, height, width, channels) if channels_last else shape):
        raise NotSelfContained(f"it gives a tensor of shape {list(array.shape)} for maps of shape {list(shape)}")
    return array.transpose(0, 3, 1, 2) if channels_last else array
