# SPDX-License-Identifier: Apache-2.0
"""What gates are computed from, and where they go: the arithmetic of every context, for maps of any size.

PyTorch's tools take these functions apart (`torch.export`, `torch.compile`, both ONNX exporters, `torch.jit.script`) or
keep each as one node (`torch.fx`). So no branch depends on a size, and arguments are tensors and plain numbers.

Maps are (N, C, H, W) or (C, H, W), and lines lie along the last axis; for a stream by columns the caller turns the map.

Sums are of float32 at least, as sums of thousands of rows would overflow in float16; results have the map's type.

A compiler assumes that a size of which it knows nothing else is not 1, and refuses maps of one tile if its example had
several. With `spare`, it gets a tile more than there are, of any content; without a compiler there is none.
"""

import torch
from torch.nn import functional

__all__ = ["running_means", "spread", "tile_means", "window_mean"]


def _compiles() -> bool:
    """Whether a compiler asks, which makes a program for maps of any size."""
    if torch.jit.is_scripting():
        return False
    return torch.compiler.is_compiling()


def _sum_type(x: torch.Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def tile_means(x: torch.Tensor, k: int, width: int, spare: bool) -> torch.Tensor:
    """Means of tiles of `k` lines and `width` columns, 0 for all of them: (..., C, tiles down, tiles across).

    The last tile of each axis may have fewer; its mean is over its own.
    """
    sums = x.to(_sum_type(x)) if width else x.mean(-1, keepdim=True, dtype=_sum_type(x))
    if spare and _compiles():
        if width:
            sums = _strip_means(sums.transpose(-1, -2), width).transpose(-1, -2)
        return _strip_means(sums, k).to(x.dtype)
    # With ceil_mode the last windows are cut at the map's edges, and their means are over the rest.
    # No map has 2**24 lines; onnxruntime's float32 finds no tile at all under a larger window.
    window = (min(k, 1 << 24), width if width else 1)
    return functional.avg_pool2d(sums, window, ceil_mode=True).to(x.dtype)


@torch.jit.unused
def _strip_means(x: torch.Tensor, k: int) -> torch.Tensor:
    """Means of strips of `k` lines of each column, and of a strip more than there are."""
    height = x.shape[-2]
    strips = (height + k - 1) // k + 1
    # `k` may be as large as 2**30. A line more than there are, so that this is not 1 either.
    lines = torch.sym_min(k, height + 1)
    padded = functional.pad(x, [0, 0, 0, strips * lines - height])
    own = (height - k * torch.arange(strips, device=x.device)).clamp(1, k)
    return padded.unflatten(-2, (strips, lines)).sum(-2) / own.unsqueeze(-1)


def running_means(x: torch.Tensor, k: int, cumulative: bool, prior: torch.Tensor | None, prior_rows: int,
                  max_rows: int, spare: bool) -> torch.Tensor:
    """For each tile of `k` lines the mean of all lines before it, or, `cumulative`, up to its last: (..., C, tiles, 1).

    `prior_rows` imaginary lines equal to `prior` (C), None for zeros, are counted first. Lines from `max_rows` on are
    not counted.
    """
    # The mean of a line: all lines have as many elements.
    means, height = x.mean(-1, keepdim=True, dtype=_sum_type(x)), x.shape[-2]
    rows = torch.arange(0, height + k if spare and _compiles() else height, k, device=x.device)
    rows = (rows + k if cumulative else rows).clamp(max=height).clamp(max=max_rows)
    zero = torch.zeros_like(means.narrow(-2, 0, 1))
    sums = torch.cat((zero, means.cumsum(-2)), -2).index_select(-2, rows)
    if prior is not None:
        sums = sums + prior_rows * prior.to(sums).view(-1, 1, 1)
    return (sums / (rows + prior_rows).view(-1, 1)).to(x.dtype)


def window_mean(x: torch.Tensor, first: int, count: int, prior: torch.Tensor | None) -> torch.Tensor:
    """The mean of `count` lines from `first` on: (..., C, 1, 1). If the map has none of them, `prior` (C)."""
    means = x.mean(-1, keepdim=True, dtype=_sum_type(x))
    # Not a slice: its length could not be exported for maps of any height.
    row = torch.arange(x.shape[-2], device=x.device)
    inside = (row >= first) & (row < first + count)
    rows = inside.sum()
    sums = torch.where(inside.view(-1, 1), means, 0.0).sum(-2, keepdim=True)
    if prior is not None:
        sums = sums + (rows == 0) * prior.to(sums).view(-1, 1, 1)
    return (sums / rows.clamp(min=1)).to(x.dtype)


def spread(gates: torch.Tensor, axis: int, size: int, x: torch.Tensor) -> torch.Tensor:
    """Each tile's gates at each of its `size` lines along `axis` of `x`; the last tile may have fewer."""
    # Not repeat_interleave, nor a size that depends on x's: those can't be exported for maps of any size.
    return gates.index_select(axis, torch.arange(x.shape[axis], device=x.device) // size)
