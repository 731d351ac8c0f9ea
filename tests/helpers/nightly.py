# SPDX-License-Identifier: Apache-2.0
"""Which values of a parametrised test are left to the nightly run, because others of it take the same paths."""

import pytest

__all__ = ["nightly", "seldom"]

nightly = pytest.mark.nightly


def seldom(values, *always):
    """`values` for ``parametrize``: those of `always` in every run, the others only with ``pytest --nightly``."""
    values = list(values)
    if missing := [value for value in always if value not in values]:
        raise ValueError(f"no such values: {missing}")
    return [value if value in always else pytest.param(
        *(value if isinstance(value, tuple) else (value,)), marks=nightly) for value in values]
