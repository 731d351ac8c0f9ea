# SPDX-License-Identifier: Apache-2.0
"""What is installed: the folders as tiled_se, as a wheel and editable; and that every dependency is pinned."""

import importlib
import importlib.metadata
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement

import tiled_se
from tests.helpers.onnx_images import model

ROOT = pathlib.Path(__file__).parents[2]
FOLDERS = sorted(path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name != "tests")
PACKAGES = [str(path.parent.relative_to(ROOT)) for name in FOLDERS for path in (ROOT / name).rglob("__init__.py")]


def files(folder):
    """All files of a top-level folder, as they are named in a wheel."""
    paths = [path for path in (ROOT / folder).rglob("*") if path.is_file() and path.parent.name != "__pycache__"]
    return {f"{module(folder).replace('.', '/')}/{path.relative_to(ROOT / folder)}" for path in paths}


def module(folder):
    """The name that a folder is imported by."""
    return "tiled_se" if folder == "package" else f"tiled_se.{folder.replace('/', '.')}"


def python(*arguments, **more):
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True, **more).stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The project's wheel, built without a network from its source distribution, and that from a copy."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    (source / "tests").mkdir()
    (source / "tests/__init__.py").touch()
    code = f"from setuptools.build_meta import build_sdist; build_sdist({str(source / 'dist')!r})"
    python("-c", code, cwd=source)
    python("-m", "pip", "wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", target,
           next((source / "dist").iterdir()))
    return next(target.iterdir())


def environment(folder, wheel, packages=None):
    """A function that runs `tiled-se` in a new environment, which has the wheel and not this checkout.

    It has the packages of the environment that the tests run in; or, of those, `packages` and what these need.
    """
    venv.create(folder, symlinks=True)
    site, usual = (pathlib.Path(sysconfig.get_path("purelib", vars={"base": str(base), "platbase": str(base)}))
                   for base in (folder, sys.prefix))
    if packages is None:
        # A folder that a .pth names is searched for modules, but its own .pth files, as that of the checkout, are not.
        (site / "usual.pth").write_text(f"{usual}\n")
    else:
        found = set()
        for requirement in map(Requirement, packages):
            found |= {normalised(requirement.name)} | needed(requirement.name, requirement.extras, set())
        names = {path.parts[0] for name in found for path in importlib.metadata.files(name)}
        for name in names - {"..", "__pycache__"}:
            (site / name).symlink_to(usual / name)
    python("-m", "pip", "--python", folder / "bin/python", "install", "--no-index", "--no-deps", wheel)
    usual_environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}

    def run(*arguments, program="tiled-se"):
        done = subprocess.run([folder / "bin" / program, *arguments], cwd=folder.parent, env=usual_environment,
                              capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    where = run("-c", "import tiled_se.hdl.config as m; print(m.__file__)", program="python")
    assert where == (0, f"{site / 'tiled_se/hdl/config.py'}\n", "")
    return run


def test_wheel_has_every_file(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == set().union(*map(files, FOLDERS))


def test_wheel_runs(wheel, tmp_path):
    run = environment(tmp_path / "usual", wheel)
    assert run("--version") == (0, f"tiled-se {wheel.name.split('-')[1]}\n", "")
    status, out, error = run("sim", "--k=7", "--width=56", "--channels=64")
    assert (status, error) == (0, "")
    assert "\nbit-exact   yes, 401,408 elements\n" in out


def test_without_torch(wheel, tmp_path):
    """The README's list of packages is enough for Verilog and for networks; other commands name what they lack."""
    listed = re.search(r"pip install -c constraints.txt ('amaranth.*)", (ROOT / "README.md").read_text())[1]
    run = environment(tmp_path / "small", wheel, shlex.split(listed))
    block = ("--k=2", "--width=4", "--channels=4", "--out=out")
    line = "no bench was written: its vectors need the golden model, and torch is not installed"
    assert run("verilog", *block)[::2] == (0, f"tiled-se: warning: {line}\n")
    assert "torch" not in json.loads((tmp_path / "out/manifest.json").read_text())["tools"]
    model(tmp_path / "model.onnx")
    status, out, error = run("inspect", "model.onnx")
    assert (status, error) == (0, "")
    assert "2 squeeze-and-excite blocks" in out
    assert run("swap", "model.onnx", "--k=2", "--out=tiled.onnx")[::2] == (0, "")
    before = sorted(tmp_path.iterdir())
    assert run("sim", *block) == (2, "", "tiled-se: error: sim needs torch: pip install torch\n")
    assert sorted(tmp_path.iterdir()) == before


def test_version():
    assert tiled_se.__version__ == importlib.metadata.version("tiled-se")


def test_release_is_the_same_everywhere():
    """Version and date: pyproject.toml, the changelog's top section, the citation, and cores for FuseSoC."""
    version = re.search(r'(?m)^version = "(.+)"$', (ROOT / "pyproject.toml").read_text())[1]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    sections = re.findall(r"(?m)^## (.+)$", (ROOT / "CHANGELOG.md").read_text())
    assert sections[0] == f"[{version}] - {cited['date-released']}"
    assert cited["version"] == version
    assert [path.name for path in ROOT.glob("*.core")
            if yaml.safe_load(path.read_text())["name"].split(":")[-1] != version] == []


@pytest.mark.parametrize("folder", PACKAGES)
def test_imports_are_of_this_project(folder):
    assert pathlib.Path(importlib.import_module(module(folder)).__file__).samefile(ROOT / folder / "__init__.py")


def pins():
    """Package name, normalised, to pinned version, for this Python."""
    found = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate():
                found[normalised(requirement.name)] = requirement.specifier
    return found


def normalised(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(name, extras, found):
    """Names of all packages that `name` with `extras` needs here, directly or not, added to `found`."""
    for text in importlib.metadata.requires(name) or ():
        requirement = Requirement(text)
        environments = [default_environment() | {"extra": extra} for extra in extras or [""]]
        if requirement.marker and not any(requirement.marker.evaluate(e) for e in environments):
            continue
        key = (normalised(requirement.name), frozenset(requirement.extras))
        if key not in found:
            found.add(key)
            needed(requirement.name, requirement.extras, found)
    return {name for name, _ in found} - {"tiled-se"}


def test_every_dependency_is_pinned_to_what_is_installed():
    versions = pins()
    for name in needed("tiled-se", ["test"], set()):
        # What torch's builds for GPUs bring is pinned by torch itself.
        if name not in versions and name.startswith(("cuda-", "nvidia-", "triton")):
            continue
        assert name in versions
        assert versions[name].contains(importlib.metadata.version(name), prereleases=True), name


def test_every_pin_is_exact():
    assert all(re.fullmatch(r"==[^,*]+", str(specifier)) for specifier in pins().values())


def test_every_file_names_its_licence():
    folders = (*PACKAGES, *(path.parent for path in (ROOT / "tests").rglob("__init__.py")))
    files = [path for folder in folders for path in (ROOT / folder).iterdir() if path.is_file()]
    files += [ROOT / name for name in (
        "Makefile", "commands.mk", "pyproject.toml", "constraints.txt", ".gitignore", ".ci/run")]
    for path in files:
        assert "SPDX-License-Identifier: Apache-2.0" in "\n".join(path.read_text().splitlines()[:2]), path
