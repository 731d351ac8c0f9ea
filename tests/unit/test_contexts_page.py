# SPDX-License-Identifier: Apache-2.0
"""The drawings of docs/contexts.md are what a Tiling says."""

import pathlib
import re
import string

import pytest

from tiled_se.hdl.tiling import Context, Order, Tiling

PAGE = (pathlib.Path(__file__).parents[2] / "docs" / "contexts.md").read_text()
# Columns of text from one drawing to the next.
PITCH = 26


def drawings(head):
    """The drawings side by side whose first line begins with `head`: variables, and lines, by number."""
    block = re.search(rf"^ {{4}}{head}.*\n((?: {{4}}.*\n)+)", PAGE, re.M)
    lines = [line[4:] for line in block[0].splitlines()]
    columns = [[line[start:start + PITCH].rstrip() for line in lines] for start in range(0, len(lines[0]), PITCH)]
    return [(variables, rows) for _, variables, *rows in columns]


MASKS, MAPS = drawings("strips +cumulative") + drawings("causal "), drawings("strips +patches")


def tiling(variables):
    """The Tiling of a drawing's variables; its kind stands above them."""
    values = dict(pair.split("=") for pair in variables.split())
    window = values.get("WINDOW") and tuple(map(int, values["WINDOW"].split(":")))
    return {"k": int(values.get("K", 7)), "tile_width": values.get("TILE_W") and int(values["TILE_W"]),
            "prior_rows": int(values.get("PRIOR", 0)), "window": window,
            "order": Order(values.get("ORDER", "rows"))}


def test_there_are_all():
    assert (len(MASKS), len(MAPS)) == (6, 3)


@pytest.mark.parametrize(("number", "context"), list(enumerate((
    Context.TILE, Context.CUMULATIVE, Context.CUMULATIVE, Context.CAUSAL, Context.CAUSAL, Context.WINDOW))))
def test_rows_that_make_a_gate(number, context):
    variables, (head, *rows) = MASKS[number]
    form = Tiling(**tiling(variables.replace("CONTEXT=tile ", "")) | {"context": context})
    height = len(rows)
    assert head.split() == ["P", *map(str, range(height))]
    expected = []
    for (first, stop), (low, high), imaginary in zip(form.strips(height), form.averaged(height),
                                                     form.imaginary(height), strict=True):
        marks = ["#" if imaginary else ".", *("#" if low <= row < high else "." for row in range(height))]
        expected += [" ".join([str(row), *marks]) for row in range(first, stop)]
    assert rows == expected


@pytest.mark.parametrize("number", range(3))
def test_elements_that_share_gates(number):
    variables, rows = MAPS[number]
    form = Tiling(**tiling(variables))
    pixels = [row.split() for row in rows]
    if form.order is Order.COLUMNS:
        pixels = [list(column) for column in zip(*pixels, strict=True)]
    width = len(pixels[0])
    letters = iter(string.ascii_uppercase)
    for first, stop in form.strips(len(pixels)):
        for left in range(0, width, form.tile_columns(width)):
            tile = {letter for row in pixels[first:stop] for letter in row[left:left + form.tile_columns(width)]}
            assert tile == {next(letters)}
