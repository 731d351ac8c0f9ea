# SPDX-License-Identifier: Apache-2.0
"""What a shell gives a command besides its options: streams that can't be written, TMPDIR, CXX.

Status 1 says that an output differs, so that nothing of this ends with it.
"""

import json
import os
import pathlib
import subprocess
import sys
from unittest import mock

import pytest

from tests.helpers.verilog import WIRE_THROUGH
from tiled_se.cli import main as cli
from tiled_se.cosim import scratch
from tiled_se.cosim.build import build_simulation
from tiled_se.cosim.tools import BuildError, compiler

VERILOG = "verilog --k 2 --width 4 --channels 8 -o out"
SIM = "sim --k=2 --width=4 --channels=8 -o out"
WRONG = "verilog --k 0"
LINE = "tiled-se: error: K=0 (--k): must be an integer from 1 to 65536\n"
UNWRITTEN = "tiled-se: error: standard output can't be written: "


@pytest.fixture
def shell(tmp_path):
    """A function that runs a command line of `tiled-se` with redirections in a shell: status, and what is printed."""
    def run(line, redirections="", before="", **environment):
        script = f'{before} "$0" -m tiled_se.cli {line} {redirections}'
        done = subprocess.run(["bash", "-c", script, sys.executable], cwd=tmp_path, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, env=os.environ | environment)
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    return run


class TestStreams:
    @pytest.mark.parametrize(("line", "redirections"), [
        ("--version", ">&-"), ("--version", ">/dev/full"), ("", ">/dev/full"), ("sim --help", ">&-"),
        ("sim --help", ">/dev/full"), (SIM, ">&-"), (SIM, "<&- >&-"), (SIM, ">/dev/full")])
    def test_output_that_cannot_be_written(self, shell, tmp_path, line, redirections):
        reason = "No space left on device\n" if "full" in redirections else "it is closed\n"
        assert shell(line, redirections) == (74, "", UNWRITTEN + reason)
        # Found before the work.
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("redirections", [">&- 2>&-", ">/dev/full 2>/dev/full", "<&- >&- 2>&-"])
    def test_nothing_can_be_written(self, shell, redirections):
        assert shell("--version", redirections) == (74, "", "")

    @pytest.mark.parametrize("redirections", [">&-", ">/dev/full", "| true"])
    def test_bad_input_comes_first(self, shell, redirections):
        assert shell(WRONG, redirections, "set -o pipefail;") == (2, "", LINE)

    @pytest.mark.parametrize("redirections", ["2>&-", "2>/dev/full", "2> >(true)"])
    def test_messages_that_cannot_be_written(self, shell, redirections):
        """The exit status tells what they would; they are not printed elsewhere."""
        assert shell(WRONG, redirections) == (2, "", "")
        status, out, err = shell("--version", redirections)
        assert (status, out.startswith("tiled-se "), err) == (0, True, "")

    def test_results_with_closed_streams(self, shell, tmp_path):
        """No file of results gets the number of a closed one, so that a library prints into it."""
        assert shell(VERILOG, "<&- 2>&-")[0] == 0
        assert json.loads((tmp_path / "out/manifest.json").read_text())["top"] == "tiled_se"

    @pytest.mark.parametrize("line", ["--version", "sim --help", VERILOG])
    def test_reader_that_has_gone(self, shell, line):
        assert shell(line, "| true", "set -o pipefail;") == (141, "", "")


class TestErrors:
    """Of a command that raises what nobody expected."""

    def test_of_the_program_itself(self, tiled_se, monkeypatch):
        monkeypatch.setattr(cli, "_run", lambda *_: 1 // 0)
        finished = tiled_se("sim")
        assert finished.status == 70
        assert "Traceback" in finished.err
        assert finished.err.endswith("tiled-se: error: internal error: ZeroDivisionError: integer division or modulo "
                                     "by zero\n")

    @pytest.mark.parametrize(("error", "line"), [
        (OSError(28, "No space left on device"), "No space left on device"),
        (PermissionError(13, "Permission denied", "a/b"), "a/b: Permission denied"),
        (OSError("cannot identify image file"), "cannot identify image file"), (OSError(), "OSError")])
    def test_of_the_system(self, tiled_se, monkeypatch, error, line):
        def run(*_):
            raise error

        monkeypatch.setattr(cli, "_run", run)
        tiled_se.refuses(line, "sim", status=74)


class TestTemporaryFiles:
    @pytest.mark.parametrize(("folder", "reason"), [
        ("/no/such/folder", "is no folder; must be one, for temporary files"),
        ("file", "is no folder; must be one, for temporary files"),
        ("/proc", "can't be written, for temporary files: No such file or directory")])
    def test_no_folder(self, tiled_se, monkeypatch, folder, reason):
        pathlib.Path("file").touch()
        monkeypatch.setenv("TMPDIR", folder)
        tiled_se.refuses(f"TMPDIR={folder}: {reason}", *VERILOG.split(), status=3)
        assert not os.path.exists("out")

    def test_none_at_all(self, tiled_se, monkeypatch):
        monkeypatch.delenv("TMPDIR", raising=False)
        monkeypatch.setattr(scratch.tempfile, "gettempdir", mock.Mock(
            side_effect=FileNotFoundError(2, "No usable temporary directory found")))
        tiled_se.refuses("No usable temporary directory found; TMPDIR can name a folder for temporary files",
                         *VERILOG.split(), status=3)

    @pytest.mark.parametrize("line", [VERILOG, SIM])
    def test_full(self, shell, tmp_path, line):
        """The system refuses files of more than 16 KiB, as it would on a full disk."""
        (tmp_path / "temporary").mkdir()
        folder = str(tmp_path / "temporary")
        status, _, err = shell(line, "", "ulimit -f 16;", TMPDIR=folder)
        assert (status, err) == (3, f"tiled-se: error: TMPDIR={folder}: can't be written, for temporary files: "
                                 "File too large\n")
        assert not os.listdir(folder)

    @pytest.mark.parametrize(("error", "inside"), [
        (OSError(28, "No space left on device"), True), (OSError(122, "Disk quota exceeded"), True),
        (OSError(28, "No space left on device", "{root}/a"), True), (OSError(28, "No space left", "{root}2"), False),
        (OSError(12, "Cannot allocate memory"), False), (FileNotFoundError(2, "No such file", "elsewhere"), False)])
    def test_only_errors_of_the_folder(self, tmp_path, monkeypatch, error, inside):
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        if error.filename:
            error.filename = error.filename.format(root=tmp_path)
        with pytest.raises(scratch.ScratchError if inside else type(error)), scratch.scratch():
            raise error

    def test_program_that_found_no_room(self, tmp_path, monkeypatch):
        """It may have said nothing of it; where there is room, its failure is its own."""
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        with pytest.raises(BuildError), scratch.scratch():
            raise BuildError("no result")
        monkeypatch.setattr(scratch, "FULL", 1 << 62)
        with pytest.raises(scratch.ScratchError, match=f"^TMPDIR={tmp_path}: is full, for temporary files: no result$"):
            with scratch.scratch():
                raise BuildError("no result")


class TestCompiler:
    @pytest.mark.parametrize(("cxx", "reason"), [
        ("'g++", "must be a command as a shell takes it: No closing quotation"),
        ('g++ "-O1', "must be a command as a shell takes it: No closing quotation"),
        ("g++ \\", "must be a command as a shell takes it: No escaped character"),
        ("./no-such-compiler -O1", "no such program"), ("/tmp", "no such program"),
        ("false", "false failed with status 1:"),
        ("sh -c : --", "{sh} tells no version; must be a C++ compiler")])
    def test_that_is_none(self, monkeypatch, tmp_path, cxx, reason):
        monkeypatch.setenv("TILED_SE_CACHE", str(tmp_path))
        monkeypatch.setenv("CXX", cxx)
        with pytest.raises(BuildError) as raised:
            build_simulation(WIRE_THROUGH, "wire_through")
        reason = reason.replace("{sh}", os.path.abspath("/usr/bin/sh" if os.path.exists("/usr/bin/sh") else "/bin/sh"))
        assert str(raised.value).splitlines()[0] == f"CXX={cxx}: {reason}"

    def test_that_makes_nothing(self, monkeypatch, tmp_path):
        monkeypatch.setenv("TILED_SE_CACHE", str(tmp_path))
        monkeypatch.setenv("CXX", "echo")
        with pytest.raises(BuildError, match=r"^CXX=echo: \S*/echo made no simulation; must be a C\+\+ compiler$"):
            build_simulation(WIRE_THROUGH, "wire_through")

    def test_relative_path_and_arguments(self, monkeypatch, tmp_path):
        """It is called in another folder."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "my cxx").write_text("#!/bin/sh\n")
        (tmp_path / "my cxx").chmod(0o755)
        for cxx in ("'./my cxx' -O1 '-DA=b c'", "./my\\ cxx -O1 -DA=b\\ c"):
            monkeypatch.setenv("CXX", cxx)
            assert compiler() == [str(tmp_path / "my cxx"), "-O1", "-DA=b c"]
