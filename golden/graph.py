# SPDX-License-Identifier: Apache-2.0
"""Records which aten operators a module runs, and along which axes of their results a map extends."""

import copy
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.utils._python_dispatch import TorchDispatchMode

from .module import FORWARD_HOOKS

__all__ = ["SLICES", "Extent", "Graph", "Node", "blank"]

aten = torch.ops.aten
# Where a map extends along an axis: the axis of the map, and its resolution. An upsampled map keeps the lower one.
Extent = frozenset[tuple[str, int]]
NONE: Extent = frozenset()

RESHAPES = {aten.view, aten.reshape, aten._unsafe_view, aten._reshape_alias, aten.squeeze}
SLICES = {aten.slice, aten.narrow, aten.split, aten.split_with_sizes, aten.chunk, aten.unsafe_split}
# Operators that compute each element of the result from a window of axes 2 and 3 or from all of them.
WINDOWS = {aten.convolution, aten.avg_pool2d, aten._adaptive_avg_pool2d, aten.adaptive_avg_pool2d,
           aten.max_pool2d_with_indices, aten.adaptive_max_pool2d}
UPSAMPLES = {getattr(aten, name) for name in (
    "upsample_nearest2d", "_upsample_nearest_exact2d", "upsample_bilinear2d", "_upsample_bilinear2d_aa",
    "upsample_bicubic2d", "_upsample_bicubic2d_aa") if hasattr(aten, name)}
REDUCTIONS = {getattr(aten, name) for name in (
    "mean", "sum", "amax", "amin", "max", "min", "var", "std", "linalg_vector_norm", "norm", "logsumexp", "prod",
    "median") if hasattr(aten, name)}


class Node:
    """A tensor: what made it (`operator`, None for an input), in which module, and the map's extent along each axis."""

    def __init__(self, number: int, shape: Sequence[int], *, operator: Any = None, func: Any = None,
                 args: Sequence = (), kwargs: dict | None = None, place: str = "", name: str = "") -> None:
        self.number, self.operator, self.func, self.args, self.kwargs = number, operator, func, args, kwargs or {}
        self.place = place
        self.name = name  # of a parameter or buffer
        self.shape = tuple(shape)
        self.extents: tuple[Extent, ...] = (NONE,) * len(self.shape)
        self.is_from_input = False
        self.is_pooled = False  # whether all that it has of the input are reductions of the map along an axis

    @property
    def inputs(self) -> list["Node"]:
        """The tensors that it was made of."""
        return [value for value in _flat((*self.args, *self.kwargs.values())) if isinstance(value, Node)]

    @property
    def extent(self) -> dict[str, int]:
        """Along which axes of the map it varies, and the highest resolution along each."""
        return dict(sorted(itertools.chain(*self.extents)))

    def is_coarser(self, other: "Node") -> bool:
        """Whether it varies less over the map than `other` does."""
        own, others = self.extent, other.extent
        return own != others and all(size <= others.get(axis, 0) for axis, size in own.items())


class Graph(TorchDispatchMode):
    """The operators of one pass of a module from :func:`blank` on zeros of a `shape`; ``error`` is what ended it.

    `axes` are those of the map's height and width. ``reads`` has the modules in which a number of the input became one
    of Python, as the condition of an ``if`` does.
    """

    def __init__(self, module: nn.Module, shape: Sequence[int], axes: Sequence[int], device: str = "cpu") -> None:
        super().__init__()
        self.nodes: list[Node] = []
        self.executed: set[str] = set()
        self.reads: list[str] = []
        self.error: Exception | None = None
        self._stack: list[str] = [""]
        self._by_id: dict[int, Node] = {}
        self._kept: list[torch.Tensor] = []  # so that no other tensor gets the same id
        x = torch.zeros(shape, device=device)
        self.input = self._node(x)
        self.input.is_from_input = True
        self.input.extents = tuple(
            frozenset({("HW"[axes.index(axis)], shape[axis])}) if axis in axes else NONE for axis in range(len(shape)))
        for name, tensor in itertools.chain(module.named_parameters(), module.named_buffers()):
            if not nn.parameter.is_lazy(tensor):
                self._node(tensor, name=name)
        handles = list(self._track(module))
        try:
            with torch.no_grad(), self:
                result = module(x)
            self.output = self._by_id.get(id(result))
        except Exception as error:  # an unknown module may raise anything
            self.error, self.output = error, None
        for handle in handles:
            handle.remove()
        self.place = self._stack[-1]  # of the error
        self._kept.clear()
        self.overwrites = x._version > 0

    def _track(self, module: nn.Module) -> Iterator[Any]:
        """Hooks that note in which module an operator runs."""
        def enter(name: str) -> None:
            self._stack.append(name)
            self.executed.add(name)

        for name, part in module.named_modules():
            yield part.register_forward_pre_hook(lambda *_, name=name: enter(name))
            yield part.register_forward_hook(lambda *_: self._stack.pop() and None)

    def _node(self, tensor: torch.Tensor, **more: Any) -> Node:
        node = Node(len(self.nodes), tensor.shape, **more)
        self.nodes.append(node)
        self._by_id[id(tensor)] = node
        self._kept.append(tensor)
        return node

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        def known(value: Any) -> Any:
            if nn.parameter.is_lazy(value):
                return None
            if isinstance(value, torch.Tensor):
                return self._by_id.get(id(value)) or self._node(value)
            return [known(part) for part in value] if isinstance(value, (list, tuple)) else value

        arguments, named = known(args), {key: known(value) for key, value in (kwargs or {}).items()}
        result = func(*args, **(kwargs or {}))
        if torch.Tag.data_dependent_output in func.tags and any(
                isinstance(value, Node) and value.is_from_input for value in arguments):
            self.reads.append(self._stack[-1])
        for tensor in _flat(result if isinstance(result, (list, tuple)) else [result]):
            if isinstance(tensor, torch.Tensor) and not nn.parameter.is_lazy(tensor):
                node = self._node(tensor, operator=func.overloadpacket, func=func, args=arguments, kwargs=named,
                                  place=self._stack[-1])
                node.is_from_input = any(source.is_from_input for source in node.inputs)
                if node.is_from_input:
                    try:
                        node.extents = _extents(node)
                    except Exception:  # other arguments than are known here; then nothing is found
                        node.extents = (NONE,) * len(node.shape)
                    sources = [source for source in node.inputs if source.is_from_input]
                    node.is_pooled = all(source.is_pooled for source in sources) or (
                        node.operator is not aten.convolution and set(node.extent) < set(sources[0].extent))
        return result


class Scripted(nn.Module):
    """Runs a scripted module, which itself takes no hooks; its parts are hidden."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.run = module.__call__

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the scripted module returns."""
        return self.run(*args, **kwargs)


def blank(module: nn.Module, device: str = "cpu") -> nn.Module:
    """A copy in evaluation mode, on `device` in float32, without hooks; parameters are zeros that take no memory."""
    memo: dict[int, Any] = {}
    for part in module.modules():
        scripted, lazy = isinstance(part, torch.jit.ScriptModule), isinstance(part, LazyModuleMixin)
        for tensor in () if scripted else part.__dict__.get("_parameters", {}).values():
            if tensor is not None and not nn.parameter.is_lazy(tensor):
                memo[id(tensor)] = nn.Parameter(torch.zeros((), device=device).expand(tensor.shape), False)
        for tensor in () if scripted else (*part.__dict__.get("_buffers", {}).values(), *part.__dict__.values()):
            if isinstance(tensor, torch.Tensor) and not nn.parameter.is_lazy(tensor):
                dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
                memo[id(tensor)] = torch.zeros(tensor.shape, dtype=dtype, device=device)
        for hooks in (getattr(part, name, None) for name in FORWARD_HOOKS):
            # A lazy module gets its shapes by a hook.
            if hooks is not None and not lazy and not scripted:
                memo[id(hooks)] = type(hooks)()
    twin = copy.deepcopy(module, memo)
    twin.eval()  # whose result an override may forget
    if isinstance(twin, torch.jit.ScriptModule):
        return Scripted(twin)
    for parent in [part for part in twin.modules() if not isinstance(part, torch.jit.ScriptModule)]:
        for name, part in parent.named_children():
            if isinstance(part, torch.jit.ScriptModule):
                setattr(parent, name, Scripted(part))
    return twin


def _flat(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from _flat(value)
        else:
            yield value


def _extents(node: Node) -> tuple[Extent, ...]:
    """The map's extent along each axis of `node`'s tensor, from those of its inputs."""
    source, operator, args = node.inputs[0], node.operator, node.args
    old, rank = list(source.extents), len(node.shape)
    if operator in RESHAPES:
        return _regrouped(source, node.shape)
    if operator is aten.permute:
        return tuple(old[axis] for axis in args[1])
    if operator in (aten.transpose, aten.t):
        first, second = args[1:3] if len(args) > 2 else (0, -1)
        old[first], old[second] = old[second], old[first]
        return tuple(old)
    if operator in (aten.unsqueeze, aten.stack):
        place = (args[1] if len(args) > 1 else 0) % rank
        return tuple(old[:place] + [NONE] + old[place:])
    if operator in SLICES and rank == len(old):
        return tuple(extent if size > 1 else NONE for extent, size in zip(old, node.shape, strict=True))
    if operator in (aten.select, aten.unbind):
        del old[args[1] if len(args) > 1 else 0]
        return tuple(old)
    if operator in REDUCTIONS and len(source.shape):
        axes = args[1] if len(args) > 1 and not isinstance(args[1], (bool, float)) else None
        if operator in (aten.linalg_vector_norm, aten.norm):
            axes = args[2] if len(args) > 2 else None
        axes = range(len(old)) if axes in (None, []) else [axes] if isinstance(axes, int) else axes
        gone = {axis % len(old) for axis in axes}
        kept = [NONE if axis in gone else extent for axis, extent in enumerate(old)]
        return tuple(kept if rank == len(old) else [extent for axis, extent in enumerate(old) if axis not in gone])
    if operator in WINDOWS and rank == len(old):
        sizes = zip(old, source.shape, node.shape, strict=True)
        return tuple(NONE if axis < 2 else extent if before == after else _resized(extent, after)
                     for axis, (extent, before, after) in enumerate(sizes))
    if operator in UPSAMPLES:
        return tuple(old)
    if operator in (aten.mm, aten.addmm, aten.linear):
        matrix = node.inputs[1] if operator is aten.addmm else source
        return (*matrix.extents[:-1], NONE)
    if operator in (aten.bmm, aten.baddbmm):
        left, right = node.inputs[-2:]
        return (left.extents[0] | right.extents[0], left.extents[1], right.extents[2])
    if operator is aten.cat:
        return tuple(map(_union, zip(*(part.extents for part in node.inputs), strict=True)))
    return _broadcast(node)


def _broadcast(node: Node) -> tuple[Extent, ...]:
    """Of an operator on each element, and of others: axes of the same place from the right and of the same size."""
    result = [NONE] * len(node.shape)
    for part in node.inputs:
        for back in range(1, min(len(part.shape), len(result)) + 1):
            if part.shape[-back] == node.shape[-back]:
                result[-back] |= part.extents[-back]
    return tuple(result)


def _union(extents: Iterable[Extent]) -> Extent:
    return frozenset(itertools.chain(*extents))


def _resized(extent: Extent, size: int) -> Extent:
    return frozenset((axis, size) for axis, _ in extent) if size > 1 else NONE


def _regrouped(source: Node, shape: tuple[int, ...]) -> tuple[Extent, ...]:
    """After a reshape: axes are merged or split in groups of the same number of elements."""
    if math.prod(source.shape) != math.prod(shape) or not math.prod(shape):
        return (NONE,) * len(shape)
    olds, end = source.shape, 0
    result: list[Extent] = []
    while len(result) < len(shape):
        start, first = end, len(result)
        old, new, end, stop = math.prod(olds[end:end + 1]), shape[first], end + 1, first + 1
        while old != new:
            if old < new:
                old, end = old * olds[end], end + 1
            else:
                new, stop = new * shape[stop], stop + 1
        sizes = [size for size in shape[first:stop] if size > 1]
        apart = [extent for size, extent in zip(olds[start:end], source.extents[start:end], strict=True) if size > 1]
        if [size for size in olds[start:end] if size > 1] != sizes:
            apart = [_union(apart)] * len(sizes)
        rest = iter(apart)
        result += [next(rest) if size > 1 else NONE for size in shape[first:stop]]
    return tuple(result)
