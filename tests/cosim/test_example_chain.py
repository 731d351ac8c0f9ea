# SPDX-License-Identifier: Apache-2.0
"""examples/chain: two loadable blocks in a user's SystemVerilog, by the commands of its page; and with faults."""

import pathlib
import re
import shutil
import subprocess
import sys

import pytest

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "chain"
PAGE = (EXAMPLE / "README.md").read_text()
PRINTED = re.findall(r"^```\n(?!make)(.*)\n```$", PAGE, re.M)
# All tests use one compiled bench.
pytestmark = pytest.mark.xdist_group("example_chain")


def make(folder, *arguments):
    return subprocess.run(["make", f"BIN={pathlib.Path(sys.executable).parent}", *arguments], cwd=folder, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A copy of the example, built by its first command, and what that printed."""
    folder = tmp_path_factory.mktemp("example") / "chain"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("build"))
    finished = make(folder)
    assert finished.returncode == 0, finished.stdout
    return folder, finished.stdout


@pytest.fixture
def vectors(built):
    """The folder with the bench's files, which are as before afterwards."""
    folder = built[0] / "build"
    files = {path: path.read_text() for path in folder.rglob("*.hex")}
    yield folder
    for path, text in files.items():
        path.write_text(text)


def simulate(folder, *commands):
    """Run the compiled bench, after the shell's `commands`, in folder ``build``: exit status, and what it printed."""
    done = subprocess.run(["sh", "-c", "\n".join([*commands, "obj_dir/Vbench"])], cwd=folder, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def test_commands_of_the_page():
    commands = set(re.findall(r"^(?: {4})?make -C examples/chain ?(.*)$", PAGE, re.M))
    assert commands == {"", "SIM=icarus", "lint", "elaborate"}
    assert len(PRINTED) == 2


def test_simulation(built):
    assert PRINTED[0] in built[1].splitlines()


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
def test_icarus(built):
    finished = make(built[0], "SIM=icarus")
    assert finished.returncode == 0
    # Below another make, this one says more.
    assert [line for line in finished.stdout.splitlines() if not line.startswith("make")][-1] == PRINTED[0]


def test_lint(built):
    """Not a word from Verilator with all warnings on, of the blocks neither."""
    finished = make(built[0], "--silent", "lint")
    assert (finished.returncode, finished.stdout) == (0, "")


def test_elaborate(built):
    """Yosys takes the design, and finds no undriven or doubly driven signal; but it does where there is one."""
    finished = make(built[0], "elaborate")
    assert finished.returncode == 0, finished.stdout
    path = built[0] / "chain.sv"
    text = path.read_text()
    path.write_text(text.replace("assign loaded = &ready;", ""))
    finished = make(built[0], "elaborate")
    path.write_text(text)
    assert finished.returncode
    assert "ERROR: Found 1 problems in 'check -assert'." in finished.stdout


def test_parameters_of_the_neighbour(vectors):
    """Each block refuses the other one's parameters. For `strips` by the page's own commands."""
    commands = re.search(r"^```sh\ncd examples/chain/build\n(.*?)obj_dir/Vbench\n```$", PAGE, re.M | re.S)[1]
    causal = (vectors / "causal/causal.params.hex").read_text()
    strips = (vectors / "strips/strips.params.hex").read_text()
    status, printed = simulate(vectors, commands)
    assert status
    assert PRINTED[1] in printed
    (vectors / "strips/strips.params.hex").write_text(strips)
    (vectors / "causal/causal.params.hex").write_text((strips + causal)[:len(causal)])
    status, printed = simulate(vectors)
    assert status
    assert "parameters refused: strips 0, causal 1" in printed


def test_other_weights(vectors):
    """Parameters that fit the block, of other weights, are taken; the outputs are then others."""
    path = vectors / "causal/causal.params.hex"
    words = path.read_text().split()
    words[2] = f"{int(words[2], 16) ^ 0x01010101:08x}"
    path.write_text("\n".join(words))
    status, printed = simulate(vectors)
    assert status
    assert re.search(r"beat \d+ is \w+, expected \w+", printed)


@pytest.mark.parametrize(("change", "message"), [
    (lambda beats: [*beats[:-1], f"{beats[-1][:-1]}{int(beats[-1][-1], 16) ^ 1:x}"], "beat 3007 is 1"),
    (lambda beats: ["1" + beats[0][1:], *beats[1:]], "beat 0 is 0"),
    (lambda beats: beats[:-1], "beat 3007 is one too many"),
    (lambda beats: [*beats, beats[-1]], "3008 beats sent, 3008 received, more expected"),
], ids=["one bit", "tlast", "fewer", "more"])
def test_wrong_vectors(vectors, change, message):
    """The bench sees a single wrong bit, a wrong tlast, and the wrong number of beats."""
    path = vectors / "expected.hex"
    path.write_text("".join(f"{beat}\n" for beat in change(path.read_text().split())))
    status, printed = simulate(vectors)
    assert status
    assert message in printed
