# SPDX-License-Identifier: Apache-2.0
"""Found boxes against drawn lines: precision, recall, F-score, and how sure a difference of two networks is."""

import dataclasses

import numpy as np
import shapely
from scipy.optimize import linear_sum_assignment

from ..intervals import middle, resamples

__all__ = ["OVERLAP", "Counts", "count", "f_score", "interval", "matches", "overlaps"]

# A box has found a line where their intersection over union is at least this.
OVERLAP = 0.5


@dataclasses.dataclass(frozen=True)
class Counts:
    """Of one page or of many: boxes found, lines drawn, and pairs of both that match."""

    matched: int
    found: int
    drawn: int

    @property
    def precision(self):
        return self.matched / self.found if self.found else 1.0

    @property
    def recall(self):
        return self.matched / self.drawn if self.drawn else 1.0

    @property
    def f_score(self):
        return float(f_score(self.matched, self.found, self.drawn))

    @property
    def line(self):
        """What the F-score loses with one matched line."""
        return 2 / max(self.found + self.drawn, 1)

    def __add__(self, other):
        return Counts(self.matched + other.matched, self.found + other.found, self.drawn + other.drawn)


def f_score(matched, found, drawn):
    """The harmonic mean of precision and recall: 2 M / (F + D), 1 where there is neither box nor line; of arrays, too.
    """
    both = np.asarray(found + drawn)
    return np.where(both > 0, 2 * np.asarray(matched) / np.maximum(both, 1), 1.0)


def overlaps(first, second):
    """Intersection over union of each quadrilateral of `first` (N, 4, 2) with each of `second` (M, 4, 2): (N, M)."""
    if not len(first) or not len(second):
        return np.zeros((len(first), len(second)))
    # A quadrilateral whose sides cross has no area as it stands.
    a, b = (shapely.convex_hull(shapely.polygons(np.asarray(boxes, float))) for boxes in (first, second))
    common = shapely.area(shapely.intersection(a[:, None], b[None]))
    union = shapely.area(a)[:, None] + shapely.area(b)[None] - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def matches(first, second):
    """The largest set of pairs that overlap by OVERLAP or more, each box in one pair: two arrays of indices.

    Of sets equally large it is the one whose overlaps sum up to the most.
    """
    overlap = overlaps(first, second)
    enough = overlap >= OVERLAP
    # A further pair always outweighs better overlaps, all of which together are under this.
    value = np.where(enough, 1 + overlap / (1 + overlap.size), 0)
    rows, columns = linear_sum_assignment(value, maximize=True)
    kept = enough[rows, columns]
    return rows[kept], columns[kept]


def count(found, drawn):
    """The :class:`Counts` of one page: boxes `found` (N, 4, 2) and lines `drawn` (M, 4, 2)."""
    return Counts(len(matches(found, drawn)[0]), len(found), len(drawn))


def interval(first, second, seed):
    """95 % confidence interval of the difference of two networks' F-scores over all pages, `first` less `second`.

    Both are lists of Counts, page by page. A paired bootstrap: pages are drawn with replacement, the same ones for both
    networks; the interval, two floats, holds the middle 95 % of the differences.
    """
    tables = [np.array([dataclasses.astuple(page) for page in pages]) for pages in (first, second)]
    return middle(np.concatenate([np.subtract(*(f_score(*(drawn @ table).T) for table in tables))
                                  for drawn in resamples(len(first), seed)]))
