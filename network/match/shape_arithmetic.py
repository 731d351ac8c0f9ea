# SPDX-License-Identifier: Apache-2.0
"""Sizes that an ONNX graph computes from a tensor's shape, as exporters write them where they are open."""

from ..read.graph import attributes

__all__ = ["known_sizes"]

# Nodes between a shape and where it is used, numbers in a tensor of sizes, and the largest of them.
MOST_DEEP, MOST_NUMBERS, HIGHEST = 16, 8, 1 << 40


def known_sizes(graph, name, x):
    """The numbers in tensor `name`, a list of ``(factor, axes)``: an integer times x's sizes along these axes.

    ``(-1, ())`` is -1 and ``(1, (2, 3))`` is H * W of an `x` (N, C, H, W), a tensor of known rank. None where the
    numbers aren't of that form.
    """
    return _Sizes(graph, x).of(name, MOST_DEEP)


class _Sizes:
    """Keeps what it has found, as nodes may share what they read."""

    def __init__(self, graph, x):
        self.graph, self.x, self.found = graph, x, {}

    def of(self, name, depth):
        if name not in self.found:
            sizes = self._of(name, depth)
            small = sizes is not None and len(sizes) <= MOST_NUMBERS and all(abs(n) <= HIGHEST for n, _ in sizes)
            self.found[name] = sizes if small else None
        return self.found[name]

    def _of(self, name, depth):
        array = self.graph.constant(name)
        if array is not None:
            return [(number, ()) for number in array.reshape(-1).tolist()] if array.dtype.kind in "iu" and \
                array.size <= MOST_NUMBERS else None
        node = self.graph.producer.get(name)
        operator = node and self.graph.default(node)
        if operator == "Shape" and node.input[0] == self.x:
            about, axes = attributes(node), range(len(self.graph.dims[self.x]))
            return [(1, (axis,)) for axis in axes[about.get("start"):about.get("end")]]
        if operator not in OPERATORS or not depth:
            return None
        inputs = [self.of(item, depth - 1) for item in node.input]
        try:
            return None if None in inputs else OPERATORS[operator](attributes(node), *inputs)
        except (LookupError, TypeError, ValueError):
            # Whoever runs the model will say so.
            return None


def _numbers(sizes):
    """Sizes as plain integers; ValueError where they depend on a shape."""
    if any(axes for _, axes in sizes):
        raise ValueError("open")
    return [number for number, _ in sizes]


def _gather(about, sizes, positions):
    return [sizes[at] for at in _numbers(positions)]


def _slice(about, sizes, *inputs):
    if inputs:
        (start,), (end,), *others = map(_numbers, inputs)
    else:
        (start,), (end,), others = about["starts"], about["ends"], []
    # Of one dimension, there is one axis.
    (step,) = others[1] if len(others) > 1 else [1]
    return sizes[start:end:step]


def _product(about, *factors):
    ((number, axes),), ((other, more),) = factors
    return [(number * other, tuple(sorted((*axes, *more))))]


def _same(about, sizes, shape=None):
    return sizes


OPERATORS = {"Gather": _gather, "Slice": _slice, "Mul": _product,
             "Concat": lambda about, *parts: [size for part in parts for size in part],
             **dict.fromkeys(("Unsqueeze", "Squeeze", "Cast", "Identity", "Reshape"), _same)}
