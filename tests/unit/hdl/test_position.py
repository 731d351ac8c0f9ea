# SPDX-License-Identifier: Apache-2.0
"""Where tiles begin and end, for whole frames and for such as tlast cuts short."""

import pytest

from tests.helpers.pysim import clocked
from tiled_se.hdl.config import Config
from tiled_se.hdl.position import TilePosition


def ends(config, frames):
    """(beat in frame, rows, cut) of each tile end, for frames of the given numbers of beats."""
    dut = TilePosition(config)
    beats = [(frame, i, n) for frame, n in enumerate(frames) for i in range(n)]
    rows = [(1, i == n - 1) for _, i, n in beats]
    seen = clocked(dut, [dut.i_valid, dut.i_last], [dut.tile_end, dut.rows, dut.cut, dut.group, dut.first_pixel], rows)
    row = config.width * config.groups
    for (_, i, _), (_, _, _, group, first) in zip(beats, seen, strict=True):
        assert group == i % row % config.groups
        assert first == (i % (row * config.k) < config.groups)
    return [(f, i, rows + 1, cut) for (f, i, _), (end, rows, cut, _, _) in zip(beats, seen, strict=True) if end]


@pytest.mark.parametrize(("k", "width", "channels", "lanes"), [(3, 4, 6, 2), (1, 1, 1, 1), (2, 1, 3, 1), (5, 3, 2, 2)])
def test_whole_frames(k, width, channels, lanes):
    config = Config(k=k, width=width, channels=channels, squeeze=1, lanes=lanes)
    row = width * config.groups
    heights = (2 * k + 1, 1, k, 3 * k)
    wanted = [(f, min(top + k, h) * row - 1, min(k, h - top), 0)
              for f, h in enumerate(heights) for top in range(0, h, k)]
    assert ends(config, [h * row for h in heights]) == wanted


def test_cut_frames():
    """The tile ends where tlast comes; the next frame starts a new one."""
    config = Config(k=2, width=3, channels=4, squeeze=1, lanes=2)
    assert ends(config, [1, 5, 6, 7, 14, 12]) == [
        (0, 0, 1, 1), (1, 4, 1, 1), (2, 5, 1, 0), (3, 6, 2, 1), (4, 11, 2, 0), (4, 13, 1, 1), (5, 11, 2, 0)]


def test_idle_cycles_count_nothing():
    config = Config(k=2, width=1, channels=2, squeeze=1)
    dut = TilePosition(config)
    rows = [(1, 0), (0, 1), (0, 1), (1, 0), (0, 0), (1, 0), (1, 0)]
    seen = clocked(dut, [dut.i_valid, dut.i_last], [dut.tile_end], rows)
    assert [end for end, in seen] == [0, 0, 0, 0, 0, 0, 1]
