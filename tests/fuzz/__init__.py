# SPDX-License-Identifier: Apache-2.0
"""Random command lines, damaged files and hostile streams, by hypothesis: what fails is shrunk, and tried again first.

`make test` tries few examples, always the same; `make fuzz` tries many, and others each time.
"""

from hypothesis import settings

__all__ = ["examples"]

# Examples in all of `make test`; what ``pytest --hypothesis-profile=long --examples N`` tries instead, see conftest.py.
FEW = 200
many = None


def examples(count, **more):
    """Hypothesis' settings of a test that gets `count` examples of FEW, or the same share of many."""
    profile = settings.get_profile("long" if many else "ci")
    return settings(profile, max_examples=-(-count * (many or FEW) // FEW), **more)
