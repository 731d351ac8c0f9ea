# SPDX-License-Identifier: Apache-2.0
"""Every example of the README runs, and prints what the README says it does."""

import pathlib
import re
import shlex

import pytest

from tiled_se.gen.options import FIELDS, flag

README = (pathlib.Path(__file__).parents[1] / "README.md").read_text()
# Indented or fenced, each a line by itself.
COMMANDS = re.findall(r"^(?: {4})?make (sim|verilog|synth)((?: [A-Z_]+=\S*)+)$", README, re.M)
PYTHON = re.findall(r"^```python\n(.*?)^```$", README, re.M | re.S)


def test_there_are_examples():
    assert len(COMMANDS) >= 8
    assert len(PYTHON) == 1


@pytest.mark.parametrize(("command", "variables"), COMMANDS)
def test_example(tiled_se, command, variables):
    pairs = [pair.split("=", 1) for pair in shlex.split(variables)]
    options = {flag(name): field.metadata["variable"] for name, field in FIELDS.items()}
    names = {variable: option for option, variable in options.items()}
    if "WEIGHTS" in dict(pairs):
        exec(compile(PYTHON[0], "README.md", "exec"), {})
    finished = tiled_se(command, *(f"{names[variable]}={value}" for variable, value in pairs))
    assert (finished.status, finished.err) == (0, "")


def test_sweep(tiled_se):
    (example,) = re.findall(r"^```toml\n(.*?)^```$", README, re.M | re.S)
    pathlib.Path("mine.toml").write_text(example)
    finished = tiled_se("sweep", "--configs=mine.toml")
    assert (finished.status, finished.err) == (0, "")
    assert "sweep       5 configurations: 5 ok, 0 mismatch, 0 failed" in finished.out.splitlines()
    assert pathlib.Path("build/sweep_mine/results.csv").exists()


def test_first_table_is_real(tiled_se):
    """Everything that the first example shows, but for seconds."""
    shown = re.search(r"^ {4}block .*\n((?: {4}.*\n)+)", README, re.M)[0]
    finished = tiled_se("sim", "--k=7", "--width=56", "--channels=64")
    for line in shown.splitlines():
        if not line.startswith("    simulation"):
            assert line[4:] in finished.out.splitlines()
