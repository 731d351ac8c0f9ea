# SPDX-License-Identifier: Apache-2.0
"""Runs a module beside the :class:`TiledSE` that is to replace it, with tiles as high as the map.

This file knows nothing of how a block is recognised, so that it finds what went wrong there.
"""

import copy
import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import nn

from ..hdl.tiling import MOST_K, Tiling
from .module import ACTIVATIONS, FORWARD_HOOKS, TiledSE, gate_function

__all__ = ["difference", "one_line"]

# (H, W) of the maps: of several pictures, of smaller and of larger scales, then of one, of the smallest and a medium
# scale.
MAPS = ((3, 2), (2, 4), (5, 3), (4, 7))
# Then, for what a module does to large maps alone, a large one; with many channels two strips, as time is short.
LARGE, STRIPS, MANY = ((37, 41),), ((37, 2), (2, 41)), 256
# What the root mean square of layer 1's products, and of layer 2's, is to be: small, near the corners of activations
# and gates on both sides, and far beyond.
HIDDEN, LOGITS = (0.01, 1, 4, 16, 1000), (1, 4, 20, 1000)
PLAIN = (1, 30)  # of inputs, whatever the weights are
LARGEST, LARGEST_LOW = 1e20, 100
LARGEST_SUMMED = 4  # in low precision, of a large map, whose sum must not overflow
# No activation between the layers is steeper.
STEEPEST = 1.5


def difference(module: nn.Module, build: Callable[[nn.Module], TiledSE]) -> str | None:
    """How `module` differs from the tiled form that `build` makes of it, in one line; None if it doesn't.

    A copy runs in evaluation mode, without the hooks of `module` itself, with its own weights and precision; also in
    float64 if its precision is low, and with random weights if some are constant, as initialisations make them. If
    `build` computes weights, which rounds them, only float64 counts. What rounding explains is no difference, see
    `_allowed`. `module` and torch's random state stay unchanged. A module on the meta device has no numbers; then
    nothing is compared.
    """
    tensors = [tensor for tensor in (*module.parameters(), *module.buffers()) if tensor.is_floating_point()]
    if any(tensor.is_meta for tensor in tensors):
        return None
    own = tensors[0].dtype if tensors else torch.float32
    devices = {tensor.device for tensor in tensors if tensor.device.type == "cuda"}
    with torch.no_grad(), torch.random.fork_rng(devices), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.default_generator.manual_seed(1)
        failure, ran = "", None
        try:
            original = _copy(module)
        except Exception as error:  # of an unknown module
            return f"can't be copied: {one_line(error)}"
        tiled = build(original)
        computes = not set(tiled.parameters()) <= set(original.parameters())
        as_it_is = [(dtype, False) for dtype in dict.fromkeys((own, torch.float32))]
        exact = [(torch.float64, True)]
        # The first of each list that can be run counts.
        for runs in [exact + as_it_is] if computes else [as_it_is, exact] if _is_low(own) else [as_it_is + exact]:
            for dtype, converts in runs:
                if ran or failure:
                    original = _copy(module)
                if converts:
                    original.to(dtype)
                if ran or failure or converts:
                    tiled = build(original)
                try:
                    if reason := _compare(original, tiled, dtype):
                        return reason
                    ran = dtype
                    break
                except _Failure as error:
                    failure = failure or str(error)
        if ran is None:
            return failure
        if not any((tensor == tensor.flatten()[0]).all() for tensor in original.parameters()):
            return None
        _randomise(original)
        reason = _compare(original, build(original) if computes else tiled, ran, several=2)
        return reason and f"{reason}, with random weights"


class _Failure(Exception):
    """The original module can't be run, perhaps in one precision only."""


def _is_low(dtype: torch.dtype) -> bool:
    return torch.finfo(dtype).eps > torch.finfo(torch.float32).eps


def _copy(module: nn.Module) -> nn.Module:
    memo = {id(hooks): type(hooks)() for hooks in (getattr(module, name, None) for name in FORWARD_HOOKS)
            if hooks is not None}
    twin = copy.deepcopy(module, memo)
    twin.eval()
    return twin


def _randomise(module: nn.Module) -> None:
    for parameter in module.parameters():
        gain = 3 * parameter.shape[1] ** -0.5 if parameter.ndim > 1 else 1
        parameter.copy_(gain * torch.randn(parameter.shape))
    for buffer in module.buffers():
        if buffer.is_floating_point():  # statistics, of which a variance must be positive
            buffer.copy_(0.5 + torch.rand(buffer.shape))


def _compare(original: nn.Module, tiled: TiledSE, dtype: torch.dtype, several: int | None = None) -> str | None:
    """How the two differ on the first `several` random maps of this precision; None for all of them."""
    tiled.eval().tiling = Tiling(k=MOST_K)
    layers = [(layer.weight.flatten(1).double(), layer.bias.double()) for layer in (tiled.fc1, tiled.fc2)]
    maps = [x.to(tiled.fc1.weight.device) for x in itertools.islice(_maps(layers, dtype), several)]
    results = []
    for x in maps:
        given = x.clone()
        try:
            y = original(given)
        except Exception as error:
            raise _Failure(f"can't be run: {one_line(error)}") from error
        try:
            expected = tiled(x)
        except Exception as error:
            return f"its tiled form can't be run: {one_line(error)}"
        if not torch.equal(given, x):
            return "changes its input in place"
        for what in ("shape", "dtype"):
            values = [_plain(getattr(result, what, None)) for result in (y, expected)]
            if values[0] != values[1]:
                return f"returns {what} {values[0]}, its tiled form {values[1]}"
        results.append((x, y, expected))
    worst = 0.0
    for (x, y, expected), allowed in zip(results, _allowed(tiled, layers, maps, dtype), strict=True):
        if _is_low(dtype):
            x, y, expected = x.double(), y.double(), expected.double()
        apart = (y - expected).abs()
        same = apart <= x.abs() * allowed + torch.finfo(dtype).smallest_normal
        if same.all():
            continue
        same |= (y == expected) | (y.isnan() & expected.isnan()) | allowed.isinf()
        if not same.all():
            amount = (apart / x.abs().amax((1, 2, 3), keepdim=True))[~same].max().item()
            worst = amount if amount != amount else max(worst, amount)
    return f"differs from its tiled form with k >= H by up to {worst:.2g} times its input" if worst else None


def one_line(error: BaseException | None) -> str:
    """Kind and message of an error."""
    message = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _plain(value: object) -> str:
    return str(list(value)) if isinstance(value, torch.Size) else str(value).removeprefix("torch.")


def _maps(layers: list, dtype: torch.dtype) -> Iterator[torch.Tensor]:
    """Random maps (N, C, H, W), whose means reach every part of the activations."""
    scales, channels = sorted(_scales(layers, dtype)), layers[0][0].shape[1]
    half = len(scales) // 2
    several, medium = (scales[:half + 1] * 2, scales[half:] * 2), scales[half]
    summed = min(medium, LARGEST_SUMMED) if _is_low(dtype) else medium
    large = LARGE if channels <= MANY else STRIPS
    factors = *several, scales[:1], [medium], *[[summed]] * len(large)
    for size, chosen in zip(MAPS + large, factors, strict=True):
        means = torch.randn(len(chosen), channels, 1, 1)
        maps = means + torch.rand(len(chosen), channels, *size) - 0.5
        yield (torch.tensor(chosen)[:, None, None, None] * maps).to(dtype)


def _scales(layers: list, dtype: torch.dtype) -> list[float]:
    """Factors of the inputs, from the sizes of the layers' products of an input of size 1."""
    first, second = (weight.norm().item() / len(weight) ** 0.5 for weight, _ in layers)
    second *= first
    factors, largest = list(map(float, PLAIN)), 1.0
    for size, targets in ((first, HIDDEN), (second, LOGITS)):
        if 1 / LARGEST < size < LARGEST:
            factors += [target / size for target in targets]
            largest = max(largest, size)
    # In low precision, large numbers overflow in one spelling and not in another.
    limit = LARGEST_LOW / largest if _is_low(dtype) else LARGEST
    return [factor for factor in factors if factor <= limit] or [limit]


def _allowed(tiled: TiledSE, layers: list, maps: list[torch.Tensor], dtype: torch.dtype) -> Iterable[torch.Tensor]:
    """How far two correct spellings' gates may be apart in this precision, (N, C, 1, 1) for each of `maps`.

    The errors of sums, layers and functions are carried through the block, so large weights allow more.
    """
    unit = max(torch.finfo(dtype).eps, torch.finfo(torch.float32).eps)
    least = unit * torch.finfo(dtype).smallest_normal

    def rounding(terms: int) -> float:
        return (2 + terms**0.5 / 2) * unit

    values = torch.cat([x.double().mean((2, 3)) for x in maps])
    errors = torch.cat([rounding(x[0, 0].numel()) * x.abs().double().mean((2, 3)) for x in maps]) + least
    overflow = torch.zeros(len(values), dtype=torch.bool, device=values.device)
    for place, (weight, bias) in enumerate(layers):
        if place:
            errors = STEEPEST * errors + unit * (2 * values.abs() + 1) + least
            values = ACTIVATIONS[tiled.mid](values)
        errors = (errors + rounding(weight.shape[1]) * values.abs()) @ weight.abs().T + 2 * unit * bias.abs() + least
        overflow |= (errors > unit * torch.finfo(dtype).max).any(1)
        values = values @ weight.T + bias
    low, high = (gate_function(tiled.gate, values + sign * errors) for sign in (-1, 1))
    allowed = high - low + 4 * unit * (1 + abs(tiled.gate.offset))
    # Finite weights may overflow in one spelling and not in another.
    if overflow.any() and all(tensor.isfinite().all() for layer in layers for tensor in layer):
        allowed[overflow] = torch.inf
    return allowed[:, :, None, None].split([len(x) for x in maps])
