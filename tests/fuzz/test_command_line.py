# SPDX-License-Identifier: Apache-2.0
"""Random command lines and damaged files: none does harm, and each option said is what is built."""

import dataclasses
import json

import numpy as np
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tiled_se.cli.commands import COMMANDS

from . import examples, plan, strategies
from .contract import results_folder
from .options import EVERY, formatted, rows
from .sandbox import Line
from .strategies import BLOCK, damaged_lines, right, wrong

# Commands that end at once when they are right; those whose right lines take minutes are only given wrong ones.
QUICK = ("inspect", "swap")


def line(command, *words, verdict="right", blames=(), files=None, planned=False, **said):
    """A Line by hand: `words` as they stand, then the options `said`."""
    texts = [f"{EVERY[name].flag}={text}" for name, text in said.items()]
    return Line(command, (command, *words, *texts), said, files or {}, verdict, frozenset(blames), planned=planned)


SMALL = dict(k="2", width="3", channels="4", squeeze="2", macs="2")


@examples(40)
@given(line=right(BLOCK))
def test_each_option_said_arrives(line, run):
    """Of a block's right lines; nothing else is read a second time here."""
    outcome = run(line)
    if outcome.status == 0 and line.stdout == "file":
        assert_arrived(line, outcome)


def assert_arrived(line, outcome):
    """What the options and files of `line` say is in its plan."""
    about, arrays = plan.read(results_folder(line, outcome))
    for name, text in line.said.items():
        if formatted(EVERY[name]) and text not in ("", "auto"):
            assert about[name] == _arrived(name, EVERY[name].convert(text), about), name
    _files_arrived(line, outcome, arrays)


def _arrived(name, value, about):
    """What the plan has where an option's text is read as `value`."""
    if name == "macs":
        # More would have nothing to work on.
        return min(value, max(about["channels"], about["squeeze"]))
    if name == "gate":
        return str(value)
    return list(value) if isinstance(value, tuple) else getattr(value, "value", value)


def _files_arrived(line, outcome, arrays):
    """Weights are the file's within half a step (and what a scale is rounded by), data within one, or exactly."""
    if line.said.get("weights"):
        with np.load(outcome.work / line.said["weights"]) as file:
            for name in ("w1", "w2"):
                real = file[name].astype(float)
                step = np.abs(real).max(axis=1, keepdims=True) / 127
                # A row that is small beside the largest has fewer bits, or none.
                assert (np.abs(arrays[name] - real) <= np.where(step < step.max() / 128, np.inf, 0.51 * step)).all()
    if line.said.get("input"):
        with np.load(outcome.work / line.said["input"]) as file:
            if "x_q" in file:
                assert (arrays["x_q"].reshape(-1) == file["x_q"].reshape(-1)).all()
                assert (arrays["x_scale"], arrays["x_zero_point"]) == (file["x_scale"], file["x_zero_point"])
            else:
                scale, real = arrays["x_scale"], file["x"].astype(float).reshape(-1)
                steps = arrays["x_q"].reshape(-1).astype(float) - arrays["x_zero_point"]
                assert (np.abs(steps * scale - real) <= scale * (1 + 1e-9)).all()


@examples(12)
@given(line=right(BLOCK), other=st.sampled_from(BLOCK), data=st.data())
def test_the_same_hardware(line, other, data, run):
    """Whichever command is given the options, and whether or not one of them is its default spelt out."""
    assume(line.stdout == "file")
    outcome = run(line)
    assume(outcome.status == 0)
    folder = results_folder(line, outcome)
    first = [folder.joinpath(name).read_bytes() for name in plan.RESULTS]
    defaults = [row for row in rows(other).values() if row.default is not None and row.name not in line.said]
    row = data.draw(st.sampled_from(defaults))
    text = ",".join(map(str, row.default)) if isinstance(row.default, tuple) else str(getattr(
        row.default, "value", int(row.default) if isinstance(row.default, bool) else row.default))
    said = line.said | {row.name: text, "out": "again"}
    again = dataclasses.replace(line, command=other, said=said, arguments=(
        other, *line.arguments[1:], f"{row.flag}={text}", "--out=again"))
    folder = run(again, again=True).work / "again"
    second = [folder.joinpath(name).read_bytes() for name in plan.RESULTS]
    assert json.loads(second[0]) == json.loads(first[0]) | {"out": "again"}
    assert second[1] == first[1]


@examples(70)
@given(line=wrong(tuple(COMMANDS)))
@example(line=line("verilog", k="2", width="4", channels="4", out="a/" + "x" * 256, verdict="wrong", blames=["OUT="]))
def test_what_is_wrong_is_refused(line, run):
    run(line)


@examples(45)
@given(line=damaged_lines(BLOCK))
def test_damaged_arrays(line, run):
    run(line)


@examples(15)
@given(line=damaged_lines((*QUICK, "sweep")))
def test_damaged_lists_and_networks(line, run):
    run(line)


@examples(6)
@given(line=right(QUICK))
def test_networks(line, run):
    run(line)


@examples(8)
@given(line=strategies.bare(tuple(COMMANDS)))
def test_help_and_unknown_commands(line, run):
    outcome = run(line)
    assert outcome.out.strip() or outcome.status
