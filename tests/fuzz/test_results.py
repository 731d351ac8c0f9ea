# SPDX-License-Identifier: Apache-2.0
"""Whole runs: commands agree about the block, and results serve as input."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import fuzz

from . import examples
from .contract import results_folder
from .files import pack
from .lists import model_bytes
from .strategies import BLOCK, right
from .test_command_line import assert_files_arrived, line

# One loadable block, which is compiled once for all lines.
BUILT = dict(k="2", lanes="2", macs="2", loadable="1")
SHAPE = BUILT | dict(width="3", channels="4", squeeze="2")
at_length = pytest.mark.skipif(not fuzz.many, reason="takes long: make fuzz")


@examples(1)
@given(run_options=st.fixed_dictionaries({
    "seed": st.integers(0, 99), "height": st.integers(1, 5), "frames": st.integers(1, 3),
    "stall": st.sampled_from((0, 0.3, 0.9)), "waves": st.integers(0, 1)}),
    tiling=st.sampled_from(({}, {"context": "cumulative", "prior_rows": "1"}, {"context": "causal", "max_rows": "3"})))
def test_sim_is_of_the_block_that_verilog_writes_and_its_results_give_it_again(run, run_options, tiling):
    """With output.npz as WEIGHTS and INPUT, the whole hardware and the frames with their format are the same.

    The file has the weights as real numbers. To quantise them again may choose another multiplier for a row, which
    moves its weights by half of a step at most; then an output may differ by one LSB. Where weights and biases come
    back exactly, so does every output.
    """
    said = {name: str(value) for name, value in run_options.items()}
    reports, arrays = [], []
    for more in (SHAPE | said, BUILT | dict(weights="0/output.npz", input="0/output.npz")):
        one = line("sim", **more, **tiling, out=str(len(reports)))
        outcome = run(one, again=bool(reports))
        folder = results_folder(one, outcome)
        reports.append(json.loads((folder / "report.json").read_text()))
        with np.load(folder / "output.npz") as file:
            arrays.append(dict(file))
        assert_files_arrived(one, outcome, arrays[-1])
    assert reports[0]["bit_exact"]
    same = all((arrays[0][name] == arrays[1][name]).all() for name in ("w1", "b1", "w2", "b2"))
    assert np.abs(arrays[0]["y_q"].astype(int) - arrays[1]["y_q"]).max() <= int(not same)
    outcome = run(line("verilog", **SHAPE, **said, **tiling, out="rtl"), again=True)
    manifest = json.loads((outcome.work / "rtl" / "manifest.json").read_text())
    assert {name: reports[1]["config"][name] for name in manifest["config"]} == manifest["config"]
    for part in ("config", "sram"):
        common = manifest[part].keys() & reports[0][part].keys()
        assert common
        assert {name: manifest[part][name] for name in common} == {name: reports[0][part][name] for name in common}


@examples(3)
@given(line=right(("verilog",), planned=False))
def test_verilog_with_interrupts(line, run):
    run(line)


@at_length
@examples(2)
@given(line=right(BLOCK[:2], planned=False))
def test_blocks(line, run):
    run(line)


@at_length
@examples(1)
@given(line=right(("report", "build", "sensitivity", "evaluate")))
def test_networks(line, run):
    run(line)


def test_names_in_a_plot(run):
    """A dollar sign begins no formula, and a letter that a font lacks gives no warning."""
    images = pack(dict(x=np.random.default_rng(1).normal(size=(2, 4, 6, 5)).astype(np.float32)))
    run(line("sensitivity", "net.onnx", "images", out="out", files={"net.onnx": model_bytes(), "images/a.npz": images}))
