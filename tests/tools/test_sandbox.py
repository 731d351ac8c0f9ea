# SPDX-License-Identifier: Apache-2.0
"""The process that reads networks: its limits of time and memory, its errors, and what it never runs."""

import os
import pathlib
import pickle
import subprocess
import sys
import types

import numpy as np
import onnx
import pytest

from tests.helpers.onnx_networks import network
from tiled_se.hdl.config import ConfigError
from tiled_se.network import network as networks
from tiled_se.network.read import sandbox
from tiled_se.network.read.sandbox import allow_memory_for, sandboxed


def test_commands_read_networks_in_it(tiled_se, monkeypatch):
    onnx.save(network(), "net.onnx")
    assert tiled_se("inspect", "net.onnx").status == 0
    pathlib.Path("bad.onnx").write_bytes(pathlib.Path("net.onnx").read_bytes()[:300])
    tiled_se.refuses("MODEL=bad.onnx (--model): is damaged or no ONNX file", "inspect", "bad.onnx")
    monkeypatch.setattr(networks, "READING_SECONDS", 0.01)
    monkeypatch.setattr(networks, "CHECKING_SECONDS", 0)
    tiled_se.refuses("MODEL=net.onnx (--model): it takes more than 0.01 s", "inspect", "net.onnx")


def fill(more=0):
    """How many MiB this process can have."""
    allow_memory_for(more << 20)
    taken = []
    try:
        while len(taken) < 80:
            taken.append(np.empty(64 << 20, np.uint8))
    except MemoryError:
        pass
    return 64 * len(taken)


def test_memory_follows_what_is_read():
    least = sandboxed(fill, what="it", reads=0)
    assert 1900 < least < 2100
    assert sandboxed(fill, what="it", reads=64 << 20) - least in range(512 - 64, 512 + 65, 64)
    assert sandboxed(fill, 64, what="it", reads=0) - least in range(512 - 64, 512 + 65, 64)


def crash():
    os.abort()


def end():
    os._exit(3)


def end_within_answer():
    sandbox.pickle = types.SimpleNamespace(dumps=lambda answer: pickle.dumps(answer)[:9])
    return "a long answer"


def loop():
    while True:
        pass


def grow():
    # The address space is limited: the memory need not be touched.
    return [np.empty(1 << 28) for _ in range(1000)]


def refuse():
    raise ConfigError("calibration", "a.png", "is damaged")


@pytest.mark.parametrize(("function", "seconds", "line"), [
    (crash, 60, "model=it: the process ended with status -6"),
    (end, 60, "model=it: the process ended with status 3"),
    (end_within_answer, 60, "model=it: the process ended with status 0"),
    (loop, 2, "model=it: it takes more than 2 s"),
    (grow, 100, "model=it: it takes too much memory"),
    (refuse, 60, "calibration=a.png: is damaged"),
])
def test_errors(function, seconds, line):
    with pytest.raises(ConfigError) as error:
        sandboxed(function, what="it", seconds=seconds)
    assert str(error.value) == line


def test_a_script_that_reads_a_network_runs_once(tmp_path):
    """A process that ran the caller's script again would train its network again."""
    onnx.save(network(), tmp_path / "net.onnx")
    (tmp_path / "json.py").write_text("raise SystemExit('a file of the working folder is no module of ours')")
    script = tmp_path / "script.py"
    script.write_text("import sys; sys.path.remove(sys.path[0])\n"
                      "from tiled_se.network import open_network\n"
                      "print(len(open_network('net.onnx').blocks))\n")
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
