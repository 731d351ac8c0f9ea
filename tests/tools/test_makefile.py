# SPDX-License-Identifier: Apache-2.0
"""The Makefile, in a folder with stand-ins for Python, pip and tiled-se: what it passes on, and how it sets up."""

import pathlib
import shutil
import subprocess

import pytest

from tiled_se.cli import makefile
from tiled_se.cli.commands import COMMANDS
from tiled_se.gen.fields import options_of

ROOT = pathlib.Path(__file__).parents[2]

# Prints its arguments and what it sees of make.
TOOL = """#!/bin/sh
printf '%s\\n' "$@"
env | grep -E '^(MAKEFLAGS|MAKEOVERRIDES|MFLAGS|K|W|OUT|SIM)=' && echo leaked
test "$2" != "--k=fail" || { echo 'tiled-se: error: a line' >&2; exit 2; }
"""

# `python -m venv FOLDER` copies this script there; `-m pip install` installs the tool, or fails on request.
PYTHON = """#!/bin/sh
echo "$@" >> log
case "$*" in
  "-m venv "*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
  *"-m pip install"*) test ! -e break || { echo 'no network'; exit 1; }; cp tool .venv/bin/tiled-se ;;
esac
"""

OPTIONS = {name: about for command in COMMANDS.values() for name, about in options_of(command.load_options()).items()}


@pytest.fixture
def project(tmp_path):
    """A folder with spaces in its name, the Makefile, and the stand-ins."""
    folder = tmp_path / "my project"
    folder.mkdir()
    for name in ("Makefile", "commands.mk", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    for name, text in (("tool", TOOL), ("python", PYTHON)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def make(project, *arguments, **environment):
    """Run make with that Python, and no environment but PATH."""
    return subprocess.run(["make", "-s", "PYTHON=./python", *arguments], cwd=project, capture_output=True, text=True,
                          env={"PATH": "/usr/local/bin:/usr/bin:/bin", **environment})


def refused(project, line, *arguments):
    """Run make, which must end with status 2 and begin its messages with this line; what it said."""
    done = make(project, *arguments)
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, f"tiled-se: error: {line}")
    return done


def passed(project, *arguments, **environment):
    """What tiled-se was given after its subcommand, by `make verilog`."""
    make(project, "verilog")
    done = make(project, "verilog", *arguments, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "verilog"
    return lines[1:]


def test_commands_are_those_of_the_rows():
    assert makefile.FILE.read_text() == makefile.content(), "python -m tiled_se.cli.makefile writes it anew"


def test_help_tells_every_variable(project):
    text = make(project, "help").stdout
    for about in OPTIONS.values():
        assert f" {about.variable}=" in text
    assert make(project).stdout == text
    assert not (project / ".venv").exists()
    assert max(map(len, text.splitlines())) <= 112


@pytest.mark.parametrize(("argument", "text"), [
    ("K=3", "--k=3"), ("K=-3", "--k=-3"), ("OUT=a b", "--out=a b"), ("OUT=it's", "--out=it's"), ("K=$x", "--k=$x"),
    ("K=$(shell touch leak)", "--k=$(shell touch leak)"), ("K=`touch leak`", "--k=`touch leak`"), ("K=#1", "--k=#1"),
    ('K="', '--k="'), ("K=\\", "--k=\\"), ("GATE=hardsigmoid:0.2,0.5", "--gate=hardsigmoid:0.2,0.5"),
    ("OUT=a;touch leak", "--out=a;touch leak"), ("K=1\n2", "--k=1 2"), ("K=ä", "--k=ä"), ("K=%", "--k=%"),
])
def test_values_arrive_as_they_are(project, argument, text):
    assert passed(project, argument) == [text]
    assert not (project / "leak").exists()


def test_nothing_else_arrives(project):
    """An empty value is none, and neither the environment nor make's settings reach the tool."""
    assert passed(project, "K=", "W=8") == ["--width=8"]
    assert passed(project, K="5", OUT="x", SIM="icarus", MACS="1") == []
    assert "leaked" not in passed(project, "K=5", "-j2", "W=8", SIM="icarus")


def test_unknown_variable(project):
    done = refused(project, "WIDTH=8: no such variable; make help lists them", "sim", "WIDTH=8")
    assert len(done.stderr.splitlines()) == 2
    assert not (project / ".venv").exists()


def test_status_and_one_line(project):
    make(project, "verilog")
    done = make(project, "verilog", "K=fail")
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if not line.startswith("make")] == ["tiled-se: error: a line"]


class TestSetup:
    def installs(self, project):
        return [line for line in (project / "log").read_text().splitlines() if "pip install" in line]

    def test_once(self, project):
        assert "making .venv" in make(project, "verilog").stdout
        count = len(self.installs(project))
        assert "-c constraints.txt" in self.installs(project)[0]
        assert make(project, "verilog").stdout == "verilog\n"
        assert len(self.installs(project)) == count

    def test_pip_arguments(self, project):
        make(project, "verilog", "PIP_ARGS=--no-index --find-links=wheels")
        assert all("--no-index --find-links=wheels" in line for line in self.installs(project))

    def test_failed_set_up_is_done_again_from_nothing(self, project):
        (project / "break").touch()
        done = refused(project, "pip could not install the packages; what it said is above", "verilog")
        assert "no network" in done.stdout
        (project / "break").unlink()
        (project / ".venv/half").touch()
        assert "making .venv" in make(project, "verilog").stdout
        assert not (project / ".venv/half").exists()

    @pytest.mark.parametrize(("command", "variables", "options"), [
        ("bench", ["NETWORK=a,b", "JOBS=3", "OUT=results"], ["--network=a,b", "--jobs=3", "--out=results"]),
        ("simspeed", ["W=8", "SECONDS=1", "DOCS=docs"], ["--width=8", "--seconds=1", "--docs=docs"]),
        ("sweep", ["CONFIGS=my list.toml", "SCHEDULER=tcp://node:8786"],
         ["--configs=my list.toml", "--scheduler=tcp://node:8786"]),
        ("demo", ["PAGES=4", "SEEDS=3,4"], ["--pages=4", "--seeds=3,4"]),
        ("synth", ["TARGET=ice40", "SEEDS=1,2"], ["--target=ice40", "--seeds=1,2"]),
        ("prove", ["ONLY=queue"], ["--only=queue"]),
    ])
    def test_packages_come_once_with_their_command(self, project, command, variables, options):
        make(project, "verilog")
        extra = COMMANDS[command].extra
        assert not any(f"[{extra}]" in line for line in self.installs(project))
        lines = make(project, command, *variables).stdout.splitlines()
        assert (lines[-1 - len(options)], set(lines[-len(options):])) == (command, set(options))
        assert self.installs(project)[-1].endswith(f"--editable .[{extra}]")
        count = len(self.installs(project))
        assert make(project, command).stdout == f"{command}\n"
        assert len(self.installs(project)) == count

    @pytest.mark.parametrize("command", [name for name, command in COMMANDS.items() if command.extra is None])
    def test_others_need_nothing_more(self, project, command):
        make(project, "verilog")
        count = len(self.installs(project))
        assert make(project, command, "K=7").stdout.splitlines()[-2:] == [command, "--k=7"]
        assert len(self.installs(project)) == count

    def test_packages_that_do_not_come(self, project):
        make(project, "verilog")
        (project / "break").touch()
        done = refused(project, "pip could not install the packages of demo; what it said is above", "demo")
        assert done.stdout.splitlines()[-1] == "no network"

    def test_simspeed_runs_without_its_package(self, project):
        """It says so, and the next run tries again."""
        make(project, "verilog")
        (project / "break").touch()
        for _ in range(2):
            done = make(project, "simspeed")
            assert done.returncode == 0
            assert done.stdout.splitlines()[-2:] == ["pip could not install them; what it said is above", "simspeed"]

    @pytest.mark.parametrize("change", [
        lambda project: project.rename(project.parent / "moved"),
        lambda project: (project / ".venv/bin/python").unlink(),
        lambda project: (project / "constraints.txt").write_text("torch==0\n"),
    ], ids=["moved", "no Python", "other pins"])
    def test_set_up_again(self, project, change):
        make(project, "verilog")
        count = len(self.installs(project))
        changed = change(project)
        project = changed if isinstance(changed, pathlib.Path) else project
        assert make(project, "verilog").returncode == 0
        assert len(self.installs(project)) > count

    def test_no_python(self, project):
        refused(project, "no python0 on PATH: install Python 3.10 or newer, or name it by PYTHON=", "verilog",
                "PYTHON=python0")

    def test_old_python(self, project):
        (project / "python").write_text("#!/bin/sh\nexit 1\n")
        refused(project, "./python is no Python 3.10 or newer: name one by PYTHON=", "verilog")

    @pytest.mark.parametrize(("present", "line"), [
        ([], "no perl on PATH: install your system's perl package"),
        (["perl"], "no C++ compiler on PATH: install your system's g++ or clang package"),
    ])
    def test_missing_tools(self, project, tmp_path, present, line):
        programs = tmp_path / "bin"
        programs.mkdir()
        for name in ["sh", "cat", *present]:
            (programs / name).symlink_to(shutil.which(name))
        done = subprocess.run([shutil.which("make"), "-s", "sim"], cwd=project, capture_output=True, text=True,
                              env={"PATH": str(programs)})
        assert done.returncode == 2
        assert done.stderr.splitlines()[0] == f"tiled-se: error: {line}"
