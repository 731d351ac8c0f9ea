# SPDX-License-Identifier: Apache-2.0
"""What several test files share."""

import dataclasses
import gc
import signal
import threading

import numpy as np
import pytest

from tiled_se.cli.main import main

# What takes longest, so that no process is left alone with it in the end.
FIRST = ("test_synth.py", "test_headline.py", "test_readme.py", "test_ecp5.py", "test_mutate.py", "test_sweep.py")


def pytest_configure():
    # A shell starts background jobs with Ctrl-C ignored, which processes that tests start and interrupt would inherit.
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in FIRST)


def pytest_collection_finish():
    # What is imported stays: to look through it again and again would be a tenth of the time.
    gc.collect()
    gc.freeze()


@dataclasses.dataclass(frozen=True)
class Finished:
    """A command that has ended: exit status, and what it printed."""

    status: int
    out: str
    err: str


@pytest.fixture
def tiled_se(capsys, tmp_path, monkeypatch):
    """A function that runs `tiled-se` in this process, with an empty folder as the working directory."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        status = main([str(argument) for argument in arguments])
        return Finished(status, *capsys.readouterr())

    return run


@pytest.fixture
def npz(tmp_path):
    """A function that writes an .npz of the given name and arrays, and returns its path."""
    def write(name, **arrays):
        path = tmp_path / name
        np.savez(path, **arrays)
        return str(path)

    return write


def weights(channels=8, squeeze=2, **more):
    """Arrays of a WEIGHTS file."""
    rng = np.random.default_rng(5)
    shapes = dict(w1=(squeeze, channels), b1=squeeze, w2=(channels, squeeze), b2=channels)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()} | more


@pytest.fixture
def figure(record_property):
    """A function that has a line of text printed at the end of the whole run: a figure that the test has measured."""
    return lambda text: record_property("figure", text)


def pytest_terminal_summary(terminalreporter):
    reports = [report for group in terminalreporter.stats.values() for report in group]
    figures = [text for report in reports for name, text in getattr(report, "user_properties", ()) if name == "figure"]
    if figures:
        terminalreporter.section("figures")
        for text in sorted(set(figures)):
            terminalreporter.write_line(text)
