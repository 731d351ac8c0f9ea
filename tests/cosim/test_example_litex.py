# SPDX-License-Identifier: Apache-2.0
"""examples/litex: a block between LiteX's DMAs, by the command of its page; and with faults."""

import importlib
import importlib.util
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tiled_se.cosim import run_module

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "litex"
PAGE = (EXAMPLE / "README.md").read_text()
PRINTED = re.search(r"^```\n(.*?)^```$", PAGE, re.M | re.S)[1]
# All tests use one built folder.
pytestmark = pytest.mark.xdist_group("example_litex")

if not importlib.util.find_spec("litex"):
    pytest.skip("needs LiteX: pip install 'tiled-se[litex]'", allow_module_level=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A copy of the example, after its command, and what that printed."""
    folder = tmp_path_factory.mktemp("example") / "litex"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("build", "__pycache__"))
    assert re.findall(r"^ {4}make -C examples/litex(.*)$", PAGE, re.M) == [""]
    done = subprocess.run(["make", "--silent", f"BIN={pathlib.Path(sys.executable).parent}", "READY="], cwd=folder,
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return folder, done.stdout


def test_simulation(built):
    assert built[1] == PRINTED


def test_csrs_of_the_page(built):
    """The page names every CSR of the block, and every field."""
    header = (built[0] / "build/software/include/generated/csr.h").read_text()
    registers = {name.lower() for name in re.findall(r"#define CSR_(SE_\w+)_ADDR", header)}
    rows = dict(re.findall(r"^\| `(se_\w+)` \| (.*) \|$", PAGE, re.M))
    assert set(rows) == registers
    fields = set(re.findall(r"#define CSR_(SE_\w+)_OFFSET", header))
    named = {f"{register}_{field}".upper() for register, text in rows.items() for field in re.findall(r"`(\w+)`", text)}
    assert fields == named


def test_wrong_output(built, simulate, tmp_path):
    """The tests see a single wrong bit of an output, and parameters of other weights."""
    build = tmp_path / "build"
    shutil.copytree(built[0] / "build", build)
    with np.load(build / "vectors.npz") as vectors:
        right = dict(vectors)
    outputs, other = right["y2"].copy(), right["params"].copy()
    outputs[-1] ^= 1 << 31
    other[2:] ^= 0x11111111
    assert failed(simulate, build, right | {"y2": outputs}) == {"frames"}
    assert failed(simulate, build, right | {"params": other}) == {
        "frames", "cut_frame", "refused_parameters", "soft_reset"}


@pytest.fixture(scope="module")
def simulate():
    """The example's module; its tests find the others."""
    sys.path.insert(0, str(EXAMPLE))
    try:
        yield importlib.import_module("simulate")
    finally:
        sys.path.remove(str(EXAMPLE))
        for name in ("simulate", "soc", "bench"):
            del sys.modules[name]


def failed(simulate, build, vectors):
    """The names of the tests that fail with these vectors, in the simulation that is there."""
    np.savez(build / "vectors.npz", **vectors)
    run_module(simulate.compiled([build / "soc.v", build / "block/tiled_se.v"]), "soc", "bench", build)
    return set(re.findall(r"bench\.(\w+) failed", (build / "simulation.log").read_text()))
