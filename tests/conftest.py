# SPDX-License-Identifier: Apache-2.0
"""Fixtures that several test files share, the order of the tests, and the figures at the end of a run."""

import dataclasses
import gc
import signal
import sys
import threading

import numpy as np
import pytest

from tiled_se.cli.main import main

# What takes longest begins first, so that no process is left alone with it at the end.
FIRST = ("test_demo.py", "test_sweep.py", "test_crosscheck.py", "test_soak.py", "test_mutate.py", "test_quantise.py",
         "test_hostile_files.py", "test_schedule.py", "test_synth.py", "test_headline.py", "test_readme.py",
         "test_network.py", "test_ecp5.py", "test_example_ulx3s.py", "test_example.py", "test_benchmarks.py",
         "test_study.py", "test_cosim.py", "test_plan.py")
PLACE = {name: place for place, name in enumerate(FIRST)}


def pytest_addoption(parser):
    parser.addoption("--nightly", action="store_true", help="run the tests, too, that are left to the nightly run")


def pytest_configure():
    # A shell starts background jobs with Ctrl-C ignored, which processes that tests start and interrupt would inherit.
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config, items):
    # A test that is named runs.
    if not config.getoption("nightly") and not any("::" in argument for argument in config.args):
        left = [item for item in items if item.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if not item.get_closest_marker("nightly")]
    items.sort(key=lambda item: PLACE.get(item.path.name, len(FIRST)))


def pytest_collection_finish():
    # Imported modules stay: collecting garbage among them over and over would take a tenth of the time.
    gc.collect()
    gc.freeze()


@dataclasses.dataclass(frozen=True)
class Finished:
    """A command that has ended: exit status, and what it printed."""

    status: int
    out: str
    err: str


class Command:
    """`tiled-se` in this process."""

    def __init__(self, capsys):
        self._capsys = capsys

    def __call__(self, *arguments):
        status = main([str(argument) for argument in arguments])
        return Finished(status, *self._capsys.readouterr())

    def passes(self, *arguments):
        """Run the command, which must end with status 0 and no message."""
        finished = self(*arguments)
        assert (finished.status, finished.err) == (0, "")
        return finished

    def refuses(self, line, *arguments, status=2):
        """Run the command, which must end with this status and this one line."""
        finished = self(*arguments)
        assert (finished.status, finished.err) == (status, f"tiled-se: error: {line}\n")
        return finished

    def refuses_as(self, start, *arguments):
        """Run the command, which must end with status 2 and one line that begins so."""
        finished = self(*arguments)
        assert (finished.status, finished.out, finished.err.count("\n")) == (2, "", 1), finished
        assert finished.err.startswith(f"tiled-se: error: {start}")
        return finished


@pytest.fixture(autouse=True)
def same_numbers():
    """PyTorch's generator begins each test anew: what a test draws doesn't depend on those before it."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(1)


@pytest.fixture
def tiled_se(capsys, tmp_path, monkeypatch):
    """The command; the working directory is an empty folder."""
    monkeypatch.chdir(tmp_path)
    return Command(capsys)


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
