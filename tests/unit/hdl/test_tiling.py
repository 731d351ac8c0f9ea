# SPDX-License-Identifier: Apache-2.0
"""Which elements share a descriptor, and the parameters that say so."""

import json
import re

import numpy as np
import pytest

from tiled_se.hdl.config import Config, ConfigError, Context, Tiling

RUNNING = Tiling(k=2, context=Context.CUMULATIVE, prior_rows=3)
WINDOW = dict(k=7, context=Context.WINDOW)


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


@pytest.mark.parametrize("fields", [
    dict(k=np.int64(3), tile_width=np.uint8(2), max_rows=np.int16(9)),
    dict(k=np.array(3), context=Context.CAUSAL, prior_rows=np.int32(2))], ids=repr)
def test_integers_of_numpy(fields):
    """They are stored as int: results hold them as JSON."""
    wanted = {name: value if isinstance(value, Context) else int(value) for name, value in fields.items()}
    for tiling in (Tiling(**fields), Config(**fields, width=5, channels=4, squeeze=2).tiling):
        assert tiling == Tiling(**wanted)
        json.dumps([getattr(tiling, name) for name in ("k", "tile_width", "prior_rows", "max_rows")])


@pytest.mark.parametrize("window", [(2, 5), [2, 5], np.array([2, 5]), (np.int64(2), np.uint8(5))], ids=repr)
def test_a_window_is_two_integers_of_any_kind(window):
    tilings = [Tiling(**WINDOW, window=window), Config(**WINDOW, window=window, width=5, channels=4, squeeze=2).tiling]
    assert {*tilings} == {Tiling(**WINDOW, window=(2, 5))}
    for tiling in tilings:
        assert repr(tiling.window) == "(2, 5)"


@pytest.mark.parametrize("context", [Context.WINDOW, Context.TILE])
@pytest.mark.parametrize("window", [7, (), (7,), (0, 7, 1), (0, True), (np.False_, 7), (0, 7.0), "07", (0, None), {}],
                         ids=repr)
def test_no_window(window, context):
    text = re.escape(f"window={window!r}: must be two integers: the first row and the number of rows")
    with pytest.raises(ConfigError, match=f"^{text}$"):
        Tiling(k=7, context=context, window=window)


@pytest.mark.parametrize(("window", "text"), [
    (None, "window=: is needed for context=window: the first row and the number of rows"),
    *((window, f"window={window[0]}:{window[1]}: must be a first row from 0 and a number of rows from 1, up to 65536")
      for window in ((-1, 1), (0, 0), (65537, 1), (0, 65537)))])
def test_windows_out_of_range(window, text):
    with pytest.raises(ConfigError, match=f"^{text}$"):
        Tiling(**WINDOW, window=window)
    Tiling(**WINDOW, window=(65536, 65536))


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


@pytest.mark.parametrize(("window", "rows"), [((0, 7), 0), ((1, 7), 1)])
def test_only_frames_that_may_end_before_the_window_have_a_prior(window, rows):
    tiling = Tiling(k=3, context=Context.WINDOW, window=window, prior_rows=5)
    assert tiling.prior_rows == rows
    assert tiling.imaginary(1) == [rows]


@pytest.mark.parametrize(("tiling", "rows"), [
    (Tiling(k=3), 3), (Tiling(k=3, tile_width=2), 3), (RUNNING, 2),
    (Tiling(k=3, context=Context.WINDOW, window=(2, 5)), 7)])
def test_the_rows_of_a_full_tile(tiling, rows):
    assert tiling.tile_rows == rows
    assert Config(**vars(tiling), width=5, channels=4, squeeze=2, lanes=2).tile_words == rows * 5 * 2
