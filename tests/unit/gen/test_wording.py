# SPDX-License-Identifier: Apache-2.0
"""What reports call a block and its bound."""

import dataclasses

import pytest

from tiled_se.gen.report import describe_block
from tiled_se.gen.verilog import Design, _header, packing
from tiled_se.gen.wording import averaged, prior_alone
from tiled_se.hdl.config import Config, Context, DataType, Order

CUMULATIVE = dict(context=Context.CUMULATIVE)
CAUSAL = dict(context=Context.CAUSAL, prior_rows=2)
WINDOW = dict(context=Context.WINDOW, window=(4, 7))
PATCHES = dict(tile_width=3)
COLUMNS = dict(order=Order.COLUMNS)


def config(**tiling):
    return Config(k=3, width=10, channels=8, squeeze=2, **tiling)


@pytest.mark.parametrize(("tiling", "text"), [
    ({}, "K=3 W=10 C=8 CR=2 LANES=1 MACS=1"),
    (PATCHES, "K=3 W=10 C=8 CR=2 LANES=1 MACS=1 TILE_W=3"),
    (CUMULATIVE, "K=3 W=10 C=8 CR=2 LANES=1 MACS=1 CONTEXT=cumulative PRIOR=0"),
    (CAUSAL | dict(max_rows=9), "K=3 W=10 C=8 CR=2 LANES=1 MACS=1 CONTEXT=causal PRIOR=2 MAX_ROWS=9"),
    (WINDOW, "W=10 C=8 CR=2 LANES=1 MACS=1 CONTEXT=window WINDOW=4:7"),
    (COLUMNS | CAUSAL, "K=3 H=10 C=8 CR=2 LANES=1 MACS=1 CONTEXT=causal PRIOR=2 ORDER=columns"),
])
def test_block(tiling, text):
    block = config(**tiling)
    assert describe_block(block) == f"{text}, relu, sigmoid, int8, baked"
    assert f"\n// {text}, relu, sigmoid, int8, zero point 0, parameters baked in\n" in _header(block, "se", ())


@pytest.mark.parametrize(("formats", "text", "zeros"), [
    (dict(data=DataType(4), weight_bits=4), "int4, 4-bit weights", ", zero point 0"),
    (dict(data=DataType(12, False), zero_point=9), "uint12", ", zero point 9"),
    (dict(y_ratio=0.3), "int8, outputs int8", ", zero point 0, that of the outputs 0"),
    (dict(y_data=DataType(6, False), y_zero_point=5), "int8, outputs uint6",
     ", zero point 0, that of the outputs 5")])
def test_formats(formats, text, zeros):
    block = config(**formats)
    assert describe_block(block).endswith(f", relu, sigmoid, {text}, baked")
    assert f", {text}{zeros}, parameters baked in\n" in _header(block, "se", ())
    # Loaded with the parameters.
    assert f", {text}, loadable through w_axis\n" in _header(dataclasses.replace(block, loadable=True), "se", ())


@pytest.mark.parametrize(("data", "lanes", "text"), [
    (DataType(8), 4, "int8, lane 0 in bits 7:0, the others above it without gaps"),
    (DataType(3, False), 5, "uint3, lane 0 in bits 2:0, the others above it without gaps, padding in bits 15:15"),
    (DataType(12), 1, "int12, lane 0 in bits 11:0, padding in bits 15:12")])
def test_packing(data, lanes, text):
    assert packing(data, lanes) == text


@pytest.mark.parametrize(("tiling", "text"), [
    ({}, "A tile is 3 rows, or what a frame has left. Its gates come from its own mean."),
    (PATCHES, "A tile is 3 rows by 3 pixels, or what a frame has left. Its gates come from its own mean."),
    (CUMULATIVE, "A tile is 3 rows, or what a frame has left. Its gates come from the mean of all rows of the frame up "
                 "to its last one; only the first 4096 rows of a frame count."),
    (CAUSAL | COLUMNS, "A tile is 3 columns, or what a frame has left. Its gates come from the mean of all columns of "
                       "the frame before it and of 2 columns of the prior; only the first 4096 columns of a frame "
                       "count."),
    (WINDOW, "The gates of a frame come from the mean of those of its rows 4 to 10 that it has. The gates of a frame "
             "without any of them come from the prior."),
])
def test_averaged(tiling, text):
    assert averaged(config(**tiling)) == text


@pytest.mark.parametrize(("tiling", "lines", "text"), [
    ({}, 1, ""), (CUMULATIVE, 1, ""), (CAUSAL, 4, ""), (WINDOW, 5, ""), (WINDOW | dict(window=(0, 1)), 1, ""),
    (CAUSAL, 3, "a map of 3 rows is a single tile of K=3, before which no row comes"),
    (CAUSAL | COLUMNS, 1, "a map of 1 column is a single tile of K=3, before which no column comes"),
    (WINDOW, 4, "a map of 4 rows ends before row 4, the first of the window"),
])
def test_gates_that_do_not_depend_on_the_map(tiling, lines, text):
    assert prior_alone(config(**tiling), lines) == (text and f"{text}, so all of its gates come from the prior alone")


def test_memory_over_two_yardsticks():
    """Without memories, but with the fields that a report has; nothing is divided by a bound of 0."""
    strips, causal = (Design("top", config(**tiling), "", (), (), ()).sram for tiling in ({}, CAUSAL))
    assert (strips["over_bound"], causal["over_bound"]) == (0, None)
    assert strips["tse7_bits"] == causal["tse7_bits"] == 8 * 7 * 10 * 8
    assert (causal["bound_bits"], causal["over_tse7"]) == (0, 0)
