# SPDX-License-Identifier: Apache-2.0
"""The contract finds what it is there for: each planted breach shows, and what is right does not."""

import dataclasses
import functools
import os
import pickle
import subprocess
import sys
import time

import pytest

from tiled_se.cli.main import main

from . import contract
from .test_command_line import assert_arrived, line

RIGHT = line("verilog", k="2", width="4", channels="6", macs="5", slack="1", seed="7", out="out", planned=True)
WRONG = line("verilog", k="0", out="out", planned=True, verdict="wrong", blames=["K="])


def crashing(arguments):
    return 1 // 0


def leaving(path, content, arguments, status=None):
    """Leave a file beside what the command should write."""
    found = main(arguments)
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)
    return found if status is None else status


def saying(text, status, arguments):
    print(text, file=sys.stderr)
    return status


def without(flag, arguments):
    """Ignore an option."""
    return main([text for text in arguments if not text.startswith(flag)])


def unpickling(arguments):
    pickle.loads(b"cos\ngetcwd\n(tR.")
    return main(arguments)


def forgetting(arguments):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    return main(arguments)


def greedy(arguments):
    # Much more than the libraries' pages, which the process has from the one that it was forked from.
    return main(arguments) if b"x" * (1 << 30) else 1


def hanging(arguments):
    time.sleep(60)


def idle(arguments):
    return 0


def breaches(box, line, planted, **how):
    return contract.breaches(line, box.run(line, main=planted and functools.partial(*planted), **how))


@pytest.mark.parametrize("line", [RIGHT, WRONG])
def test_nothing_planted(sandbox, line):
    assert breaches(sandbox, line, None) == []


@pytest.mark.parametrize(("line", "planted", "found"), [
    (RIGHT, (crashing,), "a traceback or a warning: ZeroDivisionError"),
    (RIGHT, (saying, "half a line", 1), "exit status 1"),
    (RIGHT, (saying, "tiled-se: error: K=2 (--k): no", 2), "refused, though right"),
    (RIGHT, (leaving, "out/more.json", b"{"), "out/more.json is not complete"),
    (RIGHT, (leaving, "out/more.v", b"module a;\nendmodule\nmodule b;\n"), "out/more.v is not complete"),
    (RIGHT, (leaving, "out/more.npz", b"PK"), "out/more.npz is not complete"),
    (RIGHT, (leaving, "out/more.svg", b"<svg>"), "out/more.svg is not complete"),
    (RIGHT, (leaving, "out/a.json.12ab.tmp", b""), "left above/work/out/a.json.12ab.tmp"),
    (RIGHT, (leaving, "other", b""), "wrote above/work/other"),
    (RIGHT, (leaving, "../other", b""), "wrote above/other"),
    (RIGHT, (unpickling,), "unpickled os.getcwd"), (RIGHT, (greedy,), "GiB of memory"),
    (RIGHT, (forgetting,), "a process outlived it"),
    (dataclasses.replace(RIGHT, files={"out/planned.json": b"{}", "out/planned.npz": b""}), (idle,),
     "planned.json isn't new"),
    (WRONG, (idle,), "accepted, where K="), (WRONG, (saying, "error: K=0", 2), "without one line of text"),
    (WRONG, (saying, "tiled-se: error: K=0\nand more", 2), "without one line of text"),
    (WRONG, (saying, "tiled-se: error: W=0", 2), "names none of"),
    (WRONG, (saying, "tiled-se: error: K=" + "0" * 20_000, 2), "a message of 20"),
    (WRONG, (leaving, "out/x", b""), "refused, but wrote above/work/out"),
])
def test_planted(sandbox, monkeypatch, line, planted, found):
    monkeypatch.setattr(contract, "MOST_GROWN", 150 << 20)
    told = breaches(sandbox, line, planted)
    assert any(found in text for text in told), told
    assert (sandbox.keep(line, told) / "command.sh").read_text().startswith("tiled-se verilog --k=")


def test_a_hang(sandbox):
    assert breaches(sandbox, RIGHT, (hanging,), seconds=1) == ["hangs: killed"]


def test_a_change_far_away(sandbox, tmp_path):
    assert f"changed {tmp_path / 'far'}" in breaches(sandbox, RIGHT, (leaving, str(tmp_path / "far"), b""))


@pytest.mark.parametrize("flag", ["--k", "--macs", "--slack", "--seed"])
def test_an_option_that_does_not_arrive(sandbox, flag):
    outcome = sandbox.run(RIGHT, main=functools.partial(without, flag))
    with pytest.raises(AssertionError, match=flag.strip("-")):
        assert_arrived(RIGHT, outcome)
