# SPDX-License-Identifier: Apache-2.0
"""What is installed: the folders as tiled_se, as a wheel and editable; and that every dependency is pinned."""

import importlib
import importlib.metadata
import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement

import tiled_se

ROOT = pathlib.Path(__file__).parents[2]
FOLDERS = sorted(path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name != "tests")
PACKAGES = [str(path.parent.relative_to(ROOT)) for name in FOLDERS for path in (ROOT / name).rglob("__init__.py")]


def installable(folder):
    """Files of a folder that belong into a wheel."""
    return {f"{module(folder).replace('.', '/')}/{path.name}" for path in (ROOT / folder).iterdir() if path.is_file()}


def module(folder):
    """The name that a folder is imported by."""
    return "tiled_se" if folder == "package" else f"tiled_se.{folder.replace('/', '.')}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The project's wheel, built without a network from a copy."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation",
                    "--disable-pip-version-check", "--wheel-dir", target, source], check=True)
    return next(target.iterdir())


def test_wheel_has_every_file(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in PACKAGES:
        assert installable(folder) <= names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"tiled_se"}
    assert not [name for name in names if "__pycache__" in name]


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


def test_wheel_runs(wheel, tmp_path):
    """From a folder of its own, ahead of the editable installation that the tests run in."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    done = subprocess.run(
        [sys.executable, "-m", "tiled_se.cli", "verilog", "--k=2", "--width=4", "--channels=4", "--out=out"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path / "site")}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out/tiled_se.v").exists()
    where = subprocess.run([sys.executable, "-c", "import tiled_se.hdl.config as m; print(m.__file__)"],
                           env={**os.environ, "PYTHONPATH": str(tmp_path / "site")}, capture_output=True, text=True)
    assert where.stdout.strip() == str(tmp_path / "site/tiled_se/hdl/config.py")


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
