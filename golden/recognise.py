# SPDX-License-Identifier: Apache-2.0
"""Recognises squeeze-and-excite blocks by the function that they compute, whatever their classes and names are."""

import copy
import dataclasses
import fractions
import itertools
import warnings

import torch
from torch import nn

from ..hdl.config import ConfigError, Gate, GateKind, Mid
from .block import FloatBlock
from .fold import Norm, fold
from .module import ACTIVATIONS, FORWARD_HOOKS, TiledSE, gate_function
from .trace import GRID, Stage, Trace

__all__ = ["SEBlock", "activation_of", "could_be_block", "gate_of", "recognise"]

# (N, H, W) of the random maps that a candidate is checked on. Their heights differ, so no fixed window passes.
CHECKED = ((2, 5, 3), (3, 4, 7))
# Parameters, and buffers, of two layers with a few normalisations.
MOST = 16
# Tolerances: between two formulas of one function, and between a float32 slope and its exact value.
TOLERANCE, SAME = 1e-6, 1e-7


@dataclasses.dataclass(frozen=True)
class SEBlock:
    """A squeeze-and-excite block in a module: its C, CR, functions, and whether ``y = x + x * gate`` (`residual`).

    ``layers`` has the names of the module's parameters: (weight, bias) of layer 1 and of layer 2; None for no bias.
    ``norms`` has the batch normalisations before and after layer 1, and before and after layer 2.
    """

    channels: int
    squeeze: int
    mid: Mid
    gate: Gate
    residual: bool
    layers: tuple
    norms: tuple[tuple[Norm, ...], ...] = ((), (), (), ())

    @property
    def around(self) -> tuple[tuple[tuple[Norm, ...], ...], ...]:
        """The normalisations (before, after) of layer 1 and of layer 2."""
        return self.norms[:2], self.norms[2:]


def recognise(module: nn.Module) -> SEBlock | None:
    """The :class:`SEBlock` that `module` computes in evaluation mode, or None.

    It must take one map (N, C, H, W) and own two matrices (1x1 convolutions or linear layers) with or without biases,
    and no other parameter or buffer, except for those of batch normalisations directly before or after a layer. Mean
    over H and W, layer, `mid`, layer, `gate` and product with the input may be written in any way; so may the residual
    form. A module that changes its input in place is not recognised, as its caller may rely on that.

    The module and torch's random state stay unchanged: a copy without hooks runs on the CPU in float32, with other
    weights. So the result does not depend on the weights' values.
    """
    shapes = _matrices(module)
    for channels in dict.fromkeys(shape[1] for shape in shapes):
        # An unknown module may raise anything on this input; it is then no block.
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                torch.default_generator.manual_seed(0)
                twin = _twin(module)
                block = _propose(twin, channels)
                if block and _agrees(twin, block):
                    return block
        except Exception:
            continue
    return None


def could_be_block(module: nn.Module) -> bool:
    """Whether `module` has the parameters of a block."""
    return bool(_matrices(module))


def _matrices(module: nn.Module) -> list[tuple[int, ...]]:
    """Shapes of the two layers' matrices; empty if the module can't be a block. Cheap for modules of any size."""
    parameters = [p for _, p in itertools.islice(module.named_parameters(remove_duplicate=False), MOST + 1)]
    buffers = list(itertools.islice(module.buffers(), MOST + 1))
    if not 2 <= len(parameters) <= MOST or any(nn.parameter.is_lazy(tensor) for tensor in parameters + buffers):
        return []
    if len(buffers) > MOST or isinstance(module, torch.jit.ScriptModule):
        return []
    # On a map of few rows a tiled block would pass as an original one.
    if any(isinstance(part, TiledSE) for part in module.modules()):
        return []
    # C x CR and CR x C; the shapes of grouped convolutions do not fit together.
    shapes = [tuple(p.shape[:2]) for p in parameters if p.ndim > 1 and p.shape[2:].numel() == 1]
    if len(shapes) != 2 or shapes[0] != shapes[1][::-1] or sum(p.ndim > 1 for p in parameters) != 2:
        return []
    return shapes


def _twin(module: nn.Module) -> nn.Module:
    """A copy in evaluation mode, without hooks, whose parameters and buffers are zeros that take no memory."""
    memo: dict[int, object] = {}
    for tensor in (*module.parameters(), *module.buffers()):
        dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
        zeros = torch.zeros((), device="cpu", dtype=dtype).expand(tensor.shape)
        memo[id(tensor)] = nn.Parameter(zeros, False) if isinstance(tensor, nn.Parameter) else zeros
    for part in module.modules():
        memo |= {id(hooks): type(hooks)() for hooks in (getattr(part, name, None) for name in FORWARD_HOOKS)
                 if hooks is not None}
    twin = copy.deepcopy(module, memo)
    twin.eval()  # whose result an override may forget
    return twin


def _propose(twin: nn.Module, channels: int) -> SEBlock | None:
    """The candidate that one pass of random data suggests; None if it does not look like a block."""
    x = torch.randn(CHECKED[0][0], channels, *CHECKED[0][1:], device="cpu", dtype=torch.float32)
    tensors = _tensors(twin)
    with Trace(x, tensors) as trace:
        y = trace.known(twin(x))
    if len(trace.layers) != 2 or getattr(y, "stages", None) != {Stage.INPUT, Stage.LOGIT}:
        return None
    mid, (gate, residual) = activation_of(trace.hidden), _gate(y.values)
    if mid is None or gate is None:
        return None
    norms = tuple(map(tuple, trace.norms))
    used = {name for norm in itertools.chain(*norms) for name in norm.names}
    if any(buffer.is_floating_point() and name not in used for name, buffer in twin.named_buffers()):
        return None
    return SEBlock(channels, tensors[trace.layers[0][0]].shape[0], mid, gate, residual, tuple(trace.layers), norms)


def _tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _near(values: torch.Tensor, expected: torch.Tensor) -> bool:
    return torch.allclose(values, expected, rtol=TOLERANCE, atol=TOLERANCE)


def activation_of(values: torch.Tensor) -> Mid | None:
    """The activation that has these values at the points of GRID; None if none has."""
    return next((mid for mid, function in ACTIVATIONS.items() if _near(values, function(GRID))), None)


def _gate(table: torch.Tensor) -> tuple[Gate | None, bool]:
    """(gate, residual) if the output, a `table` over inputs and logits, is ``x * gate`` or ``x * (1 + gate)``."""
    factor = table[0]  # at x = 1
    if _near(table, Stage.INPUT.points * factor):
        for residual in (False, True):
            if (gate := gate_of(factor - int(residual))) is not None:
                return gate, residual
    return None, False


def gate_of(values: torch.Tensor) -> Gate | None:
    """The gate that has these values at the points of GRID; None if none has."""
    tabulated = (Gate(kind) for kind in GateKind if kind.table)
    return next((gate for gate in tabulated if _near(values, gate_function(gate, GRID))), None) or _hard_sigmoid(values)


def _hard_sigmoid(values: torch.Tensor) -> Gate | None:
    """The hard sigmoid with these values; slope and offset are from points between its corners. None if it is none."""
    inside = ((values > 0.01) & (values < 0.99)).nonzero().flatten().tolist()
    if len(inside) < 2:
        return None
    low, high = inside[0], inside[-1]
    slope = (values[high] - values[low]) / (GRID[high] - GRID[low])
    offset = values[low] - slope * GRID[low]
    if not _near(values, torch.clamp(slope * GRID + offset, 0, 1)):
        return None
    try:
        return Gate(GateKind.HARDSIGMOID, _simple(slope.item()), _simple(offset.item()))
    except ConfigError:
        return None


def _simple(number: float) -> float:
    """The nearest simple fraction, like 1/6, if `number` equals it except for rounding; else `number`."""
    fraction = float(fractions.Fraction(number).limit_denominator(1000))
    return fraction if abs(fraction - number) <= SAME * abs(number) else number


def _agrees(twin: nn.Module, block: SEBlock) -> bool:
    """Whether the copy computes `block` with random weights; they are large enough for all parts of the activations."""
    variances = {norm.variance for norm in itertools.chain(*block.norms)}
    tensors = _tensors(twin)
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            gain = 4 * tensor.shape[1] ** -0.5 if tensor.ndim > 1 else 1
            values = gain * torch.randn(tensor.shape, device="cpu", dtype=torch.float32)
            tensor.data = values.square() + 0.1 if name in variances else values
    (w1, b1), (w2, b2) = ((weight.numpy(), bias.numpy()) for weight, bias in (
        fold(tensors, names, *around) for names, around in zip(block.layers, block.around, strict=True)))
    highest = max(height for _, height, _ in CHECKED)
    expected = TiledSE.from_block(FloatBlock(w1, b1, w2, b2, block.mid, block.gate, block.residual), highest)
    expected.to("cpu", torch.float32)
    for batch, height, width in CHECKED:
        x = torch.randn(batch, block.channels, height, width, device="cpu", dtype=torch.float32)
        before = x.clone()
        y = twin(x)
        if not torch.equal(x, before) or not torch.allclose(y, expected(before), rtol=1e-5, atol=1e-5):
            return False
    return True
