# SPDX-License-Identifier: Apache-2.0
"""Whether a network has learnt anything: what any network gives that names one class for all images is no more."""

import numpy as np

from ..intervals import paired_shares

__all__ = ["nothing_learnt"]

# How much better a network must be at least than the largest class's share: by so much of that share, or of the rest
# if that is less. With ten classes it is 15 %, with two 55 %.
OF_SHARE, OF_REST = 0.5, 0.1


def nothing_learnt(correct: np.ndarray, largest: np.ndarray) -> str | None:
    """Why a network seems to have learnt nothing, in a line; None if it has learnt something.

    `correct` tells which test images it finds, `largest` which are of the largest class, bool (N) both. The lower end
    of the 95 % interval of their difference must be clearly above 0.
    """
    share = float(largest.mean())
    gained, lost = int((correct & ~largest).sum()), int((largest & ~correct).sum())
    margin = min(OF_SHARE * share, OF_REST * (1 - share))
    if paired_shares(gained, lost, len(correct))[0] > margin:
        return None
    return (f"it has learnt nothing: its top-1 is {correct.mean():.1%}, and {share:.1%} of the images are of the "
            f"largest class; must be clearly above {share + margin:.1%}")
