# SPDX-License-Identifier: Apache-2.0
"""Which elements share a descriptor, and the parameters that say so."""

import re

import numpy as np
import pytest

from tiled_se.hdl.config import Config, ConfigError, Context, Tiling

RUNNING = Tiling(k=2, context=Context.CUMULATIVE, prior_rows=3)


@pytest.mark.parametrize("k", [5, np.int64(5), Tiling(k=5), Config(k=5, width=3, channels=4, squeeze=2)], ids=repr)
def test_integers_stand_for_strips(k):
    assert Tiling.of(k) == Tiling(k=5)
    assert type(Tiling.of(k)) is Tiling


def test_a_tiling_stands_for_itself():
    assert Tiling.of(RUNNING) == RUNNING


@pytest.mark.parametrize("k", [True, 2.0, "7", None])
def test_other_types_are_refused(k):
    with pytest.raises(TypeError, match=f"^k={re.escape(repr(k))}: must be an integer$"):
        Tiling.of(k)


def test_a_tile_may_be_higher_than_a_buffer():
    """``k >= H`` is the whole map, however high it is; a block of hardware has a limit."""
    assert Tiling.of(10**9).strips(70000) == [(0, 70000)]
    with pytest.raises(ConfigError, match="^k=0: must be from 1 to 1073741824$"):
        Tiling.of(0)
    with pytest.raises(ConfigError, match="^k=70000: must be from 1 to 65536$"):
        Config(k=70000, width=3, channels=4, squeeze=2)


@pytest.mark.parametrize(("tiling", "width", "spans"), [
    (Tiling(k=2, tile_width=3), 7, [(0, 3), (3, 6), (6, 7)]),
    (Tiling(k=2, tile_width=3), 6, [(0, 3), (3, 6)]),
    (Tiling(k=2, tile_width=9), 7, [(0, 7)]),
    (RUNNING, 7, [(0, 7)]),
])
def test_the_columns_of_tiles_side_by_side(tiling, width, spans):
    assert tiling.spans(width) == spans
    config = Config(**vars(tiling), width=width, channels=4, squeeze=2)
    assert (config.tiles_across, config.columns) == (len(spans), spans[0][1])
    assert config.last_columns == spans[-1][1] - spans[-1][0]


@pytest.mark.parametrize(("tiling", "rows"), [
    (Tiling(k=3), 3), (Tiling(k=3, tile_width=2), 3), (RUNNING, 2),
    (Tiling(k=3, context=Context.WINDOW, window=(2, 5)), 7)])
def test_the_rows_of_a_full_tile(tiling, rows):
    assert tiling.tile_rows == rows
    assert Config(**vars(tiling), width=5, channels=4, squeeze=2, lanes=2).tile_words == rows * 5 * 2
