# SPDX-License-Identifier: Apache-2.0
"""The multiple-choice knapsack: one item of each class, with the least total cost for every limit of the total size."""

import dataclasses
from collections.abc import Sequence

import numpy as np

__all__ = ["Frontier", "frontier"]

# Points of the frontier that are kept after each class.
MOST_POINTS = 1 << 16


@dataclasses.dataclass(frozen=True, eq=False)
class Frontier:
    """The choices of one item of each class that no other choice beats in both size and cost.

    ``sizes`` (int64) ascend and ``costs`` (float64) descend. ``exact`` tells whether these are all such choices: then
    :meth:`within` is the best choice for every limit. Otherwise some are missing, and :meth:`bound` says how much
    better a choice could be at most. ``steps`` are, for each class, its points' predecessors and items.
    """

    classes: tuple[tuple[tuple[int, float], ...], ...]
    sizes: np.ndarray
    costs: np.ndarray
    exact: bool
    steps: tuple[tuple[np.ndarray, np.ndarray], ...]

    def within(self, limit: int) -> int | None:
        """The index of the point with the least cost of size `limit` at most; None if there is none."""
        index = int(np.searchsorted(self.sizes, limit, side="right")) - 1
        return None if index < 0 else index

    def items(self, index: int) -> list[int]:
        """The index of the item of each class that point `index` consists of."""
        found = []
        for before, items in reversed(self.steps):
            found.append(int(items[index]))
            index = int(before[index])
        return found[::-1]

    def bound(self, limit: int) -> float:
        """A lower bound of the cost of any choice of size `limit` at most: that of parts of items."""
        hulls = [_hull(items) for items in self.classes]
        size, cost = (sum(hull[0][axis] for hull in hulls) for axis in (0, 1))
        # The best use of each further unit of size comes first: along each class's hull that is its own order.
        steps = sorted(((after[1] - before[1]) / (after[0] - before[0]), after[0] - before[0])
                       for hull in hulls for before, after in zip(hull, hull[1:], strict=False))
        for slope, more in steps:
            taken = min(more, limit - size)
            if taken <= 0:
                break
            size, cost = size + taken, cost + slope * taken
        return cost


def frontier(classes: Sequence[Sequence[tuple[int, float]]], most: int = MOST_POINTS) -> Frontier:
    """The :class:`Frontier` of `classes`, each a sequence of items (size, cost), both at least 0.

    Dynamic programming over the classes. Where it has more than `most` points, those of least cost in so many equal
    ranges of the size are kept, with the smallest of all.
    """
    sizes, costs, exact, steps = np.zeros(1, np.int64), np.zeros(1), True, []
    for items in classes:
        own_sizes, own_costs = (np.array(column) for column in zip(*items, strict=True))
        totals = (sizes[:, None] + own_sizes).reshape(-1), (costs[:, None] + own_costs).reshape(-1)
        order = np.lexsort(totals[::-1])
        sizes, costs = (total[order] for total in totals)
        # Less than every smaller choice costs.
        kept = np.append(True, costs[1:] < np.minimum.accumulate(costs)[:-1])
        if kept.sum() > most:
            kept, exact = kept & _thinned(sizes, kept, most), False
        order, sizes, costs = order[kept], sizes[kept], costs[kept]
        steps.append((order // len(items), order % len(items)))
    return Frontier(tuple(map(tuple, classes)), sizes, costs, exact, tuple(steps))


def _thinned(sizes, kept, most):
    """bool: the first point, and of those `kept` the last one in each of fewer than `most` equal ranges of the size."""
    places = np.flatnonzero(kept)
    ranges = (sizes[places] - sizes[0]) * (most - 1) // (sizes[places[-1]] - sizes[0] + 1)
    chosen = np.zeros(len(sizes), bool)
    chosen[places[np.append(ranges[1:] != ranges[:-1], True)]] = True
    chosen[0] = True
    return chosen


def _hull(items):
    """The corners (size, cost) of the lower convex hull of `items`, from the smallest to the cheapest."""
    corners = []
    for size, cost in sorted(items):
        if corners and cost >= corners[-1][1]:
            continue
        while corners and (size == corners[-1][0] or len(corners) > 1 and _above(corners[-2], corners[-1],
                                                                                    (size, cost))):
            corners.pop()
        corners.append((size, cost))
    return corners


def _above(first, middle, last):
    """Whether `middle` is not below the line from `first` to `last`."""
    return (middle[1] - first[1]) * (last[0] - first[0]) >= (last[1] - first[1]) * (middle[0] - first[0])
