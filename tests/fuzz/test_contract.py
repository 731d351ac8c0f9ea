# SPDX-License-Identifier: Apache-2.0
"""The contract finds what it is there for: each planted breach shows, and what is right does not."""

import dataclasses
import functools
import os
import pathlib
import subprocess
import sys
import time

import pytest

from tiled_se.cli.main import main

from . import contract
from .test_command_line import assert_arrived, line

RIGHT = line("verilog", k="2", width="4", channels="6", macs="5", slack="1", seed="7", out="out", planned=True)
WRONG = line("verilog", k="0", out="out", planned=True, verdict="wrong", blames=["K="])
WRONG_SIM = line("sim", k="0", out="out", planned=True, verdict="wrong", blames=["K="])
OLD = dataclasses.replace(RIGHT, files={"out/planned.json": b"{}", "out/planned.npz": b""})


def planted(code, arguments):
    """What replaces `main`: it does something wrong first."""
    exec(code, dict(arguments=arguments, end=end, leave=leave, subprocess=subprocess, time=time))
    return main(arguments)


def leave(path, content):
    """Leave a file beside what the command should write."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    pathlib.Path(path).write_bytes(content)


def end(status, text=""):
    """End at once, with a message."""
    print(text, end="\n" if text else "", file=sys.stderr)
    sys.exit(status)


def breaches(box, line, code, **how):
    return contract.breaches(line, box.run(line, main=functools.partial(planted, code), **how))


@pytest.mark.parametrize("line", [RIGHT, WRONG, WRONG_SIM])
def test_nothing_planted(sandbox, line):
    assert breaches(sandbox, line, "") == []


@pytest.mark.parametrize(("line", "code", "found"), [
    (RIGHT, "1 // 0", "a traceback or a warning: ZeroDivisionError"),
    (RIGHT, "end(1, 'half a line')", "exit status 1"),
    (RIGHT, "end(2, 'tiled-se: error: K=2 (--k): no')", "refused, though right"),
    (RIGHT, "leave('out/more.json', b'{')", "out/more.json is not complete"),
    (RIGHT, "leave('out/more.v', b'module a;\\nendmodule\\nmodule b;')", "out/more.v is not complete"),
    (RIGHT, "leave('out/more.npz', b'PK')", "out/more.npz is not complete"),
    (RIGHT, "leave('out/more.svg', b'<svg>')", "out/more.svg is not complete"),
    (RIGHT, "leave('out/a.json.12ab.tmp', b'')", "left above/work/out/a.json.12ab.tmp"),
    (RIGHT, "leave('other', b'')", "wrote above/work/other"), (RIGHT, "leave('../other', b'')", "wrote above/other"),
    (RIGHT, "b'x' * (1 << 30)", "GiB of memory"), (RIGHT, "subprocess.Popen(['sleep', '60'])", "a process outlived it"),
    (OLD, "end(0)", "planned.json isn't new"), (WRONG, "end(0)", "accepted, where K="),
    (WRONG_SIM, "end(1)", "exit status 1"), (WRONG, "end(3, 'tiled-se: error: K=0')", "exit status 3"),
    (WRONG, "end(2, 'error: K=0')", "without one line of text"),
    (WRONG, "end(2, 'tiled-se: error: K=0\\nand more')", "without one line of text"),
    (WRONG, "end(2, 'tiled-se: error: W=0')", "names none of"),
    (WRONG, "end(2, 'tiled-se: error: K=' + '0' * 20_000)", "a message of 20"),
    (WRONG, "leave('out/x', b'')", "refused, but wrote above/work/out"),
])
def test_planted(sandbox, monkeypatch, line, code, found):
    monkeypatch.setattr(contract, "MOST_GROWN", 150 << 20)
    told = breaches(sandbox, line, code)
    assert any(found in text for text in told), told
    assert (sandbox.keep(line, told) / "command.sh").read_text().startswith(f"tiled-se {line.command} --k=")


def test_a_hang(sandbox):
    assert breaches(sandbox, RIGHT, "time.sleep(60)", seconds=1) == ["hangs: killed"]


def test_a_change_far_away(sandbox, tmp_path):
    assert f"changed {tmp_path / 'far'}" in breaches(sandbox, RIGHT, f"leave({str(tmp_path / 'far')!r}, b'')")


@pytest.mark.parametrize("flag", ["--k", "--macs", "--slack", "--seed"])
def test_an_option_that_does_not_arrive(sandbox, flag):
    code = f"arguments[:] = [text for text in arguments if not text.startswith('{flag}')]"
    outcome = sandbox.run(RIGHT, main=functools.partial(planted, code))
    with pytest.raises(AssertionError, match=flag.strip("-")):
        assert_arrived(RIGHT, outcome)
