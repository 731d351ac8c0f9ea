# SPDX-License-Identifier: Apache-2.0
"""tiled_se.evaluate.intervals: intervals that hold the true difference in about 95 of 100 samples."""

import numpy as np
import pytest

from tiled_se.evaluate import intervals


def test_resamples_are_the_same_however_many_are_drawn_at_once(monkeypatch):
    whole = np.concatenate(list(intervals.resamples(7, 3)))
    assert whole.shape == (intervals.RESAMPLES, 7)
    assert (whole.sum(axis=1) == 7).all()
    monkeypatch.setattr(intervals, "AT_ONCE", 7 * 999)
    parts = list(intervals.resamples(7, 3))
    assert [len(part) for part in parts] == [999] * 10 + [10]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert intervals.middle(np.arange(1001.0)) == (25, 975)


@pytest.mark.parametrize(("images", "gained", "lost"), [(40, 0.1, 0.2), (200, 0.02, 0.06), (1000, 0.1, 0.1)])
def test_paired_shares_hold_the_true_difference(images, gained, lost):
    samples = np.random.default_rng(1).multinomial(images, [gained, lost, 1 - gained - lost], 4000)
    held = [low <= gained - lost <= high
            for low, high in (intervals.paired_shares(int(one), int(other), images) for one, other, _ in samples)]
    assert 0.94 <= np.mean(held) <= 0.985


def test_paired_shares_without_a_difference_are_as_wide_as_the_images_are_few():
    (low, high), (nearer, _) = (intervals.paired_shares(0, 0, images) for images in (20, 2000))
    assert low == -high
    assert -0.2 < low < -0.1 < nearer < -0.001
    assert intervals.paired_shares(3, 0, 3)[1] <= 1
    one, other = intervals.paired_shares(5, 2, 50), intervals.paired_shares(2, 5, 50)
    assert one == pytest.approx((-other[1], -other[0]))
