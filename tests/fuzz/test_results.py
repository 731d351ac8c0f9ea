# SPDX-License-Identifier: Apache-2.0
"""Whole runs: commands agree about the block, and results serve as input."""

import csv
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import fuzz

from . import examples
from .contract import results_folder
from .lists import FAILING, WORKING
from .strategies import BLOCK, right
from .test_command_line import line

# One loadable block, which is compiled once for all lines.
SHAPE = dict(k="2", width="3", channels="4", squeeze="2", lanes="2", macs="2", loadable="1")
at_length = pytest.mark.skipif(not fuzz.many, reason="takes long: make fuzz")


def read(folder, name):
    return json.loads((folder / name).read_text())


def arrays(folder):
    with np.load(folder / "output.npz") as file:
        return dict(file)


@examples(1)
@given(run_options=st.fixed_dictionaries({
    "seed": st.integers(0, 99), "height": st.integers(1, 5), "frames": st.integers(1, 3),
    "stall": st.sampled_from((0, 0.3, 0.9)), "waves": st.integers(0, 1)}))
def test_sim_is_of_the_block_that_verilog_writes_and_its_results_give_it_again(run, run_options):
    said = {name: str(value) for name, value in run_options.items()}
    outcome = run(line("sim", **SHAPE, **said, out="first"))
    first, report = arrays(outcome.work / "first"), read(outcome.work / "first", "report.json")
    assert report["bit_exact"]
    run(line("verilog", **SHAPE, **said, out="rtl"), again=True)
    manifest = read(outcome.work / "rtl", "manifest.json")
    for part in ("config", "sram"):
        same = manifest[part].keys() & report[part].keys()
        assert same
        assert {name: manifest[part][name] for name in same} == {name: report[part][name] for name in same}
    run(line("sim", k="2", lanes="2", macs="2", loadable="1", weights="first/output.npz", input="first/output.npz",
             out="second"), again=True)
    second = arrays(outcome.work / "second")
    own = manifest["config"]
    assert {name: read(outcome.work / "second", "report.json")["config"][name] for name in own} == own
    assert (first["x_q"] == second["x_q"]).all()
    # Weights that were rounded once are rounded to nearly the same numbers.
    assert np.abs(first["y_q"].astype(int) - second["y_q"]).max() <= 1


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
@given(line=right(("report", "build", "sensitivity")))
def test_networks(line, run):
    run(line)


@pytest.mark.parametrize(("text", "reasons"), [
    (FAILING, ["LANES=3"] * 5), pytest.param(WORKING, [""] * 3, marks=at_length)], ids=["failing", "right"])
def test_sweep(sandbox, text, reasons):
    """One of a list that fails, and one of a list that is right: results.csv has a row for each configuration."""
    one = line("sweep", configs="list.toml", jobs="1", files={"list.toml": text.encode()})
    outcome = sandbox.run(one)
    assert outcome.status == int(text == FAILING), outcome.err
    with open(results_folder(one, outcome) / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["failed" if reason else "ok" for reason in reasons]
    assert [row["reason"][:len(reason)] for row, reason in zip(rows, reasons, strict=True)] == reasons
