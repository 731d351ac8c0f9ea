# SPDX-License-Identifier: Apache-2.0
"""The documentation site builds without a warning, has what it generates, and its first page does what it says."""

import os
import pathlib
import re
import runpy
import shutil
import subprocess
import sys

import pytest

import tiled_se.gen
import tiled_se.golden
import tiled_se.hdl
import tiled_se.network
from tiled_se.cli.commands import COMMANDS
from tiled_se.gen.fields import flag, options_of

ROOT = pathlib.Path(__file__).parents[2]
# One process builds the site.
pytestmark = pytest.mark.xdist_group("site")
START = (ROOT / "docs/start.md").read_text()


def build(root, output):
    return subprocess.run([sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs", ".", str(output)],
                          cwd=root, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site."""
    output = tmp_path_factory.mktemp("site")
    finished = build(ROOT, output)
    assert (finished.returncode, finished.stdout) == (0, "")
    return output


def test_pages(site):
    """Each page is in the site, and the way to the first one is, too."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*/README.md")]
    assert len(pages) > 20
    assert [page for page in pages if not (site / page.relative_to(ROOT).with_suffix(".html")).exists()] == []
    first = re.search(r'href="(.*)"', (site / "index.html").read_text())[1]
    assert (site / first).exists()


def test_links(site):
    """Links and anchors inside of the site lead somewhere; nothing that a page shows comes from the network."""
    texts = {path: path.read_text() for path in site.rglob("*.html")}
    anchors = {path: set(re.findall(r'\bid="([^"]+)"', text)) for path, text in texts.items()}
    wrong, seen = [], 0
    for path, text in texts.items():
        for target in re.findall(r'\b(?:href|src)="([^"]*)"', text):
            place, _, anchor = target.partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            file = (path.parent / place.partition("?")[0]).resolve() if place else path
            seen += 1
            if not file.exists() or (anchor and file in anchors and anchor not in anchors[file]):
                wrong.append((path.name, target))
        assert re.findall(r'<(?:script|img|link)[^>]* (?:src|href)="(?:https?:)?//[^"]*"', text) == []
    assert seen > 1000
    assert wrong == []


def test_generated(site):
    """Every option of every command, every status, and every public name."""
    text = (site / "docs/reference.html").read_text()
    for name, command in COMMANDS.items():
        section = re.search(rf'<section id="{name}">.*?</section>', text, re.S)[0]
        for field in options_of(command.load_options()):
            assert f">{flag(field)}<" in section, (name, field)
    for port in ("s_axis_tdata", "m_axis_tlast", "w_axis_tready", "status_loaded"):
        assert f">{port}<" in text
    text = (site / "docs/python.html").read_text()
    for package in (tiled_se.golden, tiled_se.hdl, tiled_se.gen, tiled_se.network):
        for name in package.__all__:
            assert f'id="{package.__name__}.{name}"' in text, name


def test_warning_is_an_error(tmp_path):
    """A link to a page that is not there stops the build."""
    (tmp_path / "docs").mkdir()
    for name in ("conf.py", "generated.py", "site"):
        (tmp_path / "docs" / name).symlink_to(ROOT / "docs" / name)
    (tmp_path / "docs/index.md").write_text("# Page\n\n[link](nowhere.md)\n")
    finished = build(tmp_path, tmp_path / "out")
    assert finished.returncode == 1
    assert "nowhere.md" in finished.stdout


def test_start(tmp_path):
    """From an empty folder: the files of the page are saved, its commands run, and it prints what it says."""
    design, bench = re.findall(r"^```systemverilog\n(.*?)^```$", START, re.M | re.S)
    (tmp_path / "design.sv").write_text(design)
    (tmp_path / "bench.sv").write_text(bench)
    commands = re.findall(r"^```sh\n(.*?)^```$", START, re.M | re.S)
    assert len(commands) == 3
    icarus = re.findall(r"^ {4}(iverilog .*\n)", START, re.M)
    assert len(icarus) == 1
    simulators = ["Verilator"]
    if shutil.which("iverilog"):
        simulators.append("Icarus Verilog")
        commands += icarus
    path = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    finished = subprocess.run(["sh", "-e"], input="".join(commands), cwd=tmp_path, check=False, text=True,
                              env=os.environ | {"PATH": path}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert finished.returncode == 0, finished.stdout
    assert "bit-exact   yes" in finished.stdout
    printed = re.search(r"prints `(.*?)`", START)[1]
    assert finished.stdout.splitlines().count(printed) == len(simulators)
    numbers = re.findall(r"^\| `[A-Z]+` \|.*\| `(.*)` \|$", START, re.M)
    assert len(numbers) == 3
    assert [words for words in numbers if words not in finished.stdout] == []
    for name in re.findall(r"`((?:my_se|manifest)[\w.]+)`", START):
        assert (tmp_path / "se" / name).exists(), name


@pytest.mark.parametrize("script", ["diagrams", "waves"])
def test_drawings(script):
    """The drawings are what the simulated blocks, and the definition of contexts, make of them now."""
    if script == "waves":
        pytest.importorskip("yowasp_wavedrom", reason="draws waveforms; has no wheels for this Python")
    names = runpy.run_path(str(ROOT / f"docs/{script}.py"))
    for name, draw in names["DRAWINGS"].items():
        text = names["svg"](draw()) + "\n" if script == "waves" else draw()
        assert (ROOT / "docs" / name).read_text() == text, f".venv/bin/python docs/{script}.py"
