# SPDX-License-Identifier: Apache-2.0
"""examples/ulx3s: a block on an ECP5 board, simulated at its pins, placed and routed, by the commands of its page."""

import collections
import importlib
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.helpers.pysim import simulate
from tiled_se.gen.fpga.tools import TOOLS, Workbench

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "ulx3s"
PAGE = (EXAMPLE / "README.md").read_text()
PRINTED = re.findall(r"^```\n(.*?)^```$", PAGE, re.M | re.S)
MODULES = ("host", "protocol", "uart")
BIN = pathlib.Path(sys.executable).parent
# All tests use one built folder.
pytestmark = pytest.mark.xdist_group("example_ulx3s")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A copy of the example, after the commands of its page, and what these printed."""
    folder = tmp_path_factory.mktemp("example") / "ulx3s"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("build", "__pycache__"))
    with Workbench(folder) as bench:
        # Other tests may be the first to run a tool, too; a workbench has one wait for the other.
        for tool in ("yosys", "nextpnr-ecp5"):
            bench.run(TOOLS[tool], ["--version"], f"{tool}.log")
    done = run(folder, "make", "--silent", f"BIN={BIN}", "READY=", "sim", "bitstream")
    assert (done.returncode, done.stderr) == (0, "")
    return folder, done.stdout


@pytest.fixture(scope="module")
def modules():
    """The example's modules that are used here without a simulation, by name."""
    sys.path.insert(0, str(EXAMPLE))
    try:
        yield {name: importlib.import_module(name) for name in MODULES}
    finally:
        sys.path.remove(str(EXAMPLE))
        for name in MODULES:
            del sys.modules[name]


def run(folder, *command):
    return subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, text=True, check=False)


def test_commands_of_the_page():
    targets = re.findall(r"^ {4}make -C examples/ulx3s (\w+)", PAGE, re.M)
    assert targets == ["sim", "bitstream", "program", "run", "bitstream"]


def test_printed(built):
    """The page has what the commands print, but for times, sizes and clocks: these are of one run."""
    texts = [re.sub(r"\d[\d,.]*", "N", text) for text in ("".join(PRINTED), built[1])]
    assert texts[0] == texts[1]


def test_bitstream(built):
    """It is one for this part, with the pins of the board."""
    build = built[0] / "build"
    assert b"Part: LFE5U-12F-6CABGA381" in (build / "tiled_se_ulx3s.bit").read_bytes()[:200]
    pins = dict(re.findall(r'LOCATE COMP "(\w+)" SITE "(\w+)"', (build / "tiled_se_ulx3s.lpf").read_text()))
    assert (pins["clk25_0__io"], pins["uart_0__rx__io"], pins["uart_0__tx__io"]) == ("G2", "M1", "L4")
    clock, = re.findall(r"^clock +([\d.]+) MHz, 25 MHz are needed$", built[1], re.M)
    assert float(clock) > 25


def test_wrong_vector(built):
    """One element that is another than the golden model's fails the simulation."""
    path = built[0] / "build" / "frames.npz"
    with np.load(path) as arrays:
        wrong = dict(arrays)
    kept = path.read_bytes()
    wrong["y_1"][0, 3, 5] ^= 1
    np.savez(path, **wrong)
    try:
        done = run(built[0], sys.executable, "simulate.py", "build")
    finally:
        path.write_bytes(kept)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert re.findall("(?:bit-exact|WRONG)$", done.stdout, re.M) == ["bit-exact", "WRONG", "bit-exact"]


@pytest.mark.parametrize(("command", "line"), [
    (["host.py", "/dev/no_such_port", "build"], r"host.py: error: /dev/no_such_port: .*No such file.*"),
    (["host.py", "/dev/null", "nowhere"], r"host.py: error: nowhere/manifest.json: No such file .*"),
    (["simulate.py", "nowhere"], r"simulate.py: error: nowhere/manifest.json: No such file .*"),
    (["bitstream.py", "build", "13F"], r"bitstream.py: error: DEVICE=13F: must be one of 12F, 25F, 45F, 85F"),
    (["block.py", "small", "--k=2", "--width=4", "--channels=4", "--dtype=int4"],
     r"block.py: error: DTYPE=int4, Y_DTYPE=int4: must have 8 or 16 bits"),
])
def test_bad_use(built, command, line):
    """One line and status 2."""
    done = run(built[0], sys.executable, *command)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert re.fullmatch(line + "\n", done.stderr)


class Slow:
    """A port to a board whose block gives an element only when it must, and only when the host waits for it."""

    def __init__(self, protocol, waiting):
        self.protocol, self.waiting, self.in_waiting = protocol, waiting, 0
        self.fifo, self.inside, self.longest = collections.deque(), collections.deque(), 0

    def write(self, data):
        self.fifo.extend(data)
        self._pump()
        self.longest = max(self.longest, len(self.fifo))

    def _pump(self):
        """Elements go into the block as long as it has room: a byte, or two that stand for one."""
        while self.fifo and len(self.inside) < self.waiting and self.fifo[0] != self.protocol.END:
            byte = self.fifo.popleft()
            if byte == self.protocol.ESC:
                byte = {self.protocol.ESC_END: self.protocol.END, self.protocol.ESC_ESC: byte}[self.fifo.popleft()]
            self.inside.append(byte)

    def read(self, size):
        self._pump()
        ended = self.fifo and self.fifo[0] == self.protocol.END
        if len(self.inside) == self.waiting or ended and self.inside:
            return self.protocol.escape(bytes([self.inside.popleft()]))
        return bytes([self.protocol.Status.LOADED, self.protocol.END]) if ended else b""


@pytest.mark.parametrize("byte", [0xC0, 0xDB, 0x55])
def test_host_is_never_too_far_ahead(built, modules, byte):
    """Of a long frame, all of it comes back, and the board never has to keep more than it can."""
    host, protocol = modules["host"], modules["protocol"]
    block = host.Block(built[0] / "build")
    x = np.full((100, *block.line), byte, np.uint8).view(np.int8)
    # The kind is one more byte inside.
    port = Slow(protocol, block.waiting + 1)
    assert np.array_equal(host.Host(port, block).scale(x), x)
    assert protocol.FIFO_BYTES // 4 < port.longest <= protocol.FIFO_BYTES


def test_wrong_frame(built, modules):
    block = modules["host"].Block(built[0] / "build")
    with pytest.raises(modules["host"].HostError, match=r"^a frame of int8 \[2, 8, 7\]: must be int8 \[rows, 8, 8\]$"):
        modules["host"].Host(None, block).scale(np.zeros((2, 8, 7), np.int8))


def test_no_answer(built, modules):
    class Silent:
        in_waiting = 0

        def write(self, data):
            pass

        def read(self, size):
            return b""

    with pytest.raises(modules["host"].HostError, match="^no answer within 2 s: "):
        modules["host"].Host(Silent(), modules["host"].Block(built[0] / "build")).reset()


def test_receiver(modules):
    """A byte that is not taken marks the next one; a pulse is no start bit, and a break is one wrong byte."""
    receiver, seen = modules["uart"].Receiver(8), []
    # Bits, and cycles of each; the second byte is not taken.
    line = [(1, 20), (0, 3), (1, 40)]
    for byte in (0x35, 0xC0, 0x81):
        line += [(bit, 8) for bit in (0, *(byte >> number & 1 for number in range(8)), 1)]
    line += [(0, 300), (1, 20)]

    async def bench(ctx):
        for level, cycles in line:
            ctx.set(receiver.rx, level)
            for _ in range(cycles):
                ctx.set(receiver.o.ready, len(seen) != 1)
                if ctx.get(receiver.o.valid):
                    seen.append((ctx.get(receiver.o.payload.byte), ctx.get(receiver.o.payload.error)))
                await ctx.tick()

    simulate(receiver, bench)
    assert seen == [(0x35, 0), (0xC0, 0), (0x81, 1), (0, 1)]


@pytest.mark.parametrize(("baud", "cycles"), [(1_000_000, 25), (115_200, 217), (6_250_000, 4)])
def test_divisor(modules, baud, cycles):
    assert modules["uart"].divisor(25e6, baud) == cycles


@pytest.mark.parametrize("baud", [7_000_000, 4_600_000])
def test_impossible_rate(modules, baud):
    with pytest.raises(ValueError, match=f"^baud={baud}: must be at most"):
        modules["uart"].divisor(25e6, baud)
